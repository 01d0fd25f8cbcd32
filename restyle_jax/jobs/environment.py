"""What a computation ran on, for the files that describe results."""

import platform
from importlib.metadata import version

import jax
import jax.monitoring

PACKAGES = ("restyle_jax", "jax", "jaxlib", "flax", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def device() -> dict[str, str | int]:
    """The first device, and the machine."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "host": platform.platform()}


class CompileClock:
    """Adds up the seconds that JAX spends on tracing and compiling while the clock is open."""

    def __enter__(self) -> "CompileClock":
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            self.seconds += duration_secs
