"""The parts of the page, from what was computed: pictures with captions for people who see this for the first time."""

from collections.abc import Sequence

import numpy as np

from restyle_jax.demo.curve import error_curve
from restyle_jax.demo.page import Section, animation, sheet
from restyle_jax.demo.studio import ITERATIONS, Inverted, Studio
from restyle_jax.edit import reference
from restyle_jax.jobs.edits import Edit
from restyle_jax.nets.edit_transformer import EditTransformer
from restyle_jax.ops.images import to_bytes
from restyle_jax.viz import GridRow, heat_map, there_and_back

PSI = (0.0, 0.25, 0.5, 0.75, 1.0)
TRUNCATED, MIXED_ROWS, MIXED_COLUMNS = 4, 3, 4  # random codes
SEEDS = range(TRUNCATED + MIXED_ROWS + MIXED_COLUMNS)
FIRST_STYLES = 4  # those up to 8 x 8 pixels: pose and outline
PSI_OF_EXAMPLES = 0.7
STRENGTHS = 5
EDITED = 2  # pictures
TAKERS, REFERENCES = 4, 3  # at most: pictures that are edited by references
MORPH_FRAMES, MORPH_MILLISECONDS = 16, 70

OTHER_PICTURES = TRUNCATED * len(PSI) + (MIXED_ROWS + 1) * (MIXED_COLUMNS + 1) - 1 + MORPH_FRAMES
"""How many pictures are made of codes, but for those of edits."""


def steps(inverted: Inverted) -> Section:
    """The inputs and what each step makes of them."""
    count = inverted.estimates.shape[1] - 1
    how = (
        "ReStyle begins with the average picture. In every step the encoder looks at the input and at its last result side by "
        "side and says how the code should change; the generator draws the new code."
        if count > 1
        else "Here a single step is made: the encoder looks at the input and gives its code."
    )
    return Section(
        "steps",
        "Step by step",
        [
            "An inversion looks for the numbers, the code, from which the generator draws a given picture. " + how,
            "L2 is the mean squared difference to the input, whose values range over 2: 0 means equal.",
        ],
        sheet(["input", "average", *_named(count)], _beside_inputs(inverted)),
    )


def change(inverted: Inverted) -> Section:
    """Where each step changed the pictures (figure 5 of arXiv 2104.02699)."""
    maps = inverted.change
    amounts = maps.mean(axis=(1, 2))
    shares = amounts / max(float(amounts.sum()), 1e-12)
    top = float(maps.max())
    rows = [
        GridRow("Each step on a scale of its own: where it changed most", [heat_map(c, float(c.max())) for c in maps]),
        GridRow(
            "All steps on one scale: how much each changed",
            [heat_map(c, top) for c in maps],
            [f"{share:.0%} of all change" for share in shares],
        ),
    ]
    return Section(
        "change",
        "Where the steps change something",
        [
            f"The mean over {_counted(len(inverted.names), 'picture')} of how much each pixel changed from one step to the next: "
            "blue least, red most. First steps usually move the whole outline, later ones add details."
        ],
        sheet(_named(len(maps)), rows),
    )


def error(inverted: Inverted) -> Section:
    """The error over the steps."""
    mean = inverted.errors.mean(axis=0)
    return Section(
        "error",
        "The error after each step",
        [
            f"The thick line is the mean over {_counted(len(inverted.names), 'picture')}, a thin line is one picture. The mean "
            f"goes from {mean[0]:.4f} for the average picture to {mean[-1]:.4f} after the last step."
        ],
        error_curve(inverted.errors),
    )


def optimisation(optimised: Inverted) -> Section:
    """The inputs, and what the last step and gradient descent make of them."""
    before, after = optimised.errors.mean(axis=0)
    return Section(
        "optimisation",
        "Closer by optimisation",
        [
            "An encoder has learned to guess; gradient descent tries. From the code of the last step on, each iteration changes "
            f"the code a little so that the picture comes closer to the input. After {ITERATIONS} iterations the mean error is "
            f"{after:.4f} instead of {before:.4f}. The edits below begin with these codes."
        ],
        sheet(["input", "last step", f"{ITERATIONS} iterations"], _beside_inputs(optimised)),
    )


def truncation(studio: Studio, codes: np.ndarray) -> Section:
    """Pictures of the first random codes f32[len(SEEDS), K, w_dim], drawn towards the average."""
    codes = codes[:TRUNCATED]
    pulled = np.stack([studio.truncated(codes, psi) for psi in PSI], axis=1)
    pictures = iter(studio.pictures(pulled.reshape(-1, *codes.shape[1:])))
    rows = [GridRow(f"seed {seed}", [next(pictures) for _ in PSI]) for seed in SEEDS[:TRUNCATED]]
    return Section(
        "truncation",
        "Truncation",
        [
            "New pictures from random codes. Truncation pulls a code towards the average: with psi = 1 it is as it was drawn, with "
            "psi = 0 it is the average itself. Between them there is less variety, and there are fewer failures."
        ],
        sheet([f"psi = {psi:g}" for psi in PSI], rows),
    )


