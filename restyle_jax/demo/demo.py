"""Make the page of `restyle demo`."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data_pipelines.avatars import PICTURES_PER_IDENTITY, RESOLUTIONS, AvatarSource, render
from data_pipelines.folder import ImageError, list_photos, load_photos
from restyle_jax import checkpoints
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.demo import sections
from restyle_jax.demo.page import Section, document, table
from restyle_jax.demo.studio import Stopwatch, Studio
from restyle_jax.edit import ganspace
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_options import Along, EditOptions
from restyle_jax.jobs.edits import Edit, Way, edit_of
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.jobs.options import fingerprint
from restyle_jax.jobs.outputs import OutputFolder
from restyle_jax.model import Model, synthesise
from restyle_jax.ops.images import resize, to_float

PAGE = "index.html"
PICTURES = 8  # inverted at most
COMPONENTS, CODES, FRESH = 3, 4000, 1000  # of GANSpace, where no direction is given
REACH, COMPONENT_REACH = 3.0, 2.0  # largest strength of a given direction, and in standard deviations


@dataclass(frozen=True)
class DemoOptions:
    """What to show. inputs: photos and folders of photos, none for drawn avatars; directions: files of directions, none for
    principal components. `batch_size` changes the speed only."""

    checkpoint: Path
    inputs: Sequence[Path] = ()
    steps: int = 5
    directions: Sequence[Path] = ()
    batch_size: int = 4
    dtype: str = "float32"


def make_demo(output: Path, options: DemoOptions, say: Callable[[str], None] = tqdm.write) -> Path:
    """Write `index.html`, which holds all its pictures, into the folder `output`; returns its path.

    An earlier page there is replaced when the new one is complete. A checkpoint without encoder gets the parts that need none.
    `say` receives messages for people.

    Raises:
      ImageError: an input does not exist, or none can be read.
      OutputError: `output` cannot be used or written.
      CheckpointError: the checkpoint or a direction cannot be read or does not fit, the checkpoint has no generator, or it has
        no encoder but inputs are given.
    """
    started = time.perf_counter()
    with OutputFolder.claim(output, "demo") as folder, CompileClock() as clock:
        watch = Stopwatch(clock)
        with watch.timed("loading"):
            model = _loaded(options)
            names, inputs = _inputs(options, model, output, say) if model.encoder else ([], np.empty(0))
        with watch.timed("finding directions"):
            given = [_given(file, options, model) for file in options.directions]
            chosen = given or _components(model, options.batch_size)
        total = _count(names, chosen, options, model)
        with tqdm(total=total, unit="picture", desc="Making the demo", dynamic_ncols=True) as bar:
            parts = _parts(Studio(model, options.batch_size, bar, watch), options, names, inputs, chosen)
        parts.append(_about(model, options, watch, time.perf_counter() - started))
        left_out = [] if model.encoder else [WITHOUT_ENCODER]
        page = document("What this model does", [INTRODUCTION, f"The model: {options.checkpoint}.", *left_out], parts)
        folder.start({"checkpoint": fingerprint(options.checkpoint)})
        with folder.writing(output / PAGE) as path:
            path.write_text(page, encoding="utf-8")
    return output / PAGE


INTRODUCTION = (
    "A StyleGAN generator makes pictures from codes, which are lists of numbers. An encoder goes the other way and finds the code "
    "of a picture. Once there is a code, the picture can be edited by changing the numbers."
)
WITHOUT_ENCODER = (
    "This checkpoint has a generator and no encoder, so what needs inversions is left out. What is edited and morphed are random "
    "pictures."
)
GIVEN = "The directions come from the files that were given."
FOUND = (
    "These directions were found by GANSpace: the principal components of random codes, along which codes differ most. They have "
    "no names; what they change is seen in the pictures. Strengths count standard deviations."
)


def _loaded(options: DemoOptions) -> Model:
    model = checkpoints.load(options.checkpoint, dtype=jnp.dtype(options.dtype))
    try:
        model.require_generator()
        if options.inputs:
            model.require_encoder()
    except ValueError as error:
        raise CheckpointError(f"{error}.") from error
    return model


def _inputs(
    options: DemoOptions, model: Model, output: Path, say: Callable[[str], None]
) -> tuple[list[str], np.ndarray]:
    """Names, and pictures f32[B, height, width, 3] of the encoder's size: the first that can be read, or avatars that no training
    split has, each of another identity."""
    height, width = model.geometry.height, model.geometry.width
    if not options.inputs:
        side = min(max(width, RESOLUTIONS[0]), RESOLUTIONS[1])
        source = AvatarSource("test", PICTURES * PICTURES_PER_IDENTITY, side)
        numbers = np.arange(0, len(source), PICTURES_PER_IDENTITY)
        drawn = to_float(render(source.described(numbers), side))
        return [f"avatar {i + 1}" for i in range(PICTURES)], resize(drawn, height, width)
    photos = list_photos(options.inputs, exclude=output)
    names, pictures = [], []
    for photo, picture in load_photos(photos, height, width):
        if isinstance(picture, ImageError):
            say(f"Skipped {picture}")
            continue
        names.append(photo.name)
        pictures.append(picture)
        if len(names) == PICTURES:
            break
    if not names:
        raise ImageError(f"{options.inputs[0]}: none of the {len(photos)} photos can be read.")
    if len(photos) > PICTURES:
        say(
            f"The demo shows the first {PICTURES} photos that can be read, of {len(photos)}; `restyle invert` takes all."
        )
    return names, np.stack(pictures)


def _given(file: Path, options: DemoOptions, model: Model) -> tuple[Edit, float]:
    request = Along(file)
    wanted = EditOptions(options.checkpoint, request, (REACH,), batch_size=options.batch_size, dtype=options.dtype)
    return edit_of(wanted, model, options.batch_size), REACH


def _components(model: Model, batch_size: int) -> list[tuple[Edit, float]]:
    """The first principal components of the codes (GANSpace), as directions without a name that people would know."""
    generator, _ = model.require_generator()
    chunks = [codes.w for codes in random_codes(generator, CODES, seed=0)]
    shape = chunks[0].shape[1:]  # [K, w_dim] where each style has a code of its own
    found = ganspace.fit((w.reshape(len(w), -1) for w in chunks), components=COMPONENTS, fresh=FRESH)
    assert found.explained is not None
    edits = []
    for i, (direction, share) in enumerate(zip(found.directions(), found.explained.tolist(), strict=True)):
        if len(shape) == 2:
            direction = dataclasses.replace(direction, vector=direction.vector.reshape(shape), space="W+")
        name = f"principal component {i + 1} ({share:.0%} of the variance)"
        edits.append((_along(direction, name, model, batch_size), COMPONENT_REACH))
    return edits


def _along(direction: Direction, name: str, model: Model, batch_size: int) -> Edit:
    return Edit(
        name,
        None,
        (Way(),),
        lambda latents, strengths: apply(direction, latents, strengths)[None],
        lambda codes: synthesise(model, codes, batch_size=batch_size),
    )


def _count(names: Sequence[str], chosen: Sequence[object], options: DemoOptions, model: Model) -> int:
    """How many pictures will be made."""
    edited = min(sections.EDITED, len(names) or sections.EDITED)
    inverted = len(names) * model.passes(options.steps) if names else 0
    return inverted + sections.OTHER_PICTURES + len(chosen) * edited * sections.STRENGTHS


def _parts(
    studio: Studio,
    options: DemoOptions,
    names: list[str],
    inputs: np.ndarray,
    chosen: Sequence[tuple[Edit, float]],
) -> list[Section]:
    random = studio.draw(sections.SEEDS)
    parts = []
    if names:
        inverted = studio.invert(names, inputs, options.steps)
        latents = inverted.latents
        parts += [sections.steps(inverted), sections.change(inverted), sections.error(inverted)]
    else:
        latents = studio.truncated(random, sections.PSI_OF_EXAMPLES)
        names = [f"seed {seed}" for seed in sections.SEEDS]
    parts += [sections.truncation(studio, random), sections.mixing(studio, random)]
    parts.append(sections.edits(studio, chosen, GIVEN if options.directions else FOUND, names, latents))
    if len(names) == 1:  # a morph needs two ends
        names, latents = ["the average picture", *names], np.stack([studio.model.require_generator()[1], latents[0]])
    parts.append(sections.morph(studio, names, latents[:2]))
    return parts


def _about(model: Model, options: DemoOptions, watch: Stopwatch, seconds: float) -> Section:
    times = {
        what: f"{spent:.1f} s" + (f", of which {compiling:.1f} s compiling" if compiling >= 0.05 else "")
        for what, (spent, compiling) in watch.times.items()
    }
    generator = model.require_generator()[0].config
    settings = {
        "checkpoint": options.checkpoint,
        "generator": f"{generator.resolution} px, {generator.num_styles} styles",
        "inputs": ", ".join(map(str, options.inputs)) or "drawn avatars, of identities that training does not use",
        "steps": options.steps,
        "directions": ", ".join(map(str, options.directions))
        or f"principal components of {CODES - FRESH} random codes",
        "number format": options.dtype,
    }
    machine = {**environment.versions(), **environment.device()}
    return Section(
        "about",
        "How this page was made",
        ["By `restyle demo`; times are wall-clock seconds, without the start of Python."],
        table(
            {
                **times,
                "everything": f"{seconds:.1f} s",
                **settings,
                **{key: str(value) for key, value in machine.items()},
            }
        ),
    )
