"""Painting a batch of pictures with vector shapes in numpy: signed distances, exact coverage of pixels, small windows.

A picture covers a square around the origin, x to the right and y downwards, whatever its resolution. Shapes are functions of local
coordinates that return a signed distance, negative inside; their parameters are f32[B, 1, 1], one value for each picture.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


class Canvas:
    """`pixels` f32[B, 3, R, R] in [0, 1] that layers are painted on. reach: half the side of a picture; half_pixel: half the
    side of a pixel."""

    def __init__(self, count: int, resolution: int, reach: float) -> None:
        self.pixels = np.zeros((count, 3, resolution, resolution), np.float32)
        self.resolution, self.reach, self.half_pixel = resolution, reach, reach / resolution


class Frame:
    """Coordinates that turn with an object: by `roll` radians f64[B, 1, 1] around the point (0, pivot).

    x, y: f32[B, R, R], the coordinates of the centres of the pixels.
    """

    def __init__(self, canvas: Canvas, roll: Array, pivot: float) -> None:
        self.canvas = canvas
        centres = ((2 * np.arange(canvas.resolution) + 1) * canvas.half_pixel - canvas.reach).astype(np.float32)
        across, down = centres[None, None, :], centres[None, :, None] - np.float32(pivot)
        self._cos, self._sin, self._pivot = np.cos(roll).astype(np.float32), np.sin(roll).astype(np.float32), pivot
        self.x = self._cos * across + self._sin * down
        self.y = self._cos * down - self._sin * across + np.float32(pivot)

    def window(
        self, rows: Array, x: Array | float, y: Array | float, width: Array | float, height: Array | float
    ) -> "Window":
        """The pixels of pictures `rows` that may lie within `width` and `height` of the point (x, y) of this frame.

        All of them lie in it, and which others do changes nothing: shapes cover nothing there.
        """
        cos, sin, size = self._cos[rows], self._sin[rows], self.canvas.resolution
        from_pivot = y - np.float32(self._pivot)
        centre = (cos * x - sin * from_pivot, sin * x + cos * from_pivot + np.float32(self._pivot))
        extents = (cos * width + abs(sin) * height, abs(sin) * width + cos * height)
        spans = []
        for middle, extent in zip(centre, extents, strict=True):
            first = int((float((middle - extent).min()) + self.canvas.reach) / (2 * self.canvas.half_pixel)) - 1
            last = int((float((middle + extent).max()) + self.canvas.reach) / (2 * self.canvas.half_pixel)) + 2
            spans.append(slice(min(max(first, 0), size), min(max(last, 0), size)))
        box = (spans[1], spans[0])
        # Pictures in one run are a view, not a copy.
        one_run = len(rows) == rows[-1] - rows[0] + 1
        at = (slice(rows[0], rows[-1] + 1) if one_run else rows, *box)
        return Window(self.canvas, at, self.x[at] - x, self.y[at] - y)


@dataclass(frozen=True)
class Window:
    """A part of some pictures; x, y: f32[b, h, w], coordinates around the point that it was opened at."""

    canvas: Canvas
    at: tuple[slice | Array, slice, slice]
    x: Array
    y: Array

    def fill(self, distance: Array, colour: Array, alpha: Array | float = 1.0, *, soft: float = 0.0) -> None:
        """Paint the inside of a shape. soft: half the width of its edge, at least half a pixel."""
        half = max(self.canvas.half_pixel, soft)
        self.paint(alpha * np.clip(0.5 - distance * (0.5 / half), 0, 1), colour)

    def line(self, distance: Array, half_width: Array | float, colour: Array, alpha: Array | float = 1.0) -> None:
        """Paint a line along which `distance` is zero."""
        half = self.canvas.half_pixel
        # A line thinner than a pixel covers no more of it than its own width.
        most = np.minimum(np.asarray(half_width, np.float32), half) * (1 / half)
        self.paint(alpha * np.clip((half_width + half - abs(distance)) * (0.5 / half), 0, most), colour)

    def strip(self, upper: Array, lower: Array, colour: Array, alpha: Array | float = 1.0) -> None:
        """Paint between the curves y = upper and y = lower (of x), where lower is below upper."""
        half = self.canvas.half_pixel
        covered = np.clip(lower - self.y, -half, half) - np.clip(upper - self.y, -half, half)
        self.paint(alpha * np.clip(covered * (0.5 / half), 0, 1), colour)

    def paint(self, coverage: Array, colour: Array) -> None:
        """Blend a colour f32[b or 1, 3, h or 1, w or 1] over the pixels by coverage f32[b, h, w] in [0, 1]."""
        rows, down, across = self.at
        pixels = self.canvas.pixels[rows, :, down, across]
        change = colour - pixels
        change *= coverage[:, None]
        pixels += change
        if not isinstance(rows, slice):
            self.canvas.pixels[rows, :, down, across] = pixels


def ellipse(x: Array, y: Array, width: Array | float, height: Array | float) -> Array:
    """Distance to an ellipse with these half axes; exact to first order near its edge."""
    across, down = x / width, y / height
    radius = np.sqrt(across * across + down * down)
    across /= width
    down /= height
    tiny = np.float32(1e-4)  # keeps the quotient defined in the centre
    return (radius - 1) * (radius + tiny) / (np.sqrt(across * across + down * down) + tiny / height)


def box(x: Array, y: Array, width: Array | float, height: Array | float, rounding: Array | float) -> Array:
    """Distance to a rectangle with these half sides, whose corners are rounded."""
    across, down = abs(x) - (width - rounding), abs(y) - (height - rounding)
    outside = np.sqrt(np.maximum(across, 0) ** 2 + np.maximum(down, 0) ** 2)
    return outside + np.minimum(np.maximum(across, down), 0) - rounding


def arc(x: Array, y: Array, slope: Array | float, bend: Array | float, reach: Array | float) -> Array:
    """Distance (never negative) to the piece |x| <= reach of the parabola y = slope x + bend x^2."""
    inside = np.clip(x, -reach, reach)
    steep = slope + 2 * bend * inside
    off = (y - (slope + bend * inside) * inside) / np.sqrt(1 + steep * steep)
    beyond = x - inside
    return np.sqrt(off * off + beyond * beyond)


def segment(x: Array, y: Array, to_x: Array | float, to_y: Array | float) -> Array:
    """Distance (never negative) to the straight line from (0, 0) to (to_x, to_y)."""
    along = np.clip((x * to_x + y * to_y) / (to_x * to_x + to_y * to_y), 0, 1)
    across, down = x - along * to_x, y - along * to_y
    return np.sqrt(across * across + down * down)


def turned(x: Array, y: Array, angle: Array) -> tuple[Array, Array]:
    """Coordinates in a frame turned clockwise (in the picture) by `angle` radians."""
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    return cos * x + sin * y, cos * y - sin * x


def zigzag(x: Array) -> Array:
    """A wave of period 1 of straight lines between -1 (at 0) and 1 (at 1/2)."""
    return 1 - 4 * abs(x - np.floor(x) - 0.5)
