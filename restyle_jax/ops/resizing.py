"""Resizing as the networks behind the metrics were built with. All images are NHWC."""

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.ops.resample import COLUMNS, ROWS


def corner_bilinear(x: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear interpolation as TensorFlow 1 aligned it: output row i lies at row i H / height of the input.

    x: f32[B, H, W, C] -> f32[B, height, width, C]. There is no half-pixel offset and no filter against aliasing; beyond the last
    row and column they are repeated. (`tf.image.resize_bilinear`, with which Inception's graph of 2015 begins.)
    """
    for axis, size in ((COLUMNS, width), (ROWS, height)):
        length = x.shape[axis]
        place = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
        lower = np.minimum(place.astype(np.int32), length - 1)
        share = np.reshape(place - lower, [-1 if a == axis else 1 for a in range(x.ndim)])
        before, after = (jnp.take(x, at, axis, mode="clip") for at in (lower, np.minimum(lower + 1, length - 1)))
        x = before + (after - before) * share
    return x
