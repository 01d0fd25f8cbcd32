"""Path lengths of linear generators, which are known exactly; cropping, reducing, percentiles."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.metrics.path_length import EPSILON, compared, path_lengths, perceptual_path_length, slerp

COUNT, SIZE = 2000, 12


def squared(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.square(a - b).sum(axis=-1)


@pytest.fixture(scope="module")
def matrices() -> tuple[np.ndarray, np.ndarray]:
    """A mapping f32[12, 10] and a synthesis f32[10, 20], with which pictures have numbers of about 1."""
    random = np.random.default_rng(0)
    shapes = (SIZE, 10), (10, 20)
    first, second = (random.standard_normal(shape).astype(np.float32) / np.sqrt(shape[0]) for shape in shapes)
    return first, second


def ends() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal((2, COUNT, SIZE)), jnp.float32)


def places(sampling: str) -> jax.Array:
    full = np.random.default_rng(2).random(COUNT)
    return jnp.asarray(full if sampling == "full" else np.zeros(COUNT), jnp.float32)


def lengths(matrices: tuple[np.ndarray, np.ndarray], space: Any, t: jax.Array) -> np.ndarray:
    mapping, synthesis = matrices
    return np.asarray(path_lengths(lambda z: z @ mapping, lambda w: w @ synthesis, squared, ends(), t, space))


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_straight_paths_of_a_linear_generator(matrices: tuple[np.ndarray, np.ndarray], sampling: str):
    """|(z1 - z0) A B|^2 each, whatever t; 2 |A B|^2 in the mean over all z."""
    found = lengths(matrices, "w", places(sampling))
    expected = np.square((np.asarray(ends()[1] - ends()[0], np.float64) @ matrices[0]) @ matrices[1]).sum(axis=-1)
    print(np.abs(found / expected - 1).max())
    np.testing.assert_allclose(found, expected, rtol=0.02)  # differences of 1e-4 in numbers that are exact to 1e-7
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-3)
    assert found.mean() == pytest.approx(2 * np.square(matrices[0] @ matrices[1]).sum(), rel=0.05)


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_great_circles_of_a_linear_generator(matrices: tuple[np.ndarray, np.ndarray], sampling: str):
    """The picture moves by the angle times the tangent, through A B."""
    t = places(sampling)
    a, b = (z / np.linalg.norm(z, axis=-1, keepdims=True) for z in np.asarray(ends(), np.float64))
    cosine = (a * b).sum(axis=-1, keepdims=True)
    across = (b - cosine * a) / np.sqrt(1 - cosine**2)
    place = np.arccos(cosine) * (np.asarray(t, np.float64)[:, None] + EPSILON / 2)
    tangent = np.arccos(cosine) * (across * np.cos(place) - a * np.sin(place))
    expected = np.square(tangent @ matrices[0] @ matrices[1]).sum(axis=-1)
    found = lengths(matrices, "z", t)
    print(np.abs(found / expected - 1).max())
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-3)


def test_codes_with_an_own_vector_for_each_style():
    def mapping(z: jax.Array) -> jax.Array:
        return jnp.stack([z, 2 * z], axis=1)

    found = path_lengths(mapping, lambda w: w.reshape(len(w), -1), squared, ends(), places("full"), "w")
    assert np.mean(found) == pytest.approx(5 * np.square(ends()[1] - ends()[0]).sum(axis=-1).mean(), rel=1e-3)


def test_an_unknown_space():
    with pytest.raises(ValueError, match="in z or w, not in 's'"):
        lengths((np.eye(SIZE), np.eye(SIZE)), "s", places("end"))


def test_slerp_goes_from_one_direction_to_the_other():
    a, b = ends()[:, :5]
    for t, end in ((0.0, a), (1.0, b)):
        np.testing.assert_allclose(
            slerp(a, b, jnp.full((5, 1), t)), end / jnp.linalg.norm(end, axis=-1, keepdims=True), atol=1e-6
        )
    half = slerp(a, b, jnp.full((5, 1), 0.5))
    np.testing.assert_allclose(jnp.linalg.norm(half, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(*((half * end).sum(-1) / jnp.linalg.norm(end, axis=-1) for end in (a, b)), atol=1e-6)


def test_what_is_compared():
    rows, columns = jnp.meshgrid(jnp.arange(1024.0), jnp.arange(1024.0), indexing="ij")
    images = jnp.stack([rows, columns, rows * 0], axis=-1)[None]
    whole, face = compared(images), compared(images, crop=True)
    assert whole.shape == face.shape == (1, 256, 256, 3)
    np.testing.assert_allclose(whole[0, [0, -1], 0, 0], [1.5, 1021.5])
    np.testing.assert_allclose(face[0, [0, -1], 0, 0], [384.5, 894.5])  # rows 384 to 895, two by two
    np.testing.assert_allclose(face[0, 0, [0, -1], 1], [256.5, 766.5])
    small = images[:, :64, :64]
    np.testing.assert_array_equal(compared(small), small)
    assert compared(small, crop=True).shape == (1, 32, 32, 3)


def test_outliers_do_not_count():
    values = np.random.default_rng(0).permutation(np.arange(1000.0))
    values[values == 999] = 1e9
    values[values == 0] = -1e9
    # the 1st percentile, rounded down, is the 9th number (from 0), the 99th, rounded up, the 990th
    assert perceptual_path_length(values) == pytest.approx(np.arange(9, 991).mean())
    assert perceptual_path_length(np.full(10, 3.0)) == 3.0
    with pytest.raises(ValueError, match="not finite in 3 of 1000 path lengths"):
        perceptual_path_length(np.where(values > 996, np.nan, values))
