"""StyleSpace (arXiv 2011.12799, betterze/StyleSpace): single channels of S that change one attribute, and how they are found.

A point of S is one row f32[C] here: the styles of `Synthesis.styles` one after another.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import jax
import numpy as np
from flax import nnx

from restyle_jax.edit.direction import Direction
from restyle_jax.nets import drawing, stylegan2
from restyle_jax.nets.generators import Generator
from restyle_jax.ops.batches import in_batches


@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """f32[C] each over many codes, and the channels of each style, which add up to C.

    Raises ValueError if these do not fit together.
    """

    mean: np.ndarray
    std: np.ndarray
    widths: tuple[int, ...]

    def __post_init__(self):
        if not self.mean.shape == self.std.shape == (sum(self.widths),):
            raise ValueError(
                f"mean has shape {self.mean.shape} and std {self.std.shape}, expected [{sum(self.widths)}], the sum of widths"
            )

    @property
    def to_colours(self) -> np.ndarray:
        """bool[C]: channels whose style goes to colours, every third one beginning with the second."""
        return np.repeat(np.arange(len(self.widths)) % 3 == 1, self.widths)


def stylegan2_of(generator: Generator) -> stylegan2.Generator:
    """The generator. Raises ValueError if it is a StyleGAN, whose styles are scales and shifts of normalised channels."""
    if not isinstance(generator, stylegan2.Generator):
        raise ValueError("S is the space of the styles of StyleGAN2; this generator is a StyleGAN, use codes of W+")
    return generator


def styles(generator: Generator, w: jax.Array | np.ndarray, *, batch_size: int = 64) -> np.ndarray:
    """Codes f32[B, K, w_dim] as points of S, f32[B, C]. Raises ValueError for a StyleGAN, or codes of another shape."""
    return in_batches(functools.partial(drawing.styles, *nnx.split(stylegan2_of(generator))), w, batch_size)


def pictures(generator: Generator, s: jax.Array | np.ndarray, *, batch_size: int = 4) -> np.ndarray:
    """Points f32[B, C] of S as pictures f32[B, R, R, 3], nominally in [-1, 1], with the network's constant noise.

    Raises ValueError for a StyleGAN, or points of another generator.
    """
    config = stylegan2_of(generator).config
    if np.ndim(s) != 2 or np.shape(s)[1] != sum(config.style_widths):
        raise ValueError(
            f"points of S have shape {np.shape(s)}, expected [B, {sum(config.style_widths)}] for this "
            f"{config.resolution}-px generator"
        )
    return in_batches(functools.partial(drawing.of_styles, *nnx.split(generator)), s, batch_size)


def statistics(generator: Generator, chunks: Iterable[np.ndarray]) -> Statistics:
    """Mean and standard deviation of the channels over codes f32[b, K, w_dim] that come in chunks of any size.

    The official ones are over 100,000 random codes, of which all styles are truncated by 0.7. Raises ValueError for a StyleGAN,
    and without codes.
    """
    config = stylegan2_of(generator).config
    count, mean, scatter = 0, np.zeros(sum(config.style_widths)), np.zeros(sum(config.style_widths))
    for chunk in chunks:
        points = styles(generator, chunk).astype(np.float64)
        of_chunk, total = points.mean(0), count + len(points)
        shift = of_chunk - mean
        scatter += np.square(points - of_chunk).sum(0) + np.square(shift) * (count * len(points) / total)
        mean, count = mean + shift * (len(points) / total), total
    if not count:
        raise ValueError("there are no codes; expected some, to find the mean and standard deviation of every channel")
    return Statistics(mean.astype(np.float32), np.sqrt(scatter / count).astype(np.float32), config.style_widths)


def channel(found: Statistics, style: int, index: int, *, name: str | None = None, sign: int = 1) -> Direction:
    """One channel as a direction, numbered as in the paper: (6, 501) is the smile of the published FFHQ generator.

    Strength 1 is a standard deviation and absolute strengths count from the mean; sign -1 turns it round. Raises ValueError for
    a channel that does not exist or never changes.
    """
    if not (0 <= style < len(found.widths) and 0 <= index < found.widths[style]):
        channels = (
            f"style {style} has channels 0 to {found.widths[style] - 1}" if 0 <= style < len(found.widths) else ""
        )
        raise ValueError(
            f"there is no channel ({style}, {index}): " + (channels or f"there are styles 0 to {len(found.widths) - 1}")
        )
    c = sum(found.widths[:style]) + index
    if not found.std[c] > 0:
        raise ValueError(f"channel ({style}, {index}) is the same for all codes, so that it has no unit")
    vector = np.zeros(len(found.mean), np.float32)
    vector[c] = sign
    return Direction(
        name or f"channel{style}_{index}",
        vector,
        "S",
        unit=float(found.std[c]),
        zero=sign * float(found.mean[c]),
        widths=found.widths,
        metadata={"method": "stylespace", "channel": [style, index]},
    )


def attribute_scores(found: Statistics, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How clearly every channel goes with an attribute, f64[C], and in which direction, -1 or 1 f64[C].

    From points f32[n, C] of S whose pictures have the attribute (`positives`, the paper takes 10 to 30 with the most extreme
    scores): their difference from the mean in standard deviations has a mean and a standard deviation over the points, and the
    score is |mean| / std. Channels of colours, and those that never change, score 0. Raises ValueError for fewer than two
    points, or points of another generator.
    """
    positives = np.asarray(positives, np.float64)
    if positives.ndim != 2 or len(positives) < 2 or positives.shape[1:] != found.mean.shape:
        raise ValueError(
            f"positives have shape {positives.shape}, expected [n, {len(found.mean)}] with two points at least"
        )
    varies = (found.std > 0) & ~found.to_colours
    difference = (positives - found.mean) / np.where(varies, found.std, 1)
    mean, std = difference.mean(0), difference.std(0)
    scores = np.where(varies & (std > 0), np.abs(mean) / np.where(std > 0, std, 1), 0)
    return scores, np.where(mean < 0, -1.0, 1.0)


def attribute_channels(found: Statistics, positives: np.ndarray, *, name: str, count: int = 10) -> list[Direction]:
    """The `count` channels of highest `attribute_scores`, best first, each towards the attribute; named `name`0, `name`1, ...

    Raises ValueError as `attribute_scores`.
    """
    scores, signs = attribute_scores(found, positives)
    best = np.argsort(-scores, kind="stable")[:count]
    made = []
    for i, c in enumerate(best[scores[best] > 0]):
        direction = channel(found, *place(found.widths, c), name=f"{name}{i}", sign=int(signs[c]))
        made.append(dataclasses.replace(direction, metadata={**direction.metadata, "score": float(scores[c])}))
    return made


def place(widths: Sequence[int], c: int) -> tuple[int, int]:
    """The style and the index in it of channel c of all."""
    ends = np.cumsum(widths)
    style = int(np.searchsorted(ends, c, side="right"))
    return style, int(c - (ends[style] - widths[style]))
