"""The models that are part of this package, trained with this software on drawn faces of 64 px (`data_pipelines.avatars`).

Each lies in its own directory, in the format of `restyle_jax.save` with float16 weights, beside a card with what is to be known of
it. `python -m experiments.avatars.make NAME` makes one again.
"""

from restyle_jax.zoo.entry import Entry

FAMILY, RESOLUTION = "avatars64", 64


def _model(name: str, what: str, resolution: int | None = RESOLUTION, suffix: str = "") -> Entry:
    return Entry(
        f"{FAMILY}/{name}",
        f"{what} for drawn faces",
        f"{FAMILY}/{name}{suffix}",
        "https://github.com",
        "this package",
        "Apache-2.0, as the code",
        resolution,
        shipped=True,
    )


ENTRIES = ()
