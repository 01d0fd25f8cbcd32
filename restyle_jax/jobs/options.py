"""What an inversion job is asked to do: its settings, their identity, and the models that they name."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from restyle_jax import checkpoints, zoo
from restyle_jax.checkpoints.native import files_of
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.outputs import Setting
from restyle_jax.model import Model

FINGERPRINT_PIECES = 17
FINGERPRINT_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class InvertOptions:
    """What to invert with. `batch_size` changes the speed, not the results; `dtype` is "float32" or "bfloat16"."""

    checkpoint: Path
    steps: int = 5
    batch_size: int = 4
    resize_outputs: bool = False
    bootstrap_from: Path | None = None
    bootstrap_steps: int = 1
    dtype: str = "float32"
    overwrite: bool = False

    def description(self) -> dict[str, Setting]:
        """The settings that results depend on, for people to read."""
        return {
            "checkpoint": zoo.label(self.checkpoint),
            "steps": self.steps,
            "resize_outputs": self.resize_outputs,
            "bootstrap_from": zoo.label(self.bootstrap_from) if self.bootstrap_from else None,
            "bootstrap_steps": self.bootstrap_steps if self.bootstrap_from else None,
            "dtype": self.dtype,
        }

    def identity(self) -> dict[str, Setting]:
        """The same with hashes for file names: two runs may share an output folder only if these agree.

        Raises CheckpointError if a checkpoint cannot be read.
        """
        bootstrap = fingerprint(self.bootstrap_from) if self.bootstrap_from else None
        return {**self.description(), "checkpoint": fingerprint(self.checkpoint), "bootstrap_from": bootstrap}


def fingerprint(path: Path) -> str:
    """A short hash of a file's size and of evenly spaced pieces of it, which takes milliseconds for gigabytes.

    Of a checkpoint of our format only its two files count, whatever else lies there; of other folders, such as those of reference
    photos, all files and their names. Raises CheckpointError if something cannot be read.
    """
    digest = hashlib.sha256()
    try:
        parts = files_of(path)
        if not parts:
            parts = sorted(part for part in path.rglob("*") if part.is_file())
            names = "\0".join(str(part.relative_to(path)) for part in parts)
            digest.update(names.encode("utf-8", "surrogateescape"))
        for part in parts:
            size = part.stat().st_size
            if not part.is_file():  # opening a named pipe would wait for a writer
                raise OSError("something that is not a regular file")
            digest.update(str(size).encode())
            last = max(size - FINGERPRINT_PIECE_BYTES, 0)
            with part.open("rb") as file:
                for offset in np.linspace(0, last, FINGERPRINT_PIECES, dtype=np.int64):
                    file.seek(int(offset))
                    digest.update(file.read(FINGERPRINT_PIECE_BYTES))
    except OSError as error:
        raise CheckpointError.explain(
            path, found=error.strerror or str(error), expected="a checkpoint", remedy="check the path"
        ) from error
    return digest.hexdigest()[:16]


def load_models(options: InvertOptions) -> tuple[Model, Model | None]:
    """The model to invert with, and the one to bootstrap from.

    Raises:
      CheckpointError: a checkpoint cannot be read, lacks an encoder or a generator, or the two do not fit together.
    """
    model = load_model(options.checkpoint, options.dtype, of_photos=options.bootstrap_from is not None)
    if options.bootstrap_from is None:
        return model, None
    first = load_model(options.bootstrap_from, options.dtype, of_photos=True)
    try:
        model.require_refining()
    except ValueError as error:
        raise CheckpointError(f"{error} (--bootstrap-from).") from error
    if _sizes(first) != _sizes(model):
        raise CheckpointError.explain(
            options.bootstrap_from,
            found=_sizes(first),
            expected=f"the same as in {options.checkpoint}, which has {_sizes(model)}",
            remedy="bootstrap from a model of the same size",
        )
    return model, first


def load_model(path: Path, dtype: str, *, of_photos: bool = False) -> Model:
    """A model with an encoder, one `of_photos` if so asked, and a generator, that computes in `dtype`. Raises CheckpointError if
    there is none in the file."""
    model = checkpoints.load(path, dtype=jnp.dtype(dtype))
    try:
        model.require_encoder()
        model.require_generator()
        if of_photos:
            model.require_photos()
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return model


def _sizes(model: Model) -> str:
    generator, w_avg = model.require_generator()
    height, width, top = dataclasses.astuple(model.geometry)
    return (
        f"K = {w_avg.shape[0]} styles of {w_avg.shape[1]} numbers, a {generator.config.resolution}-px generator and inputs "
        f"of {height} x {width} from row {top} on"
    )
