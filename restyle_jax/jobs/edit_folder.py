"""Edit photos, or codes of photos, into a folder: pictures of every strength, strips, morphs, codes and what was changed."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import einops
import numpy as np
from PIL import Image
from tqdm import tqdm

from data_pipelines.folder import ImageError
from restyle_jax.jobs.edit_inputs import Codes, Photos, Saved, open_inputs
from restyle_jax.jobs.edit_measures import Measures, cropped
from restyle_jax.jobs.edit_options import EditOptions, strength_text
from restyle_jax.jobs.edit_records import Edited, EditRecords
from restyle_jax.jobs.edit_report import is_complete, write_report
from restyle_jax.jobs.edits import Edit, edit_of
from restyle_jax.jobs.outputs import OutputFolder
from restyle_jax.jobs.records import choose_outputs
from restyle_jax.model import Model
from restyle_jax.ops.images import to_bytes
from restyle_jax.viz import GridRow, picture_grid, there_and_back

PRODUCTS = re.compile(r"(strength_-?\d[\d.e+-]*|strips)/.+\.png|morphs/.+\.gif|latents\.npz|metrics\.json", re.DOTALL)
STRIP_CELL = 256
MORPH_SIDE, MORPH_FRAMES, MORPH_MILLISECONDS = 512, 24, 50


@dataclass(frozen=True)
class Outcome:
    """How a job ended: photos edited now, photos that were done before, why others were skipped, and what the report says."""

    edited: int
    done_before: int
    skipped: Mapping[str, str]
    report: Mapping[str, Any]


def edit_folder(
    inputs: Sequence[Path], output: Path, options: EditOptions, say: Callable[[str], None] = tqdm.write
) -> Outcome:
    """Edit photos (files and folders) or one `latents.npz` into the folder `output`; `restyle edit --help` lists its files.

    Unreadable photos, and those whose inversion diverges, are skipped and named in the outcome. Photos that an earlier run finished
    are not done again, unless a picture of theirs is gone. `say` receives messages for people.

    Raises:
      ImageError: an input does not exist, a reference cannot be read, or there are no photos that can.
      OutputError: `output` cannot be used or written.
      CheckpointError: a checkpoint, direction or network cannot be read, lacks something, or does not fit the others.
    """
    identity = options.identity()
    with OutputFolder.claim(output, "edit") as folder:
        folder.refuse_inputs(inputs)
        if not options.overwrite:
            folder.expect(identity)
        model, source = open_inputs(
            inputs, options.checkpoint, steps=options.steps, dtype=options.dtype, exclude=output
        )
        records = None if options.overwrite else EditRecords(folder)
        if records is not None:
            done = [name for name in source.names if name in records.edited]
            edited = records.edited
            folder.refuse_changed(done, lambda name: source.checksum(name) != edited[name].checksum)
        todo = [name for name in source.names if records is None or not records.is_whole(name)]
        if records is not None and not todo and (report := is_complete(folder, records)):
            say(f"Nothing to do: all {len(source.names)} photos are edited already, in {output}.")
            return Outcome(0, len(source.names), {}, report)

        batch_size = min(options.batch_size, len(source.names))
        edit = edit_of(options, model, batch_size)
        measures = Measures.of(options, model, edit, batch_size)
        if records is None:
            folder.clear(PRODUCTS)
            records = EditRecords(folder)
        folder.start(identity)
        before = len(records.edited.keys() - set(todo))
        skipped: dict[str, str] = {}
        job = _Job(folder, records, options, model, edit, measures, batch_size, say)
        job.run(source, todo, skipped)
        if not records.edited:
            raise ImageError(f"{inputs[0]}: none of the {len(todo)} photos can be read and inverted.")
        report = write_report(folder, records, options, edit, measures, skipped)
        return Outcome(len(todo) - len(skipped), before, skipped, report)


@dataclass
class _Job:
    """One run over photos with everything loaded."""

    folder: OutputFolder
    records: EditRecords
    options: EditOptions
    model: Model
    edit: Edit
    measures: Measures
    batch_size: int
    say: Callable[[str], None]

    def run(self, source: Photos | Saved, names: Sequence[str], skipped: dict[str, str]) -> None:
        """Edit and record all readable photos; why others were skipped goes into `skipped`."""
        known = {edited.name: edited.output for edited in self.records.edited.values()}
        outputs = choose_outputs(names, known)
        with (
            tqdm(total=len(names), unit="image", desc="Editing", dynamic_ncols=True) as bar,
            ThreadPoolExecutor(thread_name_prefix="write-pictures") as writers,
        ):

            def skip(name: str, error: ImageError) -> None:
                skipped[name] = str(error)
                self.say(f"Skipped {error}")
                bar.update()

            for name in names:
                if any(map(self.folder.too_long, self._places(outputs[name]))):
                    skip(name, ImageError(f"{name}: its results need a longer name than can be. Shorten its name."))
            named = [name for name in names if name not in skipped]
            for codes in source.batches(self.model, named, self.batch_size, skip):
                for edited, moved in self._edited(codes, outputs, writers):
                    self.records.commit(edited, moved)
                    bar.update()

    def _edited(
        self, codes: Codes, outputs: Mapping[str, str], writers: ThreadPoolExecutor
    ) -> Iterator[tuple[Edited, np.ndarray]]:
        """Each photo of a batch with its edited codes f32[n, ...], when its pictures are written."""
        strengths, morph = self.options.strengths, self.options.morph or ()
        # Strength 0 is the code as it is, in whichever space the edit takes place.
        ways = np.asarray(self.edit.codes(codes.latents, np.array([0.0, *strengths, *morph], np.float32)))
        moved = einops.rearrange(ways[:, 1 : 1 + len(strengths)], "way n b ... -> (way n) b ...")
        everything = np.concatenate([ways[0, :1], moved])
        pictures = self._pictures(everything)
        values = self.measures.values(everything, pictures)
        similar = self.measures.similarity(pictures)
        for row, name in enumerate(codes.names):
            output = outputs[name]
            places, strip, morphs = self._places(output), PurePosixPath("strips", output), self._morph_places(output)
            edited = Edited(
                name,
                output,
                codes.checksums[row],
                {judge: value[:, row].tolist() for judge, value in values.items()},
                None if similar is None else similar[1:, row].tolist(),
                [str(place) for place in (*places, strip, *morphs)],
            )
            bytes_of = [to_bytes(picture) for picture in pictures[:, row]]
            shown = None if codes.inputs is None else codes.inputs[row]
            list(writers.map(self._write_picture, places, bytes_of[1:]))
            self._write_picture(strip, self._strip(edited, shown, bytes_of))
            if morphs:
                self._write_morphs(morphs, ways[:, -2:, row])
            yield edited, moved[:, row]

    def _pictures(self, codes: np.ndarray) -> np.ndarray:
        """codes f32[n, B, ...] -> f32[n, B, H, W, 3]."""
        made = self.edit.pictures(codes.reshape(-1, *codes.shape[2:]))
        return cropped(self.model, made).reshape(*codes.shape[:2], *made.shape[1:])

    def _places(self, output: str) -> list[PurePosixPath]:
        return [
            PurePosixPath(f"strength_{strength_text(strength)}", way.name, output)
            for way in self.edit.ways
            for strength in self.options.strengths
        ]

    def _morph_places(self, output: str) -> list[PurePosixPath]:
        ways = self.edit.ways if self.options.morph else ()
        return [PurePosixPath("morphs", way.name, output).with_suffix(".gif") for way in ways]

    def _write_picture(self, place: PurePosixPath, pixels: np.ndarray) -> None:
        self.folder.write_png(self.folder.place(place), pixels)

    def _strip(self, edited: Edited, shown: np.ndarray | None, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Input (if it is known), reconstruction, reference (if there is one) and all strengths, one row for each way."""
        count = len(self.options.strengths)
        height, width = _fitted(pictures[0].shape, STRIP_CELL)
        titles = ["input"] * (shown is not None) + ["reconstruction"]
        before = [shown] * (shown is not None) + [pictures[0]]
        if self.edit.ways[0].picture is not None:
            titles.append("reference")
        rows = []
        for i, way in enumerate(self.edit.ways):
            first = [*before, *([] if way.picture is None else [way.picture])]
            part = slice(i * count, (i + 1) * count)
            caption = f"{edited.name}: {self.edit.name}" if i == 0 else ""
            notes = [*[""] * len(first), *self.measures.notes(edited, i, part)]
            rows.append(GridRow(caption, [*first, *pictures[1:][part]], notes))
        titles += [strength_text(strength) for strength in self.options.strengths]
        return picture_grid(titles, rows, height, width)

    def _write_morphs(self, places: Sequence[PurePosixPath], ends: np.ndarray) -> None:
        """GIFs between the codes ends f32[ways, 2, ...], straight and eased: slow at both ends."""
        share = (1 - np.cos(np.linspace(0, np.pi, MORPH_FRAMES))) / 2
        for place, (first, last) in zip(places, ends, strict=True):
            weights = share.reshape(-1, *[1] * first.ndim).astype(np.float32)
            frames = to_bytes(cropped(self.model, self.edit.pictures(first + weights * (last - first))))
            height, width = _fitted(frames.shape[1:], MORPH_SIDE)
            small = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)) for f in frames]
            with self.folder.writing(self.folder.place(place)) as path:
                path.write_bytes(there_and_back(small, MORPH_MILLISECONDS))


def _fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width of pictures [height, width, ...] whose width is at most `side`."""
    height, width = shape[:2]
    return (height * side // width, side) if width > side else (height, width)
