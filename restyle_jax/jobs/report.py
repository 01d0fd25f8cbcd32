"""The files that sum up an inversion job: latents.npz, metrics.json, grid.png, change.png and change.npz."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from PIL import Image

from data_pipelines.folder import ImageError, Photo, Reader, open_file
from data_pipelines.preparation import input_reader
from restyle_jax.jobs.outputs import OutputError, OutputFolder, Setting, saved_picture
from restyle_jax.jobs.records import Records
from restyle_jax.ops.images import shown, to_bytes
from restyle_jax.viz import GridRow, change_figure, picture_grid

PRODUCTS = re.compile(r"steps/\d+/.+\.png|latents\.npz|metrics\.json|grid(_\d+)?\.png|change\.(png|npz)", re.DOTALL)
"""The paths in its folder of everything that an inversion job puts there."""

# A page of the grid holds as many rows as fit into these, so that its memory is bounded and image viewers can open it.
PAGE_ROWS = 128
PAGE_PIXELS = 30_000_000
MAX_PAGES = 8
LARGE_CELLS_PIXELS = 16_000_000  # up to this, cells are as large as the encoder's input, beyond it half that


@dataclass(frozen=True)
class Run:
    """What the reports say about a run: names of the N steps, the encoder's input size, settings, versions, device, and what the
    encoder looks at (`Model.inputs` and `input_channels`)."""

    steps: list[str]
    height: int
    width: int
    settings: Mapping[str, Setting]
    versions: Mapping[str, str]
    device: Mapping[str, str | int]
    inputs: Literal["photo", "sketch", "label map"] = "photo"
    channels: int = 3

    def save(self, folder: OutputFolder) -> None:
        folder.write_json(folder.work / "run.json", asdict(self))

    @classmethod
    def load(cls, folder: OutputFolder) -> "Run":
        """Raises OutputError if the file is damaged or gone."""
        file = folder.work / "run.json"
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise OutputError(
                f"{file}: damaged ({error}). Choose another --output, or start again with --overwrite."
            ) from error


def average_image_file(folder: OutputFolder) -> Path:
    """Where a job keeps the picture of the average code, the grid's second column."""
    return folder.work / "average.png"


def is_complete(folder: OutputFolder, records: Records) -> bool:
    """Whether the reports exist and cover every finished photo."""
    files = [folder.root / name for name in ("latents.npz", "metrics.json", "grid.png", "change.png", "change.npz")]
    if not all(file.exists() for file in files):
        return False
    try:
        metrics = json.loads((folder.root / "metrics.json").read_text(encoding="utf-8"))
        return set(metrics["images"]) == set(records.inverted)
    except (ValueError, KeyError, TypeError):  # damaged
        return False


def write_reports(folder: OutputFolder, records: Records, photos: Sequence[Photo], skipped: Mapping[str, str]) -> None:
    """Write all reports about the finished photos (at least one).

    `photos` are this run's inputs, for the first column of the grid; `skipped` says why each unreadable photo is missing.
    `metrics.json` comes last: `is_complete` relies on it.
    """
    run = Run.load(folder)
    assert records.change_sum is not None
    with folder.writing_npz(folder.root / "latents.npz") as add:
        for name, latents in records.latents():
            add(name, latents)
    change = (records.change_sum / max(len(records.summed), 1)).astype(np.float32)
    with folder.writing_npz(folder.root / "change.npz") as add:
        add("maps", change)
    folder.write_png(folder.root / "change.png", change_figure(change, run.steps))
    for number, page in enumerate(_grid_pages(folder, records, run, photos), start=1):
        folder.write_png(folder.root / ("grid.png" if number == 1 else f"grid_{number}.png"), page)
    folder.write_json(folder.root / "metrics.json", _metrics(records, run, change, skipped))


def _metrics(records: Records, run: Run, change: np.ndarray, skipped: Mapping[str, str]) -> dict:
    images = [records.inverted[name] for name in sorted(records.inverted)]
    amounts = change.mean(axis=(1, 2))
    return {
        "mean": {
            "l2": [_mean_of_finite(errors) for errors in zip(*(image.l2 for image in images), strict=True)],
            "share_of_change": (amounts / max(float(amounts.sum()), 1e-12)).tolist(),
        },
        "seconds_per_image": median(timing.seconds / timing.slots for timing in records.timings),
        "compile_seconds": sum(timing.compile_seconds for timing in records.timings),
        "steps": run.steps,
        "settings": run.settings,
        "versions": run.versions,
        "device": run.device,
        "skipped": skipped,
        "images": {image.name: {"l2": image.l2, "file": image.output} for image in images},
    }


def _mean_of_finite(values: Sequence[float | None]) -> float | None:
    """The mean of those that are finite; None if none is."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(finite)) if finite else None


def _grid_pages(folder: OutputFolder, records: Records, run: Run, photos: Sequence[Photo]) -> Iterator[np.ndarray]:
    """Pages of the grid, u8[H, W, 3]: input, average image and every step, one row per photo, for the first pages' photos."""
    columns = ["input", "average", *run.steps]
    names = sorted(records.inverted)
    whole = len(names) * len(columns) * run.height * run.width
    shrink = 1 if whole <= LARGE_CELLS_PIXELS else 2
    height, width = run.height // shrink, run.width // shrink
    rows = max(1, min(PAGE_ROWS, PAGE_PIXELS // (len(columns) * height * width)))
    paths = {photo.name: photo.path for photo in photos}
    average = _saved(average_image_file(folder), height, width)
    read = input_reader(run.inputs, run.height, run.width, run.channels)

    def row(name: str) -> GridRow:
        steps = [_saved(file, height, width) for file in records.pictures(name)]
        notes = ["", "", *("" if value is None else f"L2 {value:.4f}" for value in records.inverted[name].l2)]
        return GridRow(name, [_input(paths.get(name), read, height, width), average, *steps], notes)

    with ThreadPoolExecutor() as pool:
        for start in range(0, min(len(names), MAX_PAGES * rows), rows):
            yield picture_grid(columns, pool.map(row, names[start : start + rows]), height, width)


def _input(path: Path | None, read: Reader, height: int, width: int) -> np.ndarray | None:
    """The photo as the encoder sees it, or None if it is not among this run's inputs any more."""
    if path is None:
        return None
    try:
        with open_file(path) as file:
            seen = Image.fromarray(to_bytes(shown(read(file, str(path)))))
    except (ImageError, OSError):
        return None  # it could be read when it was inverted; the grid shows an empty cell
    return np.asarray(seen.resize((width, height), Image.Resampling.BILINEAR))


def _saved(file: Path, height: int, width: int) -> np.ndarray | None:
    """A picture that this job or an earlier one wrote, or None if it is gone and was not made again.

    Raises OutputError if it is damaged.
    """
    if not file.exists():
        return None
    return np.asarray(saved_picture(file).resize((width, height), Image.Resampling.LANCZOS))
