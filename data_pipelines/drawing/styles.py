"""Styles that avatars are drawn in: as they are painted, or the same picture as if drawn for a comic.

A style is a function of the painted pixels alone, so that pictures of the same factors show the same things in all styles, each
where it was.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from data_pipelines.drawing.canvas import Array

Style = Literal["painted", "comic"]
STYLES: tuple[Style, ...] = get_args(Style)

LUMA = (0.299, 0.587, 0.114)
INK = (26, 20, 58)
# In parts of the range of values. Lines appear where a colour changes by the first number over two pixels (of 64), and are full at
# the second; they lie on the darker side of an edge, where pixels are darker than what is around them by SIDE.
LINES, SIDE = (0.06, 0.18), 0.02
TONES, HARDNESS = 3, 3.0  # levels of brightness, and how steeply one changes into the next
SATURATION, LIFT = 1.7, 0.1


def painted(pixels: Array) -> Array:
    """As they are."""
    return pixels


def comic(pixels: Array) -> Array:
    """Few tones, strong colours, and dark lines along the edges.

    pixels: f32[B, 3, R, R] in [0, 1]; returns the same, not clipped. The lines are about a pixel wide at 64 px, and in proportion
    at higher resolutions.
    """
    reach = max(1, round(pixels.shape[-1] / 64))
    smooth = _blurred(pixels, reach)
    around = smooth
    for _ in range(3):
        around = _blurred(around, reach)
    across, down = (abs(after - before) for before, after in _neighbours(smooth, reach))
    edge, low, high = np.maximum(across, down).max(1), *LINES
    line = np.clip((edge - low) / (high - low), 0, 1) * np.clip((around - smooth).max(1) / SIDE, 0, 1)

    luma = (np.array(LUMA, np.float32).reshape(3, 1, 1) * smooth).sum(1)
    level = np.floor(luma * TONES)
    tone = (level + np.clip((luma * TONES - level - 0.5) * HARDNESS + 0.5, 0, 1)) / TONES
    colours = (tone + LIFT)[:, None] + SATURATION * (smooth - luma[:, None])
    ink = np.array(INK, np.float32).reshape(1, 3, 1, 1) / 255
    return colours + line[:, None] * (ink - colours)


DRAWN_AS: Mapping[Style, Callable[[Array], Array]] = {"painted": painted, "comic": comic}


def _neighbours(pixels: Array, reach: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The pixels `reach` to the left and right of each, and those above and below; beyond the border it is repeated."""
    wide = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (reach, reach)), mode="edge")
    high = np.pad(pixels, ((0, 0), (0, 0), (reach, reach), (0, 0)), mode="edge")
    return (wide[..., : -2 * reach], wide[..., 2 * reach :]), (high[..., : -2 * reach, :], high[..., 2 * reach :, :])


def _blurred(pixels: Array, reach: int) -> Array:
    """Weights 1, 2, 1 in both directions, `reach` apart."""
    for direction in range(2):
        before, after = _neighbours(pixels, reach)[direction]
        pixels = np.float32(0.5) * pixels + np.float32(0.25) * (before + after)
    return pixels
