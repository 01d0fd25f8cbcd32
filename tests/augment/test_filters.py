"""Gains of frequency bands, noise and cutout."""

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.filters import (
    EXPECTED_POWER,
    FILTER_BANK,
    amplify_bands,
    cut_out,
    draw_cut,
    draw_gains,
    draw_noise,
    normalized,
)

ALWAYS = jnp.float32(1.0)
GENERATOR = np.random.default_rng(0)


def test_the_bands_add_up_to_the_picture():
    assert FILTER_BANK.shape == (4, 43)
    np.testing.assert_allclose(FILTER_BANK.sum(axis=0), np.eye(43)[21], atol=1e-12)
    np.testing.assert_allclose(FILTER_BANK, FILTER_BANK[:, ::-1], atol=1e-15)
    np.testing.assert_allclose(FILTER_BANK.sum(axis=1), [1, 0, 0, 0], atol=1e-12)


def test_each_band_takes_its_octave():
    """A wave in the middle of an octave stays in the band of that octave, for the most part."""
    middle = np.pi * np.array([1 / 16, 3 / 16, 3 / 8, 3 / 4])
    response = FILTER_BANK @ np.cos(np.outer(np.arange(-21, 22), middle))
    assert (response.argmax(axis=0) == np.arange(4)).all()
    assert (np.diag(response) > 0.7).all()


def test_filtering_follows_its_definition():
    images = GENERATOR.normal(size=(2, 22, 30, 3)).astype(np.float32)
    gains = GENERATOR.uniform(0.3, 3, (2, 4)).astype(np.float32)
    found = jax.jit(amplify_bands)(images, gains)
    for image, gain, result in zip(images, gains, found, strict=True):
        expected = image
        for axis in (0, 1):
            padded = np.pad(expected, [(21, 21) if a == axis else (0, 0) for a in range(3)], mode="reflect")
            filtered = lambda line, gain=gain: np.convolve(line, gain @ FILTER_BANK, "valid")  # noqa: E731
            expected = np.apply_along_axis(filtered, axis, padded)
        np.testing.assert_allclose(result, expected, atol=2e-5)


def test_gains_keep_the_expected_power():
    gains = normalized(jnp.array([0.25, 1.0, 6.0]), 2)
    np.testing.assert_allclose(np.square(gains) @ EXPECTED_POWER, 1, rtol=1e-6)
    np.testing.assert_allclose(gains[:, 2] / gains[:, 0], [0.25, 1, 6], rtol=1e-6)
    np.testing.assert_allclose(gains[1], 1, rtol=1e-6)


def test_drawn_gains():
    gains = np.asarray(draw_gains(jax.random.key(0), 4000, jnp.float32(0.5), Augmentation.preset("filter")))
    ratios = np.log2(gains[:, 1:] / gains[:, :1])
    # A ratio of two bands stays if neither is drawn, and is 2^N if one is, 2^(N - N') if both are.
    assert abs((np.abs(ratios) < 1e-5).mean() - 0.25) < 0.02
    assert abs(ratios.std() - 1) < 0.05
    off = draw_gains(jax.random.key(0), 5, jnp.float32(0.0), Augmentation.preset("filter"))
    np.testing.assert_allclose(off, 1, rtol=1e-6)


def test_noise_has_one_deviation_for_each_picture():
    noise = np.asarray(draw_noise(jax.random.key(2), (500, 16, 16, 3), jnp.float32(0.7), Augmentation.preset("noise")))
    deviations = noise.std(axis=(1, 2, 3))
    assert abs((deviations > 0).mean() - 0.7) < 0.06
    # The mean of |N| is sqrt(2 / pi).
    assert abs(deviations[deviations > 0].mean() - 0.1 * np.sqrt(2 / np.pi)) < 0.01
    assert abs(noise.mean()) < 1e-3
    scaled = noise[deviations > 0] / deviations[deviations > 0][:, None, None, None]
    assert abs((scaled**4).mean() - 3) < 0.1, "normal"


def test_the_square_is_cut_out_and_nothing_else():
    images = np.ones((3, 8, 16, 3), np.float32)
    found = np.asarray(cut_out(images, jnp.array([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]), jnp.array([0.5, 0.5, 0.0])))
    expected = np.ones((3, 8, 16, 3))
    expected[0, 2:6, 4:12] = 0
    expected[1, 6:, :4] = 0
    np.testing.assert_array_equal(found, expected)


def test_drawn_squares():
    center, side = draw_cut(jax.random.key(0), 4000, jnp.float32(0.3), Augmentation.preset("cutout"))
    assert abs(float(jnp.mean(side == 0.5)) - 0.3) < 0.03
    assert set(np.unique(side)) == {0, 0.5}
    np.testing.assert_allclose(center.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(center.std(axis=0), 12**-0.5, atol=0.01)
