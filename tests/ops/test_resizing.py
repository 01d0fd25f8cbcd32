"""Resizing with the alignment of TensorFlow 1, pixel by pixel."""

import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.ops.resizing import corner_bilinear


@pytest.mark.parametrize("size", [(5, 9), (16, 16), (7, 8), (3, 4)])
def test_corner_bilinear(size: tuple[int, int]):
    x = np.random.default_rng(0).standard_normal((2, 7, 8, 3)).astype(np.float32)
    expected = np.zeros((2, *size, 3))
    for i in range(size[0]):
        for j in range(size[1]):
            row, column = i * 7 / size[0], j * 8 / size[1]
            top, left = int(row), int(column)
            for k, of_row in ((top, 1 - row + top), (min(top + 1, 6), row - top)):
                for m, of_column in ((left, 1 - column + left), (min(left + 1, 7), column - left)):
                    expected[:, i, j] += of_row * of_column * x[:, k, m]
    np.testing.assert_allclose(corner_bilinear(jnp.asarray(x), *size), expected, atol=2e-6)
    if size == (7, 8):
        np.testing.assert_array_equal(corner_bilinear(jnp.asarray(x), *size), x)
