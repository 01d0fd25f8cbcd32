"""What a computation ran on, for the files that describe results."""

import platform
from importlib.metadata import version

import jax

PACKAGES = ("restyle_jax", "jax", "jaxlib", "flax", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def device() -> dict[str, str | int]:
    """The first device, and the machine."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "host": platform.platform()}
