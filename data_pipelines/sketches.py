"""Sketches of photos, by the pencil filter of pSp (eladrich/pixel2style2pixel `scripts/generate_sketch_data.py`).

Computed as OpenCV does on bytes: with its borders, its rounding and its saturation.
"""

import numpy as np
from PIL import Image

from data_pipelines.transforms import to_rgb

SMOOTH, DIFFERENCE = (1, 2, 1), (-1, 0, 1)


def pencil(image: Image.Image) -> Image.Image:
    """A picture of any mode as pencil lines on white paper, of the same size, mode "L".

    Grey is blurred; Sobel's derivatives to the right and downwards, saturated to bytes, are joined by bitwise OR, and those of
    the negative likewise; 255 minus three quarters of their sum is the sketch. Raises ValueError as `transforms.to_rgb`.
    """
    grey = np.asarray(to_rgb(image).convert("L"), np.int64)
    blurred = (_filtered(_filtered(grey, SMOOTH, 0), SMOOTH, 1) + 8) // 16  # halves are rounded upwards
    right = _filtered(_filtered(blurred, SMOOTH, 0), DIFFERENCE, 1)
    down = _filtered(_filtered(blurred, SMOOTH, 1), DIFFERENCE, 0)
    lines = [(sign * right).clip(0, 255) | (sign * down).clip(0, 255) for sign in (1, -1)]
    darkness = np.rint(0.75 * lines[0] + 0.75 * lines[1]).clip(0, 255)  # halves to even
    return Image.fromarray((255 - darkness).astype(np.uint8))


def _filtered(x: np.ndarray, taps: tuple[int, int, int], axis: int) -> np.ndarray:
    """Correlation along one axis; borders are reflected without their last pixel."""
    padded = np.pad(x, [(1, 1) if axis == i else (0, 0) for i in (0, 1)], mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, 3, axis) @ np.array(taps)
