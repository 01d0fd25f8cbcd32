"""Principal components of codes: those of all codes at once, in the units that they say."""

import numpy as np
import pytest

from restyle_jax.edit.direction import apply
from restyle_jax.edit.ganspace import Components, fit

D = 12


def codes(count: int = 6000) -> np.ndarray:
    """Normal, with the standard deviations 12, 11, ..., 1 along random axes."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.standard_normal((D, D)))[0]
    return (random.standard_normal((count, D)) * np.arange(D, 0, -1) @ axes.T + 3).astype(np.float32)


def chunked(whole: np.ndarray, size: int):
    return (whole[i : i + size] for i in range(0, len(whole), size))


def test_components_are_those_of_all_codes_at_once():
    whole = codes()
    found = fit(chunked(whole, 700), components=4, fresh=1000)
    fitted = whole[1000:]
    values, vectors = np.linalg.eigh(np.cov(fitted.T))
    assert np.abs(np.abs((found.vectors * vectors.T[::-1][:4]).sum(1)) - 1).max() < 1e-2  # incremental: approximately
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(found.mean, fitted.mean(0), atol=1e-4)
    assert found.explained is not None and found.random_std is not None
    np.testing.assert_allclose(found.explained, values[::-1][:4] / values.sum(), rtol=2e-2)
    np.testing.assert_allclose(found.std, (whole[:1000] @ found.vectors.T).std(0), rtol=1e-5)
    assert found.random_std.shape == (4,) and found.random_std.max() < found.std[0]


def test_results_do_not_depend_on_the_chunks():
    first, second = (fit(chunked(codes(), size), components=3, fresh=500) for size in (500, 1234))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_array_equal(first.std, second.std)


def test_strengths_count_in_standard_deviations_from_the_mean():
    """e4e moves the coordinate of the first style about the mean, in standard deviations, to the strength."""
    found = fit(chunked(codes(), 1000), components=3, fresh=500)
    directions = found.directions("1-2")
    assert [d.name for d in directions] == ["component0", "component1", "component2"] and directions[0].layers == (1, 2)
    w = np.random.default_rng(1).standard_normal((2, 4, D)).astype(np.float32)
    for k, direction in enumerate(directions):
        coordinate = (w[:, 0] - found.mean) @ found.vectors[k] / found.std[k]
        step = (2.0 - coordinate)[:, None] * found.vectors[k] * found.std[k]
        expected = w.copy()
        expected[:, 1:3] += step[:, None]
        np.testing.assert_allclose(apply(direction, w, 2.0, mode="absolute"), expected, atol=1e-4)
        expected = w.copy()
        expected[:, 1:3] -= 0.5 * found.std[k] * found.vectors[k]
        np.testing.assert_allclose(apply(direction, w, -0.5), expected, atol=1e-4)


def test_too_few_codes_and_other_shapes():
    with pytest.raises(
        ValueError, match=r"4 components and 5000 fresh codes were asked for, and the codes begin with \(60, 12\)"
    ):
        fit([codes(60)], components=4)
    with pytest.raises(ValueError, match="60 codes are too few; expected 58 fresh ones and 4 more"):
        fit([codes(60)], components=4, fresh=58)
    with pytest.raises(ValueError, match="as many numbers as components"):
        fit([codes(60)], components=13, fresh=20)
    with pytest.raises(ValueError, match=r"\(20, 3, 4\)"):
        fit([codes(60).reshape(60, 3, 4)], components=2, fresh=20)
    with pytest.raises(ValueError, match="some codes are not finite"):
        fit([codes(60) * np.nan], components=2, fresh=20)
    with pytest.raises(ValueError, match=r"a mean \(3,\), expected \[n, D\] and \[D\]"):
        Components(np.eye(4), np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match=r"explained has shape \(3,\), expected \[4\]"):
        Components(np.eye(4), np.ones(4), np.ones(4), np.ones(3))
