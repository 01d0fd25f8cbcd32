"""What the demo begins with: a model, pictures and directions, given or its own."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from data_pipelines.avatars import PICTURES_PER_IDENTITY, RESOLUTIONS, AvatarSource, render
from data_pipelines.folder import ImageError, list_photos, load_photos, photo_reader
from restyle_jax import checkpoints
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import ganspace
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs.edit_options import Along, EditOptions, Towards
from restyle_jax.jobs.edits import Edit, Way, edit_of
from restyle_jax.jobs.options import load_model
from restyle_jax.model import Model, synthesise
from restyle_jax.nets.edit_transformer import EditTransformer
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from restyle_jax.ops.images import resize, to_float

PICTURES = 8  # at most
COMPONENTS, CODES, FRESH = 3, 4000, 1000  # of GANSpace, where no direction is given
REACH, COMPONENT_REACH = 3.0, 2.0  # largest strength of a given direction, and in standard deviations
LABEL_REACH = 0.6  # the same of edits towards a label, in radii of W


@dataclass(frozen=True)
class Tools:
    """What the page works with. along, towards: edits along directions and towards labels, each with its largest strength; editor:
    for edits by reference, and distance: for optimisation, if there is one."""

    along: Sequence[tuple[Edit, float]]
    towards: Sequence[tuple[Edit, float]]
    editor: EditTransformer | None
    distance: PerceptualNetwork | None


def loaded(checkpoint: Path, dtype: str, *, inverting: bool) -> Model:
    """A model with a generator and, for inverting, an encoder of photos: any other is left out, or CheckpointError raised if it is
    needed."""
    if inverting:
        return load_model(checkpoint, dtype, of_photos=True)
    model = checkpoints.load(checkpoint, dtype=jnp.dtype(dtype))
    try:
        model.require_generator()
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return model if model.encoder and model.inputs == "photo" else dataclasses.replace(model, encoder=None)


def pictures(
    inputs: Sequence[Path], model: Model, say: Callable[[str], None], *, exclude: Path | None = None
) -> tuple[list[str], np.ndarray]:
    """Names, and pictures f32[B, height, width, 3] of the encoder's size: the first that can be read, or avatars that no training
    split has, each of another identity.

    exclude: a folder among the inputs that is left out. Raises ImageError if an input does not exist, or none can be read.
    """
    height, width = model.geometry.height, model.geometry.width
    if not inputs:
        side = min(max(width, RESOLUTIONS[0]), RESOLUTIONS[1])
        source = AvatarSource("test", PICTURES * PICTURES_PER_IDENTITY, side)
        numbers = np.arange(0, len(source), PICTURES_PER_IDENTITY)
        drawn = to_float(render(source.described(numbers), side))
        return [f"avatar {i + 1}" for i in range(PICTURES)], resize(drawn, height, width)
    photos = list_photos(inputs, exclude=exclude)
    names, found = [], []
    for photo, picture in load_photos(photos, photo_reader(height, width)):
        if isinstance(picture, ImageError):
            say(f"Skipped {picture}")
            continue
        names.append(photo.name)
        found.append(picture.pixels)
        if len(names) == PICTURES:
            break
    if not names:
        raise ImageError(f"{inputs[0]}: none of the {len(photos)} photos can be read.")
    if len(photos) > PICTURES:
        say(
            f"The demo shows the first {PICTURES} photos that can be read, of {len(photos)}; `restyle invert` takes all."
        )
    return names, np.stack(found)


def edits(directions: Sequence[Path], checkpoint: Path, model: Model, batch_size: int) -> list[tuple[Edit, float]]:
    """Edits along the first direction of each file, or along principal components, each with its largest strength.

    Raises CheckpointError if a file cannot be read or does not fit the model, which is that of `checkpoint`.
    """
    wanted = [EditOptions(checkpoint, Along(file), (REACH,)) for file in directions]
    given = [(edit_of(options, model, batch_size), REACH) for options in wanted]
    return given or _components(model, batch_size)


def label_edits(labels: Sequence[Towards], checkpoint: Path, model: Model, batch_size: int) -> list[tuple[Edit, float]]:
    """Edits by a label, under names for people, each with its largest strength. Raises CheckpointError as `edits`."""
    if not labels:
        return []
    generator, _ = model.require_generator()
    w = np.concatenate([codes.w for codes in random_codes(generator, FRESH, seed=0)])
    radius = float(np.sqrt(np.square(w - w.mean(0)).sum(-1).mean()))
    reach = float(f"{LABEL_REACH * radius:.1g}")  # shown on the page
    found = []
    for label in labels:
        edit = edit_of(EditOptions(checkpoint, label, (reach,)), model, batch_size)
        name = f"{'towards' if label.value else 'away from'} {label.attribute.replace('_', ' ')}"
        found.append((dataclasses.replace(edit, name=name), reach))
    return found


def _components(model: Model, batch_size: int) -> list[tuple[Edit, float]]:
    """The first principal components of the codes (GANSpace), as directions without a name that people would know."""
    generator, _ = model.require_generator()
    chunks = [codes.w for codes in random_codes(generator, CODES, seed=0)]
    shape = chunks[0].shape[1:]  # [K, w_dim] where each style has a code of its own
    found = ganspace.fit((w.reshape(len(w), -1) for w in chunks), components=COMPONENTS, fresh=FRESH)
    assert found.explained is not None
    components = []
    for i, (direction, share) in enumerate(zip(found.directions(), found.explained.tolist(), strict=True)):
        if len(shape) == 2:
            direction = dataclasses.replace(direction, vector=direction.vector.reshape(shape), space="W+")
        name = f"principal component {i + 1} ({share:.0%} of the variance)"
        components.append((_along(direction, name, model, batch_size), COMPONENT_REACH))
    return components


def _along(direction: Direction, name: str, model: Model, batch_size: int) -> Edit:
    return Edit(
        name,
        None,
        (Way(),),
        lambda latents, strengths: apply(direction, latents, strengths)[None],
        lambda codes: synthesise(model, codes, batch_size=batch_size),
    )
