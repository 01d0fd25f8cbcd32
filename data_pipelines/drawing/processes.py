"""Many pictures at once, drawn by as many processes as there are cores: threads would wait for each other's Python.

The processes are started by their own command, and not by `multiprocessing`, which would run the user's script again in each.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from data_pipelines.avatars import AvatarSource

FEW = 1000  # pictures that one process has drawn before a second one would have started and helped


class DrawingError(RuntimeError):
    """A process that draws has failed, or was ended. The message says how."""


def draw_all(source: "AvatarSource") -> np.ndarray:
    """All pictures of a source, uint8[count, resolution, resolution, 3].

    Raises DrawingError if a process fails, with what it printed; the others are stopped.
    """
    count, side = len(source), source.resolution
    processes = min(cores(), count // FEW)
    if processes < 2:
        return source.drawn(np.arange(count))
    pictures = np.empty((count, side, side, 3), np.uint8)
    ends = np.linspace(0, count, processes + 1).astype(int)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running: list[subprocess.Popen[bytes]] = []

    def fill(process: subprocess.Popen[bytes], command: str, first: int, last: int) -> None:
        drawn, printed = process.communicate()
        if process.returncode < 0:
            raise DrawingError(
                f"{command}: ended by signal {-process.returncode}; perhaps the memory was full, then draw fewer pictures"
            )
        if process.returncode:
            raise DrawingError(f"{command} failed:\n{printed.decode(errors='replace')}")
        pictures[first:last] = np.frombuffer(drawn, np.uint8).reshape(-1, side, side, 3)

    with ThreadPoolExecutor(processes) as pool:
        try:
            parts = []
            for first, last in pairwise(ends.tolist()):
                settings = [source.split, str(side), source.style, str(first), str(last)]
                command = [sys.executable, "-m", __name__, *settings]
                running.append(
                    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
                )
                parts.append(pool.submit(fill, running[-1], " ".join(command), first, last))
            for part in as_completed(parts):
                part.result()
        finally:
            for process in running:
                process.kill()  # without effect on those that have ended
    return pictures


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Write pictures `first` to `last` - 1 of a source to the standard output."""
    from data_pipelines.avatars import AvatarSource  # which imports this module

    split, side, style, first, last = sys.argv[1:]
    source = AvatarSource(split, int(last), int(side), style)  # pyright: ignore[reportArgumentType]
    sys.stdout.buffer.write(source.drawn(np.arange(int(first), int(last))).tobytes())


if __name__ == "__main__":
    main()
