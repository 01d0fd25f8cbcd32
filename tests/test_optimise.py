"""Latent optimisation, against a loop written by hand."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from restyle_jax.optimise import CHUNK, RESTYLE, Optimised, Weights, optimise, picture_losses
from tests import tiny
from tests.experiments.avatars import judges

BATCH, RATE = 2, 0.1
random = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> rs.Model:
    return rs.load(tiny.checkpoint(encoder=False, in_channels=3))


@pytest.fixture(scope="module")
def distance() -> PerceptualNetwork:
    return judges()[0]


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return random.uniform(-1, 1, (BATCH, tiny.SIZE, tiny.SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def found(model: rs.Model, distance: PerceptualNetwork, x: np.ndarray) -> tuple[Optimised, list[int]]:
    made: list[int] = []
    counts = [0, 1, 3, CHUNK + 2]
    return optimise(model, x, counts, distance=distance, learning_rate=RATE, progress=made.append), made


def test_it_is_adam(model: rs.Model, distance: PerceptualNetwork, x: np.ndarray, found: tuple[Optimised, list[int]]):
    generator, w_avg = model.require_generator()
    features = distance.features(jnp.asarray(x))

    @jax.jit
    def differentiated(w: jax.Array) -> Any:
        def total(w: jax.Array) -> tuple[jax.Array, jax.Array]:
            values = picture_losses(generator, distance, w, jnp.asarray(x), features, model.geometry, RESTYLE)
            return values.sum(), values

        return jax.grad(total, has_aux=True)(w)

    w = np.broadcast_to(np.asarray(w_avg), (BATCH, *w_avg.shape)).astype(np.float64)
    first, second = np.zeros_like(w), np.zeros_like(w)
    for i in range(1, 4):
        gradient, values = differentiated(jnp.asarray(w, jnp.float32))
        np.testing.assert_allclose(found[0].losses[i - 1], values, rtol=1e-4)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * np.square(gradient)
        w = w - RATE * (first / (1 - 0.9**i)) / (np.sqrt(second / (1 - 0.999**i)) + 1e-8)
        if i in (1, 3):
            np.testing.assert_allclose(found[0].latents[1 if i == 1 else 2], w, atol=2e-3)
    # Along the gradient, the loss changes as it says.
    gradient, values = differentiated(jnp.asarray(w, jnp.float32))
    step = 1e-3 * gradient / jnp.linalg.norm(gradient)
    ahead, behind = (differentiated(jnp.asarray(w, jnp.float32) + sign * step)[1].sum() for sign in (1, -1))
    assert (ahead - behind) / 2e-3 == pytest.approx(float(jnp.linalg.norm(gradient)), rel=0.05)


def test_the_loss_falls_and_progress_is_told(found: tuple[Optimised, list[int]], model: rs.Model, x: np.ndarray):
    result, made = found
    assert result.losses.shape == (CHUNK + 2, BATCH) and (result.losses[-1] < result.losses[0]).all()
    assert made == [1, 2, CHUNK - 1] and result.latents.shape[:2] == (4, BATCH)
    np.testing.assert_array_equal(result.latents[0], np.broadcast_to(np.asarray(model.w_avg), result.latents[0].shape))
    np.testing.assert_allclose(result.images[0], np.broadcast_to(model.average.y, x.shape), atol=1e-5)


def test_a_picture_does_not_depend_on_the_others_and_the_start_counts(
    model: rs.Model, distance: PerceptualNetwork, x: np.ndarray, found: tuple[Optimised, list[int]]
):
    settings = {"distance": distance, "learning_rate": RATE}
    swapped = optimise(model, x[::-1], [3], **settings)
    np.testing.assert_allclose(swapped.latents[0, ::-1], found[0].latents[2], atol=1e-3)
    start = random.standard_normal(found[0].latents.shape[1:]).astype(np.float32)
    begun = optimise(model, x, [0, 1], start=start, **settings)
    np.testing.assert_array_equal(begun.latents[0], start)
    # The first step of Adam has the length of the rate in every number that has a gradient.
    moved = np.abs(begun.latents[1] - start)
    assert moved.max() == pytest.approx(RATE, rel=1e-3) and moved.min() >= 0


def test_squared_error_alone_needs_no_network(model: rs.Model, x: np.ndarray):
    result = optimise(model, x, [1], weights=Weights(2.0, 0.8))
    np.testing.assert_allclose(
        result.losses[0], 2 * np.square(np.asarray(model.average.y) - x).mean((1, 2, 3)), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((1, 8, 8, 3))}, r"images have shape \(1, 8, 8, 3\), expected \[B, 32, 32, 3\]"),
        ({"images": np.full((1, 32, 32, 3), 2.0)}, "images range from 2.0 to 2.0"),
        ({"images": np.zeros((1, 32, 32, 3), np.uint8)}, "images are uint8, expected floating point"),
        ({"iterations": []}, r"iterations are \[\]"),
        ({"iterations": [3, 3]}, r"iterations are \[3, 3\], expected ascending"),
        ({"iterations": [-1]}, "expected ascending numbers from 0"),
        ({"iterations": [2.5]}, r"iterations are \[2\.5\], expected whole numbers"),
        ({"iterations": "3"}, "iterations are '3', expected whole numbers"),
        ({"start": np.zeros((5, 5))}, r"the start has shape \(5, 5\), expected \(6, 32\) or \(1, 6, 32\)"),
    ],
)
def test_bad_input(model: rs.Model, changes: dict[str, Any], message: str):
    arguments = {"images": np.zeros((1, 32, 32, 3)), "iterations": [1]} | changes
    with pytest.raises(ValueError, match=message):
        optimise(model, **arguments)


def test_a_model_without_generator(model: rs.Model):
    with pytest.raises(ValueError, match="has no generator"):
        optimise(dataclasses.replace(model, generator=None), np.zeros((1, 32, 32, 3)), [1])
