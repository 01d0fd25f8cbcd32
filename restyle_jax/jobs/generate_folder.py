"""Generate pictures of seeds into a folder."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image
from tqdm import tqdm

from restyle_jax import checkpoints, zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.options import fingerprint
from restyle_jax.jobs.outputs import OutputFolder, Setting, saved_picture
from restyle_jax.model import generate
from restyle_jax.ops.images import to_bytes
from restyle_jax.viz import GridRow, picture_grid

PRODUCTS = re.compile(r"seed\d{4,}\.png|sheet\.png|settings\.json")
SHEET_COLUMNS = 8
SHEET_PICTURES = 64
SHEET_CELL = 256


@dataclass(frozen=True)
class GenerateOptions:
    """What to generate with; `label` is a class index for conditional generators, `dtype` "float32" or "bfloat16"."""

    checkpoint: Path
    truncation_psi: float = 0.7
    label: int | None = None
    batch_size: int = 4
    dtype: str = "float32"
    overwrite: bool = False

    def description(self) -> dict[str, Setting]:
        """The settings that pictures depend on, for people to read."""
        kept = ("truncation_psi", "label", "dtype")
        return {"checkpoint": zoo.label(self.checkpoint), **{key: asdict(self)[key] for key in kept}}


def generate_folder(seeds: Sequence[int], output: Path, options: GenerateOptions) -> None:
    """Write `seed<number>.png` for every seed, `sheet.png` and `settings.json` into the folder `output`.

    Pictures that are there from an earlier run with the same settings are kept.

    Raises:
      OutputError: `output` cannot be used or written.
      CheckpointError: the checkpoint cannot be read, has no generator, needs (or does not know) a class, or makes pictures that
        are not finite.
    """
    identity = {**options.description(), "checkpoint": fingerprint(options.checkpoint)}
    files = {seed: output / f"seed{seed:04d}.png" for seed in seeds}
    with OutputFolder.claim(output, "generate") as folder:
        if not options.overwrite:
            folder.expect(identity)
        todo = [seed for seed, file in files.items() if options.overwrite or not file.exists()]
        if todo:
            _generate(folder, todo, files, options, identity)
        _write_sheet(folder, list(files.items())[:SHEET_PICTURES])
        folder.write_json(folder.root / "settings.json", {**options.description(), "seeds": list(seeds)})


def _generate(
    folder: OutputFolder,
    seeds: Sequence[int],
    files: Mapping[int, Path],
    options: GenerateOptions,
    identity: Mapping[str, Setting],
) -> None:
    model = checkpoints.load(options.checkpoint, dtype=jnp.dtype(options.dtype))
    size = min(options.batch_size, len(files))
    chunks = [seeds[start : start + size] for start in range(0, len(seeds), size)]

    def make(chunk: Sequence[int]) -> np.ndarray:
        try:
            made = generate(model, chunk, truncation_psi=options.truncation_psi, label=options.label, batch_size=size)
        except ValueError as error:  # no generator, or a label that does not fit it
            raise CheckpointError(str(error)) from error
        if broken := [str(seed) for seed, picture in zip(chunk, made, strict=True) if not np.isfinite(picture).all()]:
            raise CheckpointError.broken(
                options.checkpoint, f"numbers that are not finite in the pictures of seeds {', '.join(broken)}"
            )
        return made

    made = map(make, chunks)
    first = next(made)  # whatever is wrong with the request shows here, before earlier results are replaced
    if options.overwrite:
        folder.clear(PRODUCTS)
    folder.start(identity)
    with tqdm(total=len(seeds), unit="image", desc="Generating", dynamic_ncols=True) as bar:
        for chunk, pictures in zip(chunks, itertools.chain([first], made), strict=True):
            for seed, picture in zip(chunk, pictures, strict=True):
                folder.write_png(files[seed], to_bytes(picture))
                bar.update()


def _write_sheet(folder: OutputFolder, files: Sequence[tuple[int, Path]]) -> None:
    columns = min(SHEET_COLUMNS, len(files))
    rows = []
    cell = (SHEET_CELL, SHEET_CELL)
    for start in range(0, len(files), columns):
        part = files[start : start + columns]
        pictures = []
        for _, file in part:
            image = saved_picture(file)
            cell = (min(cell[0], image.height), min(cell[1], image.width))
            pictures.append(np.asarray(image.resize((cell[1], cell[0]), Image.Resampling.LANCZOS)))
        rows.append(GridRow("", pictures, [f"seed {seed}" for seed, _ in part]))
    folder.write_png(folder.root / "sheet.png", picture_grid([""] * columns, rows, *cell))
