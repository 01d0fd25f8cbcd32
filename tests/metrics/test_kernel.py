"""Kernel distance: the estimator written out, two halves of one set, sets that differ."""

import itertools

import numpy as np
import pytest

from restyle_jax.metrics.kernel import kernel_distance


def features(seed: int, count: int, size: int = 6, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal((count, size))).astype(np.float32)


def test_value_of_the_estimator():
    """Of all features at once, whose order does not matter."""
    a, b = features(0, 7), features(1, 7, scale=2.0)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x.astype(np.float64) @ y) / 6 + 1) ** 3

    within = sum(kernel(of[i], of[j]) for of in (a, b) for i, j in itertools.permutations(range(7), 2)) / 42
    between = sum(kernel(x, y) for x in a for y in b) / 49
    for subsets in (1, 3):
        assert kernel_distance(a, b, subsets=subsets) == pytest.approx(within - 2 * between, rel=1e-6)


def test_two_halves_of_one_set_and_a_set_that_differs():
    whole = features(0, 4000)
    near = kernel_distance(whole[::2], whole[1::2], subsets=20, size=500)
    far = kernel_distance(whole[::2], features(1, 2000, scale=1.3), subsets=20, size=500)
    print(near, far)
    assert abs(near) < 0.01 < 0.1 < far


def test_the_seed_draws_the_subsets():
    a, b = features(0, 50), features(1, 40)
    found = [kernel_distance(a, b, subsets=5, size=10, seed=seed) for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def test_sets_that_are_too_small():
    with pytest.raises(ValueError, match="at least two features of each set, got 1 and 5"):
        kernel_distance(features(0, 1), features(1, 5))
