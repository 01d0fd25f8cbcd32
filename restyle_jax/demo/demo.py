"""Make the page of `restyle demo`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from restyle_jax import zoo
from restyle_jax.checkpoints.auxiliary import load_own_perceptual
from restyle_jax.demo import sections
from restyle_jax.demo.material import CODES, FRESH, Tools, edits, label_edits, loaded, pictures
from restyle_jax.demo.page import Section, document, table
from restyle_jax.demo.studio import Stopwatch, Studio
from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_options import Towards
from restyle_jax.jobs.edits import editor_for
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.jobs.options import fingerprint
from restyle_jax.jobs.outputs import OutputFolder
from restyle_jax.model import Model

PAGE = "index.html"


@dataclass(frozen=True)
class DemoOptions:
    """What to show. inputs: photos and folders of photos, none for drawn avatars; directions: files of directions, none for
    principal components; labels, editor, perceptual: edits by a label, a network for edits by reference, and one that compares
    pictures, for optimisation; the page has their parts only where they are given. `batch_size` changes the speed only."""

    checkpoint: Path
    inputs: Sequence[Path] = ()
    steps: int = 5
    directions: Sequence[Path] = ()
    labels: Sequence[Towards] = ()
    editor: Path | None = None
    perceptual: Path | None = None
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
            model = loaded(options.checkpoint, options.dtype, inverting=bool(options.inputs))
            names, inputs = pictures(options.inputs, model, say, exclude=output) if model.encoder else ([], np.empty(0))
        with watch.timed("finding directions"):
            tools = Tools(
                edits(options.directions, options.checkpoint, model, options.batch_size),
                label_edits(options.labels, options.checkpoint, model, options.batch_size),
                editor_for(options.editor, model) if options.editor else None,
                load_own_perceptual(options.perceptual) if options.perceptual else None,
            )
        total = _count(names, tools, options, model)
        with tqdm(total=total, unit="picture", desc="Making the demo", dynamic_ncols=True) as bar:
            parts = _parts(Studio(model, options.batch_size, bar, watch), options, names, inputs, tools)
        parts.append(_about(model, options, watch, time.perf_counter() - started))
        left_out = [] if model.encoder else [WITHOUT_ENCODER]
        page = document(
            "What this model does", [INTRODUCTION, f"The model: {zoo.label(options.checkpoint)}.", *left_out], parts
        )
        folder.start({"checkpoint": fingerprint(options.checkpoint)})
        with folder.writing(output / PAGE) as path:
            path.write_text(page, encoding="utf-8")
    return output / PAGE


INTRODUCTION = (
    "A StyleGAN generator makes pictures from codes, which are lists of numbers. An encoder goes the other way and finds the code "
    "of a picture. Once there is a code, the picture can be edited by changing the numbers."
)
WITHOUT_ENCODER = (
    "This checkpoint has a generator and no encoder of photos, so what needs inversions is left out. What is edited and morphed "
    "are random pictures."
)
DIRECTIONS = (
    "A direction is a step in the space of codes that changes the same thing in every picture. Each row adds a direction to the "
    "code of one picture, with the strengths that are written below."
)
ORDER = "What an encoder misses cannot be edited well: here and below, pictures of smallest error after its last step come first."
LABELS = (
    "A direction is the same for all pictures. Here every picture gets one of its own: a classifier, a network that reads off a "
    "code what is in its picture, says which way from this very code the label of the row becomes likelier. Strengths above 0 lead "
    "there, those below 0 away from it; they are lengths of the step.",
    "Labels are there or not; that of a number, as the tone of a skin from light to dark, means the upper half of its range.",
)
GIVEN = "Each direction was found for one attribute. What goes with it in random pictures may change a little, too."
FOUND = (
    "These directions were found by GANSpace: the principal components of random codes, along which codes differ most. They have "
    "no names; what they change is seen in the pictures. Strengths count standard deviations."
)


def _count(names: Sequence[str], tools: Tools, options: DemoOptions, model: Model) -> int:
    """How many pictures will be made."""
    people = len(names) or len(sections.SEEDS)
    inverted = len(names) * (model.passes(options.steps) + (tools.distance is not None)) if names else 0
    edited = (len(tools.along) + len(tools.towards)) * min(sections.EDITED, people) * sections.STRENGTHS
    mixed = sections.by_reference(people) if tools.editor else 0
    return inverted + sections.OTHER_PICTURES + edited + mixed


def _parts(
    studio: Studio,
    options: DemoOptions,
    names: list[str],
    inputs: np.ndarray,
    tools: Tools,
) -> list[Section]:
    random = studio.draw(sections.SEEDS)
    parts = []
    if names:
        inverted = studio.invert(names, inputs, options.steps)
        parts += [sections.steps(inverted), sections.change(inverted), sections.error(inverted)]
        best_first = np.argsort(inverted.errors[:, -1], kind="stable")
        if tools.distance:
            inverted = studio.optimise(inverted, tools.distance)
            parts.append(sections.optimisation(inverted))
        names, latents = [names[i] for i in best_first], inverted.latents[best_first]
        order = [ORDER] if len(names) > 1 else []
    else:
        order, latents = [], studio.truncated(random, sections.PSI_OF_EXAMPLES)
        names = [f"seed {seed}" for seed in sections.SEEDS]
    parts += [sections.truncation(studio, random), sections.mixing(studio, random)]
    origin = GIVEN if options.directions else FOUND
    parts.append(sections.edits(studio, tools.along, "edits", "Edits", [DIRECTIONS, origin, *order], names, latents))
    if tools.towards:
        parts.append(sections.edits(studio, tools.towards, "labels", "Edits by a label", LABELS, names, latents))
    if tools.editor and len(names) > 1:
        parts.append(sections.references(studio, tools.editor, names, latents))
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
        "checkpoint": zoo.label(options.checkpoint),
        "generator": f"{generator.resolution} px, {generator.num_styles} styles",
        "inputs": ", ".join(map(str, options.inputs)) or "drawn avatars, of identities that training does not use",
        "steps": options.steps,
        "directions": ", ".join(map(zoo.label, options.directions))
        or f"principal components of {CODES - FRESH} random codes",
        **({"classifier of labels": zoo.label(options.labels[0].classifier)} if options.labels else {}),
        **({"editor by reference": zoo.label(options.editor)} if options.editor else {}),
        **({"perceptual distance": zoo.label(options.perceptual)} if options.perceptual else {}),
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
