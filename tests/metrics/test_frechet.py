"""Fréchet distance: against its formula computed another way, known values, and sets that are too small or broken."""

import numpy as np
import pytest

from restyle_jax.metrics.frechet import Gaussian, frechet_distance, gaussian


def features(seed: int, count: int = 400, size: int = 24, offset: float = 0.0) -> np.ndarray:
    """Correlated, with variances over three orders of magnitude."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((size, size)) * np.logspace(-1.5, 0, size)
    return (random.standard_normal((count, size)) @ mixing + offset + random.standard_normal(size)).astype(np.float32)


def reference(a: np.ndarray, b: np.ndarray) -> float:
    """As the formula says it, in float64; the trace of a square root is the sum of the roots of the eigenvalues."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(np.sqrt(np.linalg.eigvals(s @ t).astype(complex))).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s) + np.trace(t) - 2 * root)


def test_value_of_the_formula():
    a, b = features(0), features(1, 300)
    found = frechet_distance(gaussian([a]), gaussian([b]))
    print(found, abs(found / reference(a, b) - 1))
    assert found == pytest.approx(reference(a, b), rel=1e-9)
    assert found == pytest.approx(frechet_distance(gaussian([b]), gaussian([a])), rel=1e-9)


def test_value_of_diagonal_covariances():
    """Then it is |difference of means|^2 plus the squared differences of the standard deviations."""
    s, t = np.array([1.0, 4.0, 0.0]), np.array([9.0, 0.25, 2.0])
    a, b = Gaussian(np.zeros(3), np.diag(s), 9), Gaussian(np.array([1.0, 2.0, -1.0]), np.diag(t), 9)
    assert frechet_distance(a, b) == pytest.approx(6 + np.square(np.sqrt(s) - np.sqrt(t)).sum(), rel=1e-12)


@pytest.mark.parametrize("count", [400, 10])
def test_no_distance_from_itself_also_of_fewer_features_than_dimensions(count: int):
    a = gaussian([features(0, count) * 30])
    print(np.trace(a.covariance), frechet_distance(a, a))
    assert abs(frechet_distance(a, a)) < 1e-8 * np.trace(a.covariance)
    assert abs(frechet_distance(a, a)) < 1e-3


def test_moments_do_not_depend_on_the_chunks():
    whole = features(0, offset=1e4)
    a = gaussian([whole])
    b = gaussian(iter([whole[:1], whole[1:8], whole[8:300], whole[300:]]))
    assert a.count == b.count == 400
    np.testing.assert_allclose(b.mean, a.mean, rtol=1e-13)
    np.testing.assert_allclose(b.covariance, np.cov(whole.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-10)


def test_sets_that_have_no_covariance():
    with pytest.raises(ValueError, match="at least two features, got 1"):
        gaussian([features(0, 1)])
    with pytest.raises(ValueError, match="at least two features, got 0"):
        gaussian([])
    broken = features(0)
    broken[3, 4] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        gaussian([broken])
