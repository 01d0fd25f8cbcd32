"""How fast a run is."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Speed since the last log, without what happens between steps."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._restart()

    def _restart(self) -> None:
        self._began, self._pauses, self._waits, self.steps = time.monotonic(), 0.0, 0.0, 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For data."""
        began = time.monotonic()
        yield
        self._waits += time.monotonic() - began

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Evaluating, saving."""
        began = time.monotonic()
        yield
        self._pauses += time.monotonic() - began

    def lap(self, remaining: int) -> dict[str, float]:
        """Timings since the last lap. remaining: steps to go."""
        seconds = max(time.monotonic() - self._began - self._pauses, 1e-9) / max(self.steps, 1)
        timing = {
            "seconds_per_step": seconds,
            "images_per_second": self._batch_size / seconds,
            "waiting_for_data": self._waits / max(self.steps, 1),
            "eta_seconds": seconds * remaining,
        }
        self._restart()
        return timing
