"""Batches of one size: every row once, in order, whatever their number."""

import numpy as np
import pytest

from restyle_jax.ops.batches import filled_batches, in_batches


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("size", [1, 4])
def test_every_row_comes_back_once(count: int, size: int):
    rows = np.arange(2 * count).reshape(count, 2)
    parts = [*filled_batches(rows, size)]
    assert all(part.shape == (size, 2) for part, _ in parts) and sum(kept for _, kept in parts) == count
    np.testing.assert_array_equal(in_batches(lambda part: 10 * part, rows, size), 10 * rows)
