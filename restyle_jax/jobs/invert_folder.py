"""Invert photos into a folder: reading, device and writing overlap, memory is bounded, a killed job continues."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import einops
import jax
import numpy as np
from tqdm import tqdm

from data_pipelines.folder import Batch, ImageError, Photo, batches, file_checksum, list_photos
from data_pipelines.preparation import input_reader
from restyle_jax.jobs import environment
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.jobs.options import InvertOptions, load_models
from restyle_jax.jobs.outputs import OutputError, OutputFolder
from restyle_jax.jobs.records import Inverted, Records, Timing, choose_outputs, step_picture
from restyle_jax.jobs.report import PRODUCTS, Run, average_image_file, is_complete, write_reports
from restyle_jax.model import Model, invert
from restyle_jax.ops.images import to_bytes
from restyle_jax.refine import Inversion

THREADS = min(8, os.cpu_count() or 2)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: photos inverted now, photos that were done before, why others were skipped, and which of those that are
    done have results that are not finite."""

    inverted: int
    done_before: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    diverged: Sequence[str] = ()


def invert_folder(
    inputs: Sequence[Path], output: Path, options: InvertOptions, say: Callable[[str], None] = tqdm.write
) -> Outcome:
    """Invert every photo in `inputs` (files and folders) into the folder `output`; `restyle invert --help` lists its files.

    Unreadable photos are skipped; the outcome names them, and photos whose inversion diverged. Photos that an earlier run
    finished are not done again, unless a picture of theirs is gone. `say` receives messages for people.

    Raises:
      ImageError: an input does not exist or there are no photos.
      OutputError: `output` cannot be used or written.
      CheckpointError: a checkpoint cannot be read, lacks a network, or two checkpoints do not fit together.
    """
    photos = list_photos(inputs, exclude=output)
    identity = options.identity()
    with OutputFolder.claim(output, "invert") as folder:
        folder.refuse_inputs(inputs)
        records = None if options.overwrite else Records(folder)
        if records is not None:
            folder.expect(identity)
            done = {photo.name: photo for photo in photos if photo.name in records.inverted}
            inverted = records.inverted
            folder.refuse_changed(done, lambda name: _has_changed(done[name], inverted[name]))
            _refuse_renamed(photos, records, output)
        todo = [photo for photo in photos if records is None or not records.is_whole(photo.name)]
        if records is not None and not todo and is_complete(folder, records):
            say(f"Nothing to do: all {len(photos)} photos are inverted already, in {output}.")
            return Outcome(0, len(photos), diverged=records.diverged)

        models = load_models(options) if todo else None
        if records is None:
            folder.clear(PRODUCTS)
            records = Records(folder)
        folder.start(identity)
        before = len(records.inverted.keys() - {photo.name for photo in todo})
        skipped: dict[str, str] = {}
        if models is not None:
            batch_size = min(
                options.batch_size, len(photos)
            )  # not len(todo): a continued job repeats the whole one's shapes
            skipped = _Job(folder, records, options, *models, batch_size, say).run(todo)
        if records.inverted:
            say("Writing latents.npz, metrics.json, grid.png and change.png ...")
            write_reports(folder, records, photos, skipped)
        return Outcome(len(todo) - len(skipped), before, skipped, records.diverged)


def _has_changed(photo: Photo, known: Inverted) -> bool:
    """Whether the file has other content than the photo of its name that was inverted."""
    stat = photo.path.stat()
    touched = (stat.st_size, stat.st_mtime_ns) != (known.size, known.modified)
    return touched and file_checksum(photo.path) != known.checksum


def _refuse_renamed(photos: Sequence[Photo], records: Records, output: Path) -> None:
    """Raise OutputError if all finished photos go by other names, as more or fewer folders are given: they would be done twice."""
    if any(photo.name in records.inverted for photo in photos):
        return
    missing = {
        (PurePosixPath(known.name).name, known.size, known.modified): known for known in records.inverted.values()
    }
    for photo in photos:
        with suppress(OSError, ImageError):
            stat = photo.path.stat()
            known = missing.get((PurePosixPath(photo.name).name, stat.st_size, stat.st_mtime_ns))
            if known and _same_end(photo.name, known.name) and file_checksum(photo.path) == known.checksum:
                raise OutputError(
                    f"{output}: holds results of {photo.path} under the name {known.name}, which with these inputs is "
                    f"{photo.name}. Give the same --input as before, or choose another --output."
                )


def _same_end(name: str, other: str) -> bool:
    """Whether one path is the other with folders before it."""
    return f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")


