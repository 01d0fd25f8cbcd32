"""Rows in batches of one size, since every other size would be compiled again."""

from collections.abc import Callable, Iterator

import jax
import numpy as np


def filled_batches(rows: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """[n, ...] -> batches [size, ...], each with the number of rows that are meant: the last is filled up by repetition."""
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        yield np.resize(chunk, (size, *chunk.shape[1:])), len(chunk)


def in_batches(
    function: Callable[[np.ndarray], jax.Array | np.ndarray], rows: jax.Array | np.ndarray, size: int
) -> np.ndarray:
    """What a function of batches [size, ...] makes of the rows [n, ...], row by row: [n, ...]. n > 0."""
    return np.concatenate([np.asarray(function(part))[:kept] for part, kept in filled_batches(np.asarray(rows), size)])
