"""Calibrated weights: the minimum of what they are said to minimise, and a network made with them from beginning to end."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.avatars import perceptual, perceptual_agreement
from restyle_jax.checkpoints.auxiliary import load_own_perceptual, save_perceptual
from restyle_jax.train.calibration import RIDGE, calibrate
from tests.nets.test_attributes import network


def pairs(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Channels 0 and 1 know the order, the first better; channel 2 has it wrong; channel 3 knows nothing."""
    random = np.random.default_rng(0)
    nearer = random.uniform(0, 1, (count, 4))
    gaps = np.array([0.5, 0.2, -0.3, 0.0]) + 0.4 * random.standard_normal((count, 4))
    return nearer.astype(np.float32), (nearer + gaps).astype(np.float32)


def test_weights_are_the_minimum():
    nearer, farther = pairs()
    weights = calibrate(nearer, farther)
    assert weights.dtype == np.float32 and weights[0] > weights[1] > 0 and weights[2] == 0
    x = farther.astype(np.float64) - nearer
    scale = np.sqrt(np.square(x).mean() * 4)
    x, w = x / scale, weights * scale
    slope = RIDGE * w - x.T @ (1 / (1 + np.exp(x @ w))) / len(x)
    # First-order conditions: level where a weight is positive, rising where it is held at 0.
    assert np.abs(slope[w > 0]).max() < 1e-5 and slope[w == 0].min() >= 0


def test_weights_do_not_depend_on_the_unit():
    nearer, farther = pairs()
    np.testing.assert_allclose(calibrate(nearer * 1e-3, farther * 1e-3), calibrate(nearer, farther) * 1e3, rtol=1e-3)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\)"):
        calibrate(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="2 pairs of distortions: expected some"):
        calibrate(np.ones((2, 3)), np.ones((2, 3)))


def test_a_network_is_made_and_measured(tmp_path: Path):
    made = perceptual.calibrated(network(), 80)
    save_perceptual(made, {}, tmp_path / "made")
    again = load_own_perceptual(tmp_path / "made")
    weights = np.concatenate([np.asarray(part[...]) for part in again.weights])
    assert weights.min() >= 0 and weights.max() > 0
    # Two different avatars are half apart, as said.
    drawn = perceptual.triplets(perceptual.AvatarSource("train", 80, 16), seed=0)
    images = jnp.asarray(drawn.original, jnp.float32) / 127.5 - 1
    assert float(again(images, jnp.roll(images, 4, axis=0)).mean()) == pytest.approx(0.5, rel=1e-3)
    lines = [line.split() for line in perceptual_agreement.report(again, 60)]
    assert lines[0] == ["distortions", "pairs", "L2", "equal", "calibrated"]
    one, two = lines[-2], lines[-1]
    assert (one[0], two[0]) == ("one", "two") and int(one[2]) + int(two[2]) == 60
    assert all(float(share) > 0.7 for share in one[3:])