def mixing(studio: Studio, codes: np.ndarray) -> Section:
    """The other random codes of `truncation`, put together in pairs."""
    codes = studio.truncated(codes[TRUNCATED:], PSI_OF_EXAMPLES)
    first = min(FIRST_STYLES, codes.shape[1] // 2)
    mixed = np.repeat(codes[None, MIXED_ROWS:], MIXED_ROWS, axis=0)
    mixed[:, :, :first] = codes[:MIXED_ROWS, None, :first]
    pictures = studio.pictures(np.concatenate([codes, mixed.reshape(-1, *codes.shape[1:])]))
    above, mixes = pictures[MIXED_ROWS : len(codes)], pictures[len(codes) :]
    rows = [GridRow("", [None, *above])]
    rows += [GridRow("", [pictures[i], *mixes[i * MIXED_COLUMNS : (i + 1) * MIXED_COLUMNS]]) for i in range(MIXED_ROWS)]
    return Section(
        "mixing",
        "Style mixing",
        [
            f"A code has {codes.shape[1]} styles, one for each layer of the generator, from coarse to fine. Every picture in the "
            f"middle takes its first {first} styles (pose, outline) from the picture at the left of its row, and the others "
            "(colours, light, texture) from the picture above its column."
        ],
        sheet(["first styles", *["other styles"] * MIXED_COLUMNS], rows),
    )


def edits(
    studio: Studio,
    chosen: Sequence[tuple[Edit, float]],
    anchor: str,
    title: str,
    paragraphs: Sequence[str],
    names: Sequence[str],
    latents: np.ndarray,
) -> Section:
    """The first pictures edited in every way.

    chosen: edits, each with its largest strength. paragraphs: what they are, and where they come from. names and latents
    f32[B, K, w_dim]: of the pictures.
    """
    rows = []
    for edit, reach in chosen:
        strengths = np.linspace(-reach, reach, STRENGTHS, dtype=np.float32)
        moved = np.asarray(edit.codes(latents[:EDITED], strengths))[0].swapaxes(0, 1)
        pictures = studio.pictures(moved.reshape(-1, *moved.shape[2:]), edit.pictures)
        for i, name in enumerate(names[:EDITED]):
            notes = [f"{strength:+g}" if strength else "as it is" for strength in strengths.tolist()]
            rows.append(GridRow(f"{edit.name}: {name}", pictures[i * STRENGTHS : (i + 1) * STRENGTHS], notes))
    return Section(anchor, title, paragraphs, sheet([""] * STRENGTHS, rows))


def references(studio: Studio, editor: EditTransformer, names: Sequence[str], latents: np.ndarray) -> Section:
    """The first pictures get the attribute of the editor from the next ones. names and latents f32[B, K, w_dim]: of B > 1."""
    people, givers = _people(len(names))
    attribute = editor.config.attribute.replace("_", " ")
    edited = np.asarray(reference.edit(editor, latents[:people], latents[people : people + givers]))
    codes = latents[: people + givers]
    pictures = studio.pictures(np.concatenate([codes, edited.reshape(-1, *codes.shape[1:])]))
    made = pictures[len(codes) :]
    rows = [GridRow("", [None, *pictures[people : len(codes)]])]
    rows += [GridRow("", [pictures[i], *made[i * givers : (i + 1) * givers]]) for i in range(people)]
    return Section(
        "references",
        "Edits by a reference",
        [
            f"Another picture can show what is wanted, too. Each picture at the left of a row takes over the {attribute} of the "
            "one above each column, and should stay as it is otherwise. A network does this, which was trained for this one "
            "attribute: it looks at both codes and changes the first."
        ],
        sheet(["picture", *[f"{attribute} of"] * givers], rows),
    )


def by_reference(count: int) -> int:
    """How many pictures `references` makes, where there are `count`."""
    people, givers = _people(count)
    return (people + 1) * (givers + 1) - 1 if count > 1 else 0


def _people(count: int) -> tuple[int, int]:
    """How many of the first pictures are edited, by how many of the next as references."""
    givers = min(REFERENCES, count // 2)
    return min(TAKERS, count - givers), givers


def morph(studio: Studio, names: Sequence[str], ends: np.ndarray) -> Section:
    """An animation between the codes `ends` f32[2, K, w_dim], slow at both ends, there and back."""
    share = (1 - np.cos(np.linspace(0, np.pi, MORPH_FRAMES))) / 2
    frames = studio.pictures((ends[0] + share[:, None, None] * (ends[1] - ends[0])).astype(np.float32))
    height, width = frames[0].shape[:2]
    described = f"animation from {names[0]} to {names[1]} and back"
    return Section(
        "morph",
        "Morph",
        [
            f"All codes on the straight line from {names[0]} to {names[1]}, and back: everything between two codes is a picture."
        ],
        animation(there_and_back(frames, MORPH_MILLISECONDS), height, width, described),
    )


def _beside_inputs(inverted: Inverted) -> list[GridRow]:
    return [
        GridRow(name, [to_bytes(x), *to_bytes(estimates)], ["", *(f"L2 {error:.4f}" for error in errors)])
        for name, x, estimates, errors in zip(
            inverted.names, inverted.inputs, inverted.estimates, inverted.errors, strict=True
        )
    ]


def _named(count: int) -> list[str]:
    return [f"step {i + 1}" for i in range(count)]


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
