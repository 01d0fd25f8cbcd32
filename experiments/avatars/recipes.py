"""How each model of the zoo is made: program, data, limits."""

import dataclasses
from pathlib import Path

from restyle_jax.zoo.shipped import FAMILY, RESOLUTION

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENCODED = 20_000  # pictures that encoders are trained on
INVERTER = f"{FAMILY}/restyle-e4e"  # whose codes the networks on codes read
SCORED = 20_000  # random pictures from which directions are found

DRAWN = f"drawn faces of {RESOLUTION} px (`data_pipelines.avatars`)"
OF_NETWORKS = "Sees drawn faces only; what it says of photos means nothing."
OF_GENERATORS = (
    "Draws cartoons of 64 px. Small parts (earrings, freckles, rims of glasses) come out worse than hair and pose."
)
OF_ENCODERS = (
    "Inverts drawn faces of 64 px, as far as the generator can draw them. Of a photo it makes a cartoon unlike it."
)
OF_CLASSIFIERS = (
    f"Reads codes of avatars64/stylegan2 such as {INVERTER} gives. What the generator cannot draw it cannot read."
)
OF_EDITORS = (
    f"Edits codes of avatars64/stylegan2 such as {INVERTER} gives. Background, skin and hairstyle may change a little."
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is made. program: what `restyle train` takes, or a script of its own; None for directions. pictures: what it is
    trained on. limits: a sentence. attribute: of a direction. encodes: whether it reads a prepared data set, while others draw
    their pictures themselves. reads_codes: whether it is trained on codes of pictures. max_steps: where the training of the shipped
    one was stopped, if that was before the end that its program sets."""

    program: Path | None
    pictures: str
    limits: str
    attribute: str = ""
    encodes: bool = False
    reads_codes: bool = False
    max_steps: int | None = None


def _encoder(file: str) -> Recipe:
    pictures = f"{ENCODED} {DRAWN}; the test set are {ENCODED // 10} of other identities"
    return Recipe(HERE / file, pictures, OF_ENCODERS, encodes=True)


def _network_on_codes(file: str, limits: str) -> Recipe:
    pictures = f"codes that {INVERTER} gives to {ENCODED} {DRAWN}; the last tenth, of other identities, is the test set"
    return Recipe(HERE / file, pictures, limits, reads_codes=True)


def _direction(what: str, attribute: str) -> Recipe:
    pictures = (
        f"{SCORED} random pictures of avatars64/stylegan2, truncated by 0.7, and what avatars64/attributes says of them"
    )
    limits = f"Other things that go with {what} in random pictures change a little, too."
    return Recipe(None, pictures, limits, attribute)


PERCEPTUAL = HERE / "perceptual.py"
RECIPES = {
    "stylegan2-first": Recipe(
        HERE.parent / "stylegan2_avatars64.py", f"40000 {DRAWN}, not mirrored", OF_GENERATORS, max_steps=12_500
    ),
    "stylegan2": Recipe(
        HERE / "longer_generator.py",
        f"60000 {DRAWN}, not mirrored, after those of {FAMILY}/stylegan2-first",
        OF_GENERATORS,
        max_steps=72_000,
    ),
    "psp": _encoder("psp.py"),
    "restyle-psp": _encoder("restyle_psp.py"),
    "restyle-e4e": _encoder("restyle_e4e.py"),
    "e4e": _encoder("e4e.py"),
    "style-transformer": _encoder("style_transformer.py"),
    "restyle-style-transformer": _encoder("restyle_style_transformer.py"),
    "attributes": Recipe(HERE / "attributes.py", f"{DRAWN} and their factors", OF_NETWORKS),
    "identity": Recipe(HERE / "identity.py", f"{DRAWN}, four of each identity", OF_NETWORKS),
    "perceptual": Recipe(PERCEPTUAL, f"10000 {DRAWN}, and distortions of known order", OF_NETWORKS),
    "classifier": _network_on_codes("latent_classifier.py", OF_CLASSIFIERS),
    "editor-hair": _network_on_codes("reference_edit.py", OF_EDITORS),
    "smile": _direction("a smile", "smile"),
    "yaw": _direction("turning", "yaw"),
    "black-hair": _direction("black hair", "hair_colour=black"),
}
