"""The colour operations against matrices and formulas written out here."""

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.augment.color import Tint, draw_tint, recolor
from restyle_jax.augment.config import Augmentation

COLORS = np.random.default_rng(0).uniform(-1, 1, (1, 3, 4, 3)).astype(np.float32)
AXIS = np.ones(3) / np.sqrt(3)


def tint(**changed: float) -> Tint:
    neutral = {"brightness": 0.0, "contrast": 1.0, "lumaflip": 0.0, "hue": 0.0, "saturation": 1.0}
    return Tint(**{name: jnp.full(1, value) for name, value in (neutral | changed).items()})


def assert_maps(parameters: Tint, matrix: np.ndarray, offset: float = 0.0) -> None:
    found = jax.jit(recolor)(COLORS, parameters)
    np.testing.assert_allclose(found, COLORS @ matrix.T + offset, atol=2e-6)


def test_nothing_drawn_changes_nothing():
    assert_maps(tint(), np.eye(3))


def test_brightness_and_contrast():
    assert_maps(tint(brightness=0.3), np.eye(3), 0.3)
    assert_maps(tint(contrast=1.7), 1.7 * np.eye(3))


def test_lumaflip_mirrors_at_the_plane_of_zero_luma():
    assert_maps(tint(lumaflip=1), np.eye(3) - 2 / 3)


def test_hue_turns_red_to_green_to_blue():
    assert_maps(tint(hue=2 * np.pi / 3), np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))


def test_hue_is_a_rotation_about_the_luma_axis():
    found = np.asarray(recolor(COLORS, tint(hue=0.7)))
    across = COLORS - (COLORS @ AXIS)[..., None] * AXIS
    expected = COLORS - across + np.cos(0.7) * across + np.sin(0.7) * np.cross(AXIS, COLORS)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_saturation_scales_the_distance_from_grey():
    assert_maps(tint(saturation=0), np.full((3, 3), 1 / 3))
    assert_maps(tint(saturation=2), 2 * np.eye(3) - 1 / 3)


def test_brightness_comes_first():
    luma = np.full((3, 3), 1 / 3)
    matrix = (luma + 0.5 * (np.eye(3) - luma)) @ (1.5 * (np.eye(3) - 2 * luma))
    found = recolor(COLORS, tint(brightness=0.2, contrast=1.5, lumaflip=1, saturation=0.5))
    np.testing.assert_allclose(found, (COLORS + 0.2) @ matrix.T, atol=2e-6)
    np.testing.assert_allclose(np.asarray(found).mean(-1), -1.5 * (COLORS.mean(-1) + 0.2), atol=2e-6)


def test_grey_pictures_have_neither_hue_nor_saturation():
    """As the mean channel of a coloured picture."""
    parameters = tint(brightness=-0.1, contrast=0.8, lumaflip=1, hue=2.0, saturation=3.0)
    grey = COLORS.mean(-1, keepdims=True)
    coloured = recolor(np.repeat(grey, 3, axis=-1), parameters)
    np.testing.assert_allclose(recolor(grey, parameters), coloured[..., :1], atol=1e-6)


def test_draws():
    drawn = draw_tint(jax.random.key(1), 4000, jnp.float32(0.5), Augmentation.preset("color"))
    neutral = tint()
    for name, probability in (("brightness", 0.5), ("contrast", 0.5), ("lumaflip", 0.25), ("hue", 0.5)):
        assert abs(float(jnp.mean(getattr(drawn, name) != getattr(neutral, name))) - probability) < 0.03, name
    gated = {
        name: np.asarray(value)[np.asarray(value) != getattr(neutral, name)] for name, value in drawn._asdict().items()
    }
    assert abs(gated["brightness"].std() - 0.2) < 0.02
    assert abs(np.log2(gated["contrast"]).std() - 0.5) < 0.04
    assert abs(np.log2(gated["saturation"]).std() - 1) < 0.08
    assert 3.0 < np.abs(gated["hue"]).max() <= np.pi + 1e-6
    together = np.mean((np.asarray(drawn.hue) != 0) & (np.asarray(drawn.contrast) != 1))
    assert abs(together - 0.25) < 0.03, "operations meet a picture independently"
