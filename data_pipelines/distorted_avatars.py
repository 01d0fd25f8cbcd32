"""Avatars and two distortions of each, of which it is known which is the stronger: what a perceptual distance is calibrated on.

    found = triplets(AvatarSource("train", 100, 64), seed=0)
    found.nearer[3]  # looks more like found.original[3] than found.farther[3] does

Strengths go from 0 (next to nothing happens) to 1, by the same kind in proportion (quality of compression: geometrically). At 1 a
picture of 64 px is blurred by a standard deviation of 2 px, has noise of a standard deviation of 0.15 of the range of values, is
moved by 6 px, has its colour moved by 0.3 of the range, is bent by 3 px (root mean square), is compressed by JPEG at quality 8,
or shows another face: identity factors that are numbers are those of another identity, everything else remains. Within a kind
the order is beyond doubt. That equal strengths of two kinds look equally far is a decision, taken by eye on a few pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from data_pipelines.avatars import PICTURES_PER_IDENTITY, AvatarSource, render
from data_pipelines.drawing.factors import FACTORS, Continuous, Factors

IDENTITY = "identity"
STRONGEST = (0.1, 1.0)
"""Between these strengths is the stronger distortion of a triplet; uniform."""
RATIO = (0.1, 0.75)
"""Strength of the weaker distortion over that of the stronger one; uniform."""

Distortion = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""(picture u8[R, R, 3], strength from 0 to 1, where random choices come from) -> u8[R, R, 3]."""


def blur(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """By a Gaussian."""
    del random
    radius = strength * len(picture) / 32
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def noise(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Normal, independent in all pixels and channels."""
    return _bytes(picture + 0.15 * 255 * strength * random.standard_normal(picture.shape))


def shift(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """In any direction; the border is repeated."""
    angle = random.uniform(0, 2 * np.pi)
    distance = strength * len(picture) * 6 / 64
    return _moved(picture, distance * np.sin(angle), distance * np.cos(angle))


def colour(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """In any direction of RGB."""
    direction = random.standard_normal(3)
    return _bytes(picture + 0.3 * 255 * strength * direction / np.linalg.norm(direction))


def warp(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """By smooth random displacements, bicubic between 5 x 5 places."""
    size = len(picture)
    grids = random.standard_normal((2, 5, 5)).astype(np.float32)
    fields = np.array(
        [np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)) for grid in grids]
    )
    return _moved(picture, *(strength * size * 3 / 64 * fields / np.sqrt(np.square(fields).sum(0).mean())))


def compression(picture: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """JPEG of quality 95 to 8."""
    del random
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=round(95 * (8 / 95) ** strength))
    return np.asarray(Image.open(file))


DISTORTIONS: dict[str, Distortion] = {
    distortion.__name__: distortion for distortion in (blur, noise, shift, colour, warp, compression)
}
KINDS = (*DISTORTIONS, IDENTITY)


@dataclass(frozen=True)
class Triplets:
    """Pictures u8[n, R, R, 3]: n avatars, a weaker and a stronger distortion of each.

    kinds: int[n, 2], what the weaker and the stronger one are, numbers in KINDS; one half of the triplets has one kind for both.
    strengths: f64[n, 2].
    """

    original: np.ndarray
    nearer: np.ndarray
    farther: np.ndarray
    kinds: np.ndarray
    strengths: np.ndarray


def triplets(avatars: AvatarSource, seed: int) -> Triplets:
    """One triplet for each of the avatars; a quarter millisecond for each picture, beyond drawing it.

    Raises ValueError if the avatars are not of several identities.
    """
    count = len(avatars)
    if count <= PICTURES_PER_IDENTITY:
        raise ValueError(f"{count} avatars: expected more than {PICTURES_PER_IDENTITY}, those of one identity")
    random = np.random.default_rng(seed)
    factors = avatars.described(np.arange(count))
    others = avatars.described((np.arange(count) + PICTURES_PER_IDENTITY) % count)
    original = render(factors, avatars.resolution)
    kinds = random.integers(len(KINDS), size=(count, 2))
    kinds[::2, 1] = kinds[::2, 0]
    stronger = random.uniform(*STRONGEST, count)
    strengths = np.stack([stronger * random.uniform(*RATIO, count), stronger], axis=1)

    def distorted(side: int) -> np.ndarray:
        found, faces = np.empty_like(original), kinds[:, side] == KINDS.index(IDENTITY)
        found[faces] = render(
            {name: value[faces] for name, value in toward(factors, others, strengths[:, side]).items()},
            avatars.resolution,
        )
        for i in np.flatnonzero(~faces):
            found[i] = DISTORTIONS[KINDS[kinds[i, side]]](original[i], float(strengths[i, side]), random)
        return found

    return Triplets(original, distorted(0), distorted(1), kinds, strengths)


def toward(factors: Factors, others: Factors, strengths: np.ndarray) -> dict[str, np.ndarray]:
    """The factors of B pictures, with the numbers among the identity factors f64[B] on the way to those of others."""
    moving = [name for name, f in FACTORS.items() if isinstance(f, Continuous) and f.role == "identity"]
    between = {name: factors[name] + strengths * (others[name] - factors[name]) for name in moving}
    return {name: factors[name] for name in FACTORS} | between


def _moved(picture: np.ndarray, down: np.ndarray | float, right: np.ndarray | float) -> np.ndarray:
    """The picture as seen at places that are moved by so many pixels; bilinear, with its border repeated."""
    size = len(picture)
    rows, columns = np.indices((size, size), np.float64)
    rows, columns = np.clip(rows + down, 0, size - 1), np.clip(columns + right, 0, size - 1)
    top, left = np.minimum(rows.astype(int), size - 2), np.minimum(columns.astype(int), size - 2)
    y, x = (rows - top)[..., None], (columns - left)[..., None]
    upper = picture[top, left] * (1 - x) + picture[top, left + 1] * x
    lower = picture[top + 1, left] * (1 - x) + picture[top + 1, left + 1] * x
    return _bytes(upper * (1 - y) + lower * y)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
