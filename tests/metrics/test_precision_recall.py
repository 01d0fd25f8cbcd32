"""Precision and recall: the definition written out, equal sets, sets of which one covers the other."""

import numpy as np
import pytest

from restyle_jax.metrics import precision_recall as module
from restyle_jax.metrics.precision_recall import precision_recall


def features(seed: int, count: int, size: int = 8, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal((count, size))).astype(np.float32)


def reference(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[:, None].astype(np.float64) - b[None], axis=-1)

    def covered(queries: np.ndarray, centres: np.ndarray) -> float:
        radii = np.sort(distances(centres, centres), axis=1)[:, 3]
        return float((distances(queries, centres) <= radii).any(axis=1).mean())

    return covered(fake, real), covered(real, fake)


@pytest.mark.parametrize("chunk", [1 << 26, 300])
def test_value_of_the_definition(chunk: int, monkeypatch: pytest.MonkeyPatch):
    """Also a few distances at a time, and of features that are far from zero."""
    monkeypatch.setattr(module, "CHUNK_DISTANCES", chunk)
    size = 7 if chunk == 300 else 8  # another shape is compiled again, with the other chunks
    real, fake = features(0, 90, size), features(1, 70, size, 1.2)
    expected = reference(real, fake)
    assert all(0.2 < share < 0.95 for share in expected)
    assert precision_recall(real, fake) == pytest.approx(expected)
    assert precision_recall(real + 5, fake + 5) == pytest.approx(expected)


def test_equal_sets():
    """In another order, and with pictures that are there several times, whose balls have no size."""
    real = np.concatenate([features(0, 60), np.tile(features(1, 1), (5, 1))])
    fake = np.random.default_rng(0).permutation(real)
    assert precision_recall(real, fake) == (1.0, 1.0)


def test_a_part_is_precise_and_does_not_cover_all():
    real = features(0, 400, size=2)
    precision, recall = precision_recall(real, real[np.linalg.norm(real, axis=1) < 0.7])
    assert precision == 1.0 and 0.1 < recall < 0.5
    assert precision_recall(real, real + 100) == (0.0, 0.0)


def test_sets_that_are_too_small():
    with pytest.raises(ValueError, match="more than 3 features of each set, got 5 and 3"):
        precision_recall(features(0, 5), features(1, 3))
