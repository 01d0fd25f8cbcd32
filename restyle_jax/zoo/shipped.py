"""The models that are part of this package, trained with this software on drawn faces of 64 px (`data_pipelines.avatars`).

Each lies in a directory of its own, in the format of `restyle_jax.save` with float16 weights, with a card that has what is to be
known of it; directions are files. `python -m experiments.avatars.make NAME` makes one again.
"""

from restyle_jax.zoo.entry import Entry

FAMILY, RESOLUTION = "avatars64", 64


LICENCE = "Apache-2.0, as the code"


def _model(name: str, what: str, resolution: int | None = RESOLUTION, suffix: str = "") -> Entry:
    page, file = "experiments/avatars of this software's repository", f"{FAMILY}/{name}{suffix}"
    return Entry(f"{FAMILY}/{name}", what, file, page, "this package", LICENCE, resolution, shipped=True)


ENTRIES = (
    _model("restyle-psp", "ReStyle over pSp for drawn faces, encoder and generator"),
    _model("restyle-e4e", "ReStyle over e4e for drawn faces, encoder and generator"),
    _model("restyle-style-transformer", "ReStyle over the Style Transformer for drawn faces, encoder and generator"),
    _model("psp", "pSp for drawn faces, encoder and generator"),
    _model("e4e", "e4e for drawn faces, encoder and generator"),
    _model("style-transformer", "the Style Transformer for drawn faces, encoder and generator"),
    _model("stylegan2", "StyleGAN2 for drawn faces, generator and discriminator"),
    _model("stylegan2-first", "what the training of stylegan2 went on from, when its faces were still blurred"),
    _model("attributes", "what is in a drawn face, and features for FID of drawn faces", None),
    _model("identity", "whether two drawn faces are the same person, for the identity loss", None),
    _model("perceptual", "perceptual distance of drawn faces, in the form of LPIPS", None),
    _model("classifier", "what is in a code of a drawn face, for edits by a label", None),
    _model("editor-hair", "gives a code the hair colour of another one, for edits by reference", None),
    _model("smile", "the direction of a smile, for codes of drawn faces", None, ".npz"),
    _model("yaw", "the direction of turning the head, for codes of drawn faces", None, ".npz"),
    _model("black-hair", "the direction of black hair, for codes of drawn faces", None, ".npz"),
)
