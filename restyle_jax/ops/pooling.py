"""Pooling and nearest-neighbour resizing with the conventions of torch. All images are NHWC."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from restyle_jax.ops.resample import COLUMNS, ROWS, pad_axis


def max_pool(x: jax.Array, size: int, stride: int, *, padding: int = 0, ceil: bool = False) -> jax.Array:
    """Maximum over windows of size x size, as torch's MaxPool2d.

    x: [B, H, W, C] -> [B, H', W', C], H' = (H + 2 padding - size) // stride + 1; with `ceil` the division rounds up, so that
    the last window may be cut off by the border. Of equal maxima the first one, row by row, gets the gradient, as in torch:
    in flat regions of a picture the choice is visible.
    """
    for axis in (COLUMNS, ROWS):  # in this order, a window's rows decide before its columns
        length = x.shape[axis] + 2 * padding - size
        after = padding + (-length % stride if ceil else 0)
        config = [(padding, after, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
        padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), config)
        last = padded.shape[axis] - size + 1
        x = functools.reduce(_larger, (lax.slice_in_dim(padded, i, i + last, stride, axis) for i in range(size)))
    return x


def _larger(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.where(second > first, second, first)


def neighbour_mean(x: jax.Array) -> jax.Array:
    """Mean over the 3 x 3 neighbourhood of each pixel, as far as it lies inside the picture. x: [B, H, W, C] -> the same.

    torch's AvgPool2d(3, stride=1, padding=1, count_include_pad=False).
    """
    for axis in (COLUMNS, ROWS):
        length = x.shape[axis]
        padded = pad_axis(x, 1, 1, axis)
        total = functools.reduce(jnp.add, (lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(3)))
        place = np.arange(length)
        inside = 3 - (place == 0) - (place == length - 1)
        x = total / jnp.asarray(inside.reshape([-1 if a == axis else 1 for a in range(x.ndim)]), x.dtype)
    return x


def adaptive_mean(x: jax.Array, height: int, width: int) -> jax.Array:
    """Adaptive average pooling, as torch's AdaptiveAvgPool2d, to any size: two products with constant matrices.

    x: [B, H, W, C] -> [B, height, width, C]. Output row i is the mean of the rows floor(i H / height) ...
    ceil((i + 1) H / height) - 1, so that windows overlap where the division leaves a remainder.
    """
    rows, columns = _mean_matrix(x.shape[ROWS], height), _mean_matrix(x.shape[COLUMNS], width)
    x = jnp.einsum("ih,bhwc->biwc", jnp.asarray(rows, x.dtype), x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", jnp.asarray(columns, x.dtype), x, precision="highest")


def _mean_matrix(size: int, bins: int) -> np.ndarray:
    matrix = np.zeros((bins, size))
    for i in range(bins):
        start, stop = i * size // bins, -(-(i + 1) * size // bins)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def nearest(x: jax.Array, height: int, width: int) -> jax.Array:
    """Nearest-neighbour resizing, as torch's `interpolate` by default: output row i is row floor(i H / height) of the input.

    x: [B, H, W, C] -> [B, height, width, C].
    """
    for axis, size in ((ROWS, height), (COLUMNS, width)):
        source = np.arange(size) * x.shape[axis] // size
        x = jnp.take(x, source, axis, unique_indices=size <= x.shape[axis], indices_are_sorted=True, mode="clip")
    return x
