"""What an inversion job has finished so far, kept on disk batch by batch, so that a killed job loses one batch at most."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_pipelines.npz import UNREADABLE, load_archive
from restyle_jax.jobs.outputs import OutputError, OutputFolder


@dataclass(frozen=True)
class Inverted:
    """One finished photo.

    `name` is the photo's, `output` the name of its pictures under `steps/<i>/`; `size`, `modified` (ns) and `checksum`
    identify the file that was inverted; `l2` holds N mean squared errors, None where there is no picture to compare with.
    """

    name: str
    output: str
    size: int
    modified: int
    checksum: int
    l2: list[float | None]

    @property
    def diverged(self) -> bool:
        """Whether a picture has values that are not finite."""
        return not all(error is None or math.isfinite(error) for error in self.l2)


@dataclass(frozen=True)
class Timing:
    """Wall time of one batch on the device: `seconds` without compiling, for `slots` pictures (padding included)."""

    seconds: float
    compile_seconds: float
    slots: int


class Records:
    """The finished photos of an output folder, and the sum of their change maps.

    On disk, in the job's hidden folder: `batches/<n>.npz` for each batch (its photos, timing, latents) and
    `change/<n>.npz`, the sum over batches 0..n. The sum is written before its batch, and the batch's appearance is what
    makes both count; a sum without its batch is from a killed process and is ignored.
    """

    def __init__(self, folder: OutputFolder):
        self._folder = folder
        self._batches = folder.work / "batches"
        self._sums = folder.work / "change"
        self.inverted: dict[str, Inverted] = {}
        self.timings: list[Timing] = []
        self.change_sum: np.ndarray | None = None
        self.summed: set[str] = set()  # names of the photos in that sum
        self._place: dict[str, tuple[Path, int]] = {}
        self._count = 0
        try:
            self._read()
        except UNREADABLE as error:
            raise OutputError(
                f"{folder.root}: its record of finished photos is damaged ({error}). Choose another --output, or start "
                "again with --overwrite."
            ) from error

    def _read(self) -> None:
        for path in sorted(self._batches.glob("*.npz")):
            with load_archive(path) as batch:
                about = json.loads(str(batch["about"]))
            self._add(path, [Inverted(**photo) for photo in about["photos"]], Timing(**about["timing"]))
        if self._count:
            with load_archive(self._sum_file(self._count - 1)) as file:
                self.change_sum = file["sum"]

    def _add(self, path: Path, photos: Sequence[Inverted], timing: Timing) -> None:
        for row, photo in enumerate(photos):
            self.inverted[photo.name] = photo
            self._place[photo.name] = (path, row)
            if not photo.diverged:
                self.summed.add(photo.name)
        self.timings.append(timing)
        self._count += 1

    @property
    def diverged(self) -> tuple[str, ...]:
        """The names of photos with errors that are not finite, sorted. They are in no change map."""
        return tuple(sorted(name for name, photo in self.inverted.items() if photo.diverged))

    def pictures(self, name: str) -> list[Path]:
        """The files with the N pictures of a finished photo."""
        photo = self.inverted[name]
        return [self._folder.place(step_picture(step, photo.output)) for step in range(len(photo.l2))]

    def is_whole(self, name: str) -> bool:
        """Whether the photo is finished and none of its pictures has been removed since."""
        return name in self.inverted and all(file.exists() for file in self.pictures(name))

    def _sum_file(self, number: int) -> Path:
        return self._sums / f"{number:08d}.npz"

    def commit(self, photos: Sequence[Inverted], latents: np.ndarray, change: np.ndarray, timing: Timing) -> None:
        """Record a finished batch: latents f32[len(photos), N, K, w_dim], change f64[N, H, W] summed over those of its photos that
        are not in the sum yet."""
        total = change if self.change_sum is None else self.change_sum + change
        number = self._count
        with self._folder.writing_npz(self._sum_file(number)) as add:
            add("sum", total)
        path = self._batches / f"{number:08d}.npz"
        about = json.dumps({"photos": [asdict(photo) for photo in photos], "timing": asdict(timing)})
        with self._folder.writing_npz(path) as add:
            add("about", np.array(about))
            add("latents", latents)
        self._add(path, photos, timing)
        self.change_sum = total
        if number:
            self._sum_file(number - 1).unlink()

    def latents(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, f32[N, K, w_dim]) for each finished photo, sorted by name, one batch at a time in memory."""
        opened, codes = None, np.empty(0)
        for name in sorted(self.inverted):
            path, row = self._place[name]
            if path != opened:
                with load_archive(path) as batch:
                    opened, codes = path, batch["latents"]
            yield name, codes[row]


def step_picture(step: int, output: str) -> PurePosixPath:
    """Where the picture after step `step`, from 0, lies in an output folder."""
    return PurePosixPath("steps", str(step + 1), output)


def choose_outputs(names: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """The file name under `steps/<i>/` for each photo name: its extension becomes `.png`.

    Where several photos would share one (`a.jpg` and `a.png`), each keeps its extension as well (`a.jpg.png`,
    `a.png.png`). known: those of an earlier run's photos, which keep them. Names that differ only in case count as equal, as
    they do on macOS and Windows.
    """
    used = {output.casefold() for output in known.values()}
    results = (*names, *known.values())
    folders = {str(parent).casefold() for result in results for parent in PurePosixPath(result).parents}
    short = {name: str(PurePosixPath(name).with_suffix(".png")) for name in names}
    wanted = Counter(output.casefold() for output in short.values())
    chosen = {name: known[name] for name in names if name in known}
    for name in names:
        if name in chosen:
            continue
        output, long, number = short[name], name, 1
        if any(str(parent).casefold() in used for parent in PurePosixPath(name).parents):
            long = name.replace("/", "_")  # an earlier result lies where its folder would be
            output = f"{long}.png"
        if wanted[short[name].casefold()] > 1:
            output = f"{long}.png"
        while output.casefold() in used or output.casefold() in folders:
            output = f"{long}.png" if number == 1 else f"{long}.{number}.png"
            number += 1
        used.add(output.casefold())
        chosen[name] = output
    return chosen
