"""What people look at while a run trains: metrics.jsonl, TensorBoard events, picture grids, a progress bar."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import einops
import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tqdm import tqdm

from restyle_jax.ops.images import to_bytes
from restyle_jax.train.workdir import replace_text, writing
from restyle_jax.viz import GridRow, picture_grid

SMALLEST_CELL, LARGEST_CELL = 64, 256  # pixels of a picture in a grid


class Logs:
    """Writes into `workdir`; only process 0 has one.

    A run that continues after step `start` first removes what was logged after it (and of that step's evaluation, if it was not
    `evaluated`), so that metrics.jsonl has the lines of a run that was never interrupted, but for `timing`.
    """

    def __init__(self, workdir: Path, start: int, steps: int, *, evaluated: bool) -> None:
        self._lines, self._images = workdir / "metrics.jsonl", workdir / "images"
        tensorboard = workdir / "tensorboard"
        for folder in (self._images, tensorboard):
            with writing(folder):
                folder.mkdir(exist_ok=True)
        with writing(self._lines):
            _cut(self._lines, start, evaluated)
            self._file = self._lines.open("a", encoding="utf-8")
        with writing(tensorboard):
            # The synchronous writer: that of SummaryWriter stops without a word when the disk is full.
            self._events = EventsWriter(str(tensorboard / "events"), filename_suffix=f".{start}.{os.getpid()}")
            if start:
                self._event(start + 1, session_log=SessionLog(status=SessionLog.START))  # hides events after `start`
        self._bar = tqdm(total=steps, initial=start, unit="step", disable=None, dynamic_ncols=True, file=sys.stderr)

    def advance(self, step: int) -> None:
        """Move the progress bar."""
        self._bar.update(step - self._bar.n)

    def write(self, step: int, kind: str, values: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, {"step", "kind", name: value ..., "timing": {...}}, and a TensorBoard scalar for each."""
        with writing(self._lines):
            self._file.write(json.dumps({"step": step, "kind": kind, **values, "timing": dict(timing)}) + "\n")
            self._file.flush()
            for name, value in {**values, **{f"timing/{name}": value for name, value in timing.items()}}.items():
                self._event(step, summary=summary.scalar(f"{kind}/{name}", value))
            self._events.flush()
        if "loss" in values:
            self._bar.set_postfix(loss=f"{values['loss']:.4g}", refresh=False)

    def pictures(
        self, step: int, name: str, pictures: np.ndarray, columns: Sequence[str], captions: Sequence[str]
    ) -> None:
        """A sheet of f32[rows, columns, h, w, 3] as images/<name>_<step>.png and in TensorBoard."""
        factor = -(-SMALLEST_CELL // pictures.shape[3])  # small pictures are enlarged, so that the titles have room
        shown = einops.repeat(to_bytes(pictures), "r n h w c -> r n (h i) (w j) c", i=factor, j=factor)
        height, width = (min(size, LARGEST_CELL) for size in shown.shape[2:4])
        rows = [GridRow(caption, list(row)) for caption, row in zip(captions, shown, strict=True)]
        grid = picture_grid(columns, rows, height, width)
        file = self._images / f"{name}_{step:08d}.png"
        with writing(file):
            Image.fromarray(grid).save(file)
            self._event(step, summary=summary.image(f"pictures/{name}", grid, dataformats="HWC"))
            self._events.flush()

    def close(self) -> None:
        """Close the files and the bar."""
        self._bar.close()
        self._file.close()
        self._events.close()

    def _event(self, step: int, **content: object) -> None:
        self._events.write_event(Event(step=step, wall_time=time.time(), **content))  # pyright: ignore[reportArgumentType]


def _cut(lines: Path, start: int, evaluated: bool) -> None:
    """Drop the lines after step `start`, those of an evaluation that will be repeated, and those that cannot be read, as a killed
    process or a damaged disk leaves them."""
    if not lines.exists():
        return
    last = (start, evaluated)
    text = lines.read_text(encoding="utf-8", errors="replace")
    kept = [line for line in text.splitlines(keepends=True) if _place(line) <= last]
    replace_text(lines, "".join(kept))


def _place(line: str) -> tuple[float, bool]:
    """The step of a line, and whether it is of the evaluation after it."""
    try:
        entry = json.loads(line) if line.endswith("\n") else {}
        return entry["step"], entry["kind"] == "test"
    except (ValueError, KeyError, TypeError):
        return float("inf"), True
