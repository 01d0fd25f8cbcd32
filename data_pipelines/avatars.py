"""Avatars: faces drawn from named factors, a data set without a download in which everything about a picture is known.

`drawing.factors.FACTORS` is the table of factors. Two seeds, of an identity and of a picture, give the factors of a picture,
and these give its pixels at any resolution:

    factors = sample_factors(np.array([7, 7]), np.array([0, 1]))  # two pictures of identity 7
    pictures = render(factors, 256)
    smiling = render(factors | {"smile": np.array([1.0, 1.0])}, 256)
    with_hat = render(factors | {"hat": np.array([code("hat", "cap")] * 2)}, 256)
    as_comic = render(factors, 256, "comic")

Picture i of a split is picture i mod 4 of the identity first + i div 4; the identities of the splits are disjoint. Factors
are not mirrored with a picture: where they are used, train without flips.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import combinations
from typing import Literal

import numpy as np
from PIL import Image

from data_pipelines.drawing import features, hair, wear
from data_pipelines.drawing.canvas import Canvas
from data_pipelines.drawing.face import Face
from data_pipelines.drawing.factors import Factors, checked, sample_factors
from data_pipelines.drawing.processes import draw_all
from data_pipelines.drawing.styles import DRAWN_AS, STYLES, Style
from data_pipelines.layout import Encoded, Layout, Split

PICTURES_PER_IDENTITY = 4
FIRST_IDENTITY = {"train": 0, "test": 2**31}
TEST_SHARE = 0.1
"""Number of test pictures over that of training pictures in a prepared data set."""

RESOLUTIONS = (8, 4096)
LAYERS: tuple[Callable[[Face], None], ...] = (
    wear.background,
    hair.hair_behind,
    wear.body,
    features.ears,
    features.head,
    features.cheeks,
    hair.beard,
    features.age_lines,
    features.nose,
    features.mouth,
    features.eyes,
    features.brows,
    wear.glasses,
    hair.hair_in_front,
    features.earrings,
    wear.hats,
    wear.texture,
)
"""What is painted, from back to front."""

# Half the side of a picture, in the units that faces are described in.
REACH = 0.9
# Pixels drawn at once: many enough that numpy's calls cost little, few enough that the layers stay in the cache.
CHUNK = 2**16


def render(factors: Factors, resolution: int, style: Style = "painted") -> np.ndarray:
    """Draw uint8[B, resolution, resolution, 3], RGB, from the factors of B pictures (see `drawing.factors`) in a style
    (see `drawing.styles`).

    A picture does not depend on the others of its batch, and pictures of different resolutions show the same. Other keys
    than those of FACTORS are ignored. One core draws about 660 pictures a second at 64 px in batches of 16 or more, and 160
    one by one. Beyond the result it takes 15 MB of memory, or 120 MB at 1024 px, whatever the size of the batch.

    Raises:
      ValueError: the resolution is not from 8 to 4096; there is no such style; a factor is missing or out of range (all
        are named).
    """
    _check(resolution, style)
    values = checked(factors)
    count = len(next(iter(values.values())))
    pictures = np.empty((count, resolution, resolution, 3), np.uint8)
    step = max(1, CHUNK // resolution**2)
    for first in range(0, count, step):
        some = slice(first, first + step)
        canvas = Canvas(len(pictures[some]), resolution, REACH)
        face = Face.of(canvas, {name: array[some] for name, array in values.items()})
        for layer in LAYERS:
            layer(face)
        drawn = DRAWN_AS[style](np.clip(canvas.pixels, 0, 1))
        pictures[some] = np.rint(np.clip(drawn, 0, 1) * 255).transpose(0, 2, 3, 1)
    return pictures


def _check(resolution: int, style: str) -> None:
    if not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
        raise ValueError(f"resolution {resolution}: expected {RESOLUTIONS[0]} to {RESOLUTIONS[1]} pixels")
    if style not in STYLES:
        raise ValueError(f"style {style!r}: expected one of {', '.join(STYLES)}")


class AvatarSource:
    """The first `count` avatars of a split, drawn when they are opened; see `source.Source`.

    Raises:
      ValueError: `count` is not positive or beyond the identities of the split, or see `render`.
    """

    paired = False

    def __init__(self, split: Literal["train", "test"], count: int, resolution: int, style: Style = "painted") -> None:
        if not 0 < count <= 2**31 * PICTURES_PER_IDENTITY:
            raise ValueError(f"{count} pictures: expected 1 to {2**31 * PICTURES_PER_IDENTITY}")
        _check(resolution, style)
        self.style: Style = style
        self.split: Literal["train", "test"] = split
        self.resolution, self._count = resolution, count

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """Identity and picture, such as `0000000007_1.png`."""
        identity, picture = self.seeds(np.array([index]))
        return f"{identity[0]:010}_{picture[0]}.png"

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """See `source.Source`."""
        del index
        return (self.resolution, self.resolution), "RGB"

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `source.Source`."""
        picture = Image.fromarray(self.drawn(np.array([index]))[0])
        return picture, picture

    def seeds(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Seeds of the identities and of the pictures, int64[B], for pictures `indices` int[B] of the split."""
        number, picture = np.divmod(indices, PICTURES_PER_IDENTITY)
        return FIRST_IDENTITY[self.split] + number, picture

    def factors(self, index: int) -> dict[str, float]:
        """The factors of a picture, and its seeds as `identity` and `picture`; see `PreparedSource.factors`."""
        return {name: value.item() for name, value in self.described(np.array([index])).items()}

    def described(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The same for pictures `indices` int[B]: arrays [B], as `render` takes them."""
        identities, pictures = self.seeds(indices)
        return {"identity": identities, "picture": pictures} | sample_factors(identities, pictures)

    def drawn(self, indices: np.ndarray) -> np.ndarray:
        """Pictures `indices` int[B], uint8[B, resolution, resolution, 3]."""
        return render(self.described(indices), self.resolution, self.style)


class KeptAvatars(AvatarSource):
    """The same, all drawn at the start by all cores and kept in memory (12 kB for each picture of 64 px).

    pictures: uint8[count, resolution, resolution, 3].

    Raises:
      ValueError: they do not fit into memory, or see `AvatarSource`.
      DrawingError: a process that draws them fails, or was ended.
    """

    def __init__(self, split: Literal["train", "test"], count: int, resolution: int, style: Style = "painted") -> None:
        super().__init__(split, count, resolution, style)
        try:
            self.pictures = draw_all(self)
        except MemoryError as error:
            needed = f"{count * resolution**2 * 3 / 1e9:.0f} GB"
            raise ValueError(
                f"{count} pictures of {resolution} px: need {needed} of memory, more than there is; draw fewer"
            ) from error

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `source.Source`."""
        picture = Image.fromarray(self.pictures[index])
        return picture, picture


class IdentityPairs:
    """Pairs of different pictures of one identity, from the avatars of a split; see `source.Source`.

    Pair i shows identity i mod `identities`, counted in the split: so neighbours show different ones. There are
    as many pairs of each as its pictures make, six.

    Raises:
      ValueError: the avatars are fewer than two identities with all of their pictures.
    """

    paired = True

    def __init__(self, avatars: AvatarSource) -> None:
        self.identities = len(avatars) // PICTURES_PER_IDENTITY
        if self.identities < 2:
            raise ValueError(
                f"{len(avatars)} pictures: expected at least {2 * PICTURES_PER_IDENTITY}, all those of two identities"
            )
        self._avatars = avatars
        self._choices = list(combinations(range(PICTURES_PER_IDENTITY), 2))

    def __len__(self) -> int:
        return self.identities * len(self._choices)

    def pictures(self, index: int) -> tuple[int, int]:
        """The numbers of the two pictures among the avatars."""
        choice, identity = divmod(index, self.identities)
        first, second = self._choices[choice]
        return identity * PICTURES_PER_IDENTITY + first, identity * PICTURES_PER_IDENTITY + second

    def name(self, index: int) -> str:
        """Identity and pictures, such as `0000000007_1_3.png`."""
        first, second = (self._avatars.name(picture) for picture in self.pictures(index))
        return f"{first.removesuffix('.png')}_{second.rpartition('_')[2]}"

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """See `source.Source`."""
        return self._avatars.head(index)

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `source.Source`."""
        first, second = (self._avatars.open(picture)[0] for picture in self.pictures(index))
        return first, second


def layout(resolution: int, count: int) -> Layout:
    """Splits `train` of `count` pictures and `test` of a tenth as many (at least one), to be written with their factors.

    Raises:
      ValueError: see `AvatarSource`.
    """
    counts: dict[Literal["train", "test"], int] = {"train": count, "test": max(1, round(TEST_SHARE * count))}
    splits = {split: Split(number, _Drawn(AvatarSource(split, number, resolution))) for split, number in counts.items()}
    return Layout(splits, square=True, factors=True)


@dataclass(frozen=True)
class _Drawn:
    """All pictures of a source, drawn in blocks by whoever iterates, and encoded by whoever calls the functions."""

    source: AvatarSource

    def __iter__(self) -> Iterator[tuple[str, Callable[[], Encoded]]]:
        step = max(1, CHUNK // self.source.resolution**2)
        for first in range(0, len(self.source), step):
            indices = range(first, min(first + step, len(self.source)))
            factors = self.source.described(np.array(indices))
            pictures = render(factors, self.source.resolution)
            values = {name: array.tolist() for name, array in factors.items()}
            for row, index in enumerate(indices):
                record = {name: column[row] for name, column in values.items()}
                yield self.source.name(index), partial(_encoded, pictures[row], record)


def _encoded(picture: np.ndarray, factors: dict[str, float]) -> Encoded:
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return {"image": file.getvalue(), "factors": json.dumps(factors).encode()}