@dataclass
class _Job:
    """One run over a list of photos with loaded models."""

    folder: OutputFolder
    records: Records
    options: InvertOptions
    model: Model
    first: Model | None
    batch_size: int
    say: Callable[[str], None]

    def run(self, photos: Sequence[Photo]) -> dict[str, str]:
        """Invert and record all readable photos; returns why others were skipped, by name."""
        known = {inverted.name: inverted.output for inverted in self.records.inverted.values()}
        outputs = choose_outputs([photo.name for photo in photos], known)
        average = np.asarray((self.first or self.model).average.y[0])
        self.folder.write_png(average_image_file(self.folder), to_bytes(average))
        self._describe()
        skipped: dict[str, str] = {}
        writing: deque[Future[int]] = deque()
        with (
            tqdm(total=len(photos), unit="image", desc="Inverting", dynamic_ncols=True) as bar,
            ThreadPoolExecutor(1, "commit") as committer,
            ThreadPoolExecutor(THREADS, "write-pictures") as writers,
            CompileClock() as clock,
        ):

            def skip(photo: Photo, error: ImageError) -> None:
                skipped[photo.name] = str(error)
                self.say(f"Skipped {error}")
                bar.update()

            for photo in photos:
                if self.folder.too_long(step_picture(0, outputs[photo.name])):
                    skip(
                        photo,
                        ImageError(f"{photo.path}: its results need a longer name than can be. Shorten its name."),
                    )
            named = [photo for photo in photos if photo.name not in skipped]
            height, width = average.shape[:2]
            read = input_reader(self.model.inputs, height, width, self.model.input_channels)
            for batch in batches(named, read, self.batch_size, on_error=skip, workers=THREADS):
                inversion, timing = self._invert(batch.images, clock)
                while writing:  # at most one batch is being written while the next is computed
                    bar.update(writing.popleft().result())
                writing.append(committer.submit(self._commit, batch, inversion, timing, average, outputs, writers))
            while writing:
                bar.update(writing.popleft().result())
        return skipped

    def _describe(self) -> None:
        """Save what the reports say about this run."""
        options, geometry = self.options, self.model.geometry
        names = [f"step {i + 1}" for i in range(self.model.passes(options.steps))]
        if self.first is not None:
            names = [f"bootstrap {i + 1}" for i in range(self.first.passes(options.bootstrap_steps))] + names
        run = Run(
            names,
            geometry.height,
            geometry.width,
            {**options.description(), "batch_size": self.batch_size},
            environment.versions(),
            environment.device(),
            self.model.inputs,
            self.model.input_channels,
        )
        run.save(self.folder)

    def _invert(self, images: np.ndarray, clock: CompileClock) -> tuple[Inversion, Timing]:
        started, compiled = time.perf_counter(), clock.seconds
        inversion = invert(
            self.model,
            images,
            self.options.steps,
            resize_outputs=self.options.resize_outputs,
            bootstrap_from=self.first,
            bootstrap_steps=self.options.bootstrap_steps,
        )
        jax.block_until_ready(inversion)
        compiling = clock.seconds - compiled
        return inversion, Timing(max(time.perf_counter() - started - compiling, 0.0), compiling, len(images))

    def _commit(
        self,
        batch: Batch,
        inversion: Inversion,
        timing: Timing,
        average: np.ndarray,
        outputs: Mapping[str, str],
        writers: ThreadPoolExecutor,
    ) -> int:
        """Write a batch's pictures, then record it; returns its number of photos."""
        rows = len(batch.photos)  # padding ends here
        latents, images = (np.asarray(part)[:, :rows] for part in inversion)

        def write(place: tuple[int, int]) -> np.ndarray:
            row, step = place
            target = self.folder.place(step_picture(step, outputs[batch.photos[row].name]))
            with np.errstate(over="ignore", invalid="ignore"):  # what diverged is reported once, at the end
                self.folder.write_png(target, to_bytes(images[step, row]))
                return at_encoder_size(images[step, row], *average.shape[:2])

        places = [(row, step) for row in range(rows) for step in range(len(images))]
        small = einops.rearrange(list(writers.map(write, places)), "(row step) h w c -> row step h w c", row=rows)
        with np.errstate(over="ignore", invalid="ignore"):
            # A sketch or a label map does not say what the picture should be: only whether it is one is measured.
            compared = self.model.inputs == "photo"
            target = batch.images[:rows, None] if compared else 0
            l2 = np.square(small - target).mean(axis=(2, 3, 4), dtype=np.float64)
        estimates = np.concatenate([np.broadcast_to(average, (rows, 1, *average.shape)), small], axis=1)
        new = [photo.name not in self.records.summed for photo in batch.photos]
        estimates = estimates[np.isfinite(l2).all(axis=1) & new]
        change = np.abs(np.diff(estimates, axis=1)).mean(axis=-1).sum(axis=0, dtype=np.float64)
        photos = []
        for photo, content, errors in zip(batch.photos, batch.contents, l2, strict=True):
            rounded = [float(f"{error:.7g}") if compared or not np.isfinite(error) else None for error in errors]
            photos.append(Inverted(photo.name, outputs[photo.name], *content, rounded))
        self.records.commit(photos, np.swapaxes(latents, 0, 1), change, timing)
        return rows


def at_encoder_size(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A saved result f32[H, W, 3] as the encoder sees it, f32[height, width, 3]: mean of blocks, or repeated pixels."""
    if image.shape[0] >= height:
        return einops.reduce(image, "(h i) (w j) c -> h w c", "mean", h=height, w=width)
    factor = height // image.shape[0]
    return einops.repeat(image, "h w c -> (h i) (w j) c", i=factor, j=factor)
