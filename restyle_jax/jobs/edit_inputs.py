"""Where the codes of an edit come from: photos that the checkpoint inverts first, or the codes that `restyle invert` saved."""

import dataclasses
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from data_pipelines.folder import ImageError, Photo, batches, file_checksum, list_photos, photo_reader
from data_pipelines.npz import UNREADABLE, finite_in_float32, load_archive
from restyle_jax import checkpoints, zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.options import load_model
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.model import Model, invert
from restyle_jax.ops.images import to_bytes


@dataclass(frozen=True)
class Codes:
    """`latents` f32[batch_size, K, w_dim]; row i belongs to `names[i]`, and comes from bytes of `checksums[i]`; rows beyond are
    padding. `inputs`: u8[H, W, 3] each."""

    names: list[str]
    checksums: list[int]
    latents: np.ndarray
    inputs: list[np.ndarray] | None


@dataclass(frozen=True)
class Photos:
    """Photos, each inverted in `steps` refinements."""

    photos: Sequence[Photo]
    steps: int

    @property
    def names(self) -> list[str]:
        return [photo.name for photo in self.photos]

    def checksum(self, name: str) -> int:
        return file_checksum(next(photo.path for photo in self.photos if photo.name == name))

    def batches(
        self, model: Model, names: Sequence[str], batch_size: int, skip: Callable[[str, ImageError], None]
    ) -> Iterator[Codes]:
        """The codes of the photos `names`; those that cannot be read, or whose inversion diverges, go to `skip`."""
        wanted = set(names)
        photos = [photo for photo in self.photos if photo.name in wanted]
        read = photo_reader(model.geometry.height, model.geometry.width)
        for batch in batches(photos, read, batch_size, on_error=lambda photo, error: skip(photo.name, error)):
            latents = np.asarray(invert(model, batch.images, self.steps, resize_outputs=True).latents[-1])
            rows = []
            for row, photo in enumerate(batch.photos):
                if np.isfinite(latents[row]).all():
                    rows.append(row)
                else:
                    reason = f"{photo.path}: its inversion diverged. Take fewer --steps, or --dtype float32."
                    skip(photo.name, ImageError(reason))
            if rows:
                yield Codes(
                    [batch.photos[row].name for row in rows],
                    [batch.contents[row].checksum for row in rows],
                    np.resize(latents[rows], latents.shape),
                    [to_bytes(batch.images[row]) for row in rows],
                )


@dataclass(frozen=True)
class Saved:
    """The last step of every photo in a `latents.npz`."""

    path: Path
    names: list[str]

    @classmethod
    def open(cls, path: Path, model: Model) -> "Saved":
        """Raises CheckpointError if the file cannot be read, is no `latents.npz`, or does not fit the generator."""
        shape = model.require_generator()[1].shape
        names = _names(path)
        with _archive(path) as file:
            for name in names:
                try:
                    codes = np.asarray(file[name])
                except UNREADABLE as error:
                    raise _unfit(path, f"something unreadable for {name} ({error})") from error
                if codes.ndim != 3 or codes.shape[1:] != shape or not len(codes) or codes.dtype.kind != "f":
                    raise _unfit(
                        path,
                        f"{codes.dtype}{list(codes.shape)} for {name}",
                        f"codes [steps, {shape[0]}, {shape[1]}] for the generator of {model.name}",
                    )
                if not finite_in_float32(codes[-1]):
                    raise _unfit(path, f"numbers that in float32 are not finite for {name}")
        return cls(path, names)

    def checksum(self, name: str) -> int:
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(f"{name}.npy").CRC

    def batches(self, model: Model, names: Sequence[str], batch_size: int, skip: object) -> Iterator[Codes]:
        """The codes of `names`; the last batch is filled up by repetition."""
        with _archive(self.path) as file:
            for start in range(0, len(names), batch_size):
                rows = list(names[start : start + batch_size])
                latents = np.stack([file[name][-1] for name in rows]).astype(np.float32)
                yield Codes(
                    rows,
                    [self.checksum(name) for name in rows],
                    np.resize(latents, (batch_size, *latents.shape[1:])),
                    None,
                )


def open_inputs(
    inputs: Sequence[Path], checkpoint: Path, *, steps: int, dtype: str, exclude: Path
) -> tuple[Model, Photos | Saved]:
    """The model, and what to edit: one `latents.npz`, or the photos in files and folders except for the folder `exclude`.

    Raises:
      ImageError: an input does not exist or there are no photos.
      OutputError: codes are given together with other inputs.
      CheckpointError: the checkpoint cannot be read or lacks a network, or the codes do not fit it.
    """
    saved = [path for path in inputs if path.suffix == ".npz"]
    if saved:
        if len(inputs) > 1:
            raise OutputError(f"{saved[0]}: is given together with other inputs. Give one latents.npz, or photos.")
        model = _named(checkpoints.load(checkpoint, dtype=jnp.dtype(dtype)), checkpoint)
        try:
            return model, Saved.open(saved[0], model)
        except ValueError as error:  # no generator
            raise CheckpointError(str(error)) from error
    photos = list_photos(inputs, exclude=exclude)
    return _named(load_model(checkpoint, dtype, of_photos=True), checkpoint), Photos(photos, steps)


def _named(model: Model, checkpoint: Path) -> Model:
    """The model under the name that people know it by."""
    return dataclasses.replace(model, name=zoo.label(checkpoint))


def _names(path: Path) -> list[str]:
    """The names of the photos in a `latents.npz`, sorted; all are paths that stay inside a folder."""
    with _archive(path) as file:
        assert file.zip is not None  # it is open
        members = Counter(file.zip.namelist())
    for member, count in members.items():
        name = member.removesuffix(".npy")
        if name == member:
            raise _unfit(path, f"{member!r}, which is no array")
        # Names that are not UTF-8 are saved with backslashes, which are letters where folders are not parted by them.
        parted = "\\" in name and os.sep == "\\"
        if parted or "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise _unfit(path, f"codes named {name!r}", "names of photos such as a.png or folder/a.png")
        if count > 1:
            raise _unfit(path, f"{count} codes named {name!r}", "one for each photo")
    if not members:
        raise _unfit(path, "no codes")
    return sorted(member.removesuffix(".npy") for member in members)


def _archive(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return load_archive(path)
    except UNREADABLE as error:
        raise _unfit(path, getattr(error, "strerror", None) or str(error)) from error


def _unfit(path: Path, found: str, expected: str = "a latents.npz of `restyle invert`") -> CheckpointError:
    remedy = "invert the photos with this checkpoint first, or give the photos themselves"
    return CheckpointError.explain(path, found=found, expected=expected, remedy=remedy)
