"""Gradients of several refinement steps: against a plain Python loop, and in the ablated forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax import refine
from restyle_jax.nets.encoders import EncoderConfig
from restyle_jax.nets.residual import conv
from restyle_jax.ops.normalization import BatchNorm
from restyle_jax.refine import Estimate
from tests import networks
from tests.test_refine import DIM, GEOMETRY, STYLES, small_networks

BATCH = 2


class SmallEncoder(nnx.Module):
    """One convolution, batch normalisation and a dense layer in place of a whole trunk, to compile quickly."""

    def __init__(self, rngs: nnx.Rngs):
        self.config = EncoderConfig("backbone", "resnet18", STYLES, style_dim=DIM)
        self.conv = conv(6, 8, 3, 2, dtype=jnp.float32, rngs=rngs)
        self.norm = BatchNorm(8)
        self.dense = nnx.Linear(8 * 16 * 16, STYLES * DIM, rngs=rngs)

    def __call__(self, x: jax.Array, stage: Any = None, train: bool = False, key: jax.Array | None = None) -> jax.Array:
        x = jax.nn.relu(self.norm(self.conv(x), train))
        return 0.3 * self.dense(x.reshape(len(x), -1)).reshape(len(x), STYLES, DIM)


def make_setting():
    """(step_loss, parameters, first carry): mean squared error of each step's picture, BatchNorm in train mode."""
    encoder, (_, generator) = SmallEncoder(nnx.Rngs(0)), small_networks()
    x = jax.random.uniform(jax.random.key(0), (BATCH, 32, 32, 3), minval=-1)
    w_avg = 0.3 * jax.random.normal(jax.random.key(1), (STYLES, DIM))
    start = refine.average(generator, w_avg, GEOMETRY)
    start = Estimate(*(jnp.repeat(part, BATCH, 0) for part in start))
    graph, params, stats = nnx.split(encoder, nnx.Param, nnx.BatchStat)

    def step_loss(params, carry, remat=False):
        estimate, stats, key = carry
        key, now = jax.random.split(key)
        network = nnx.merge(graph, params, stats, copy=True)
        estimate, _ = refine.step(network, generator, x, estimate, w_avg, GEOMETRY, noise=now, train=True, remat=remat)
        loss = jnp.mean(jnp.square(estimate.y - x))
        return loss, ((estimate, nnx.state(network, nnx.BatchStat), key), {"loss": loss, "w": estimate.w.mean()})

    return step_loss, params, (start, stats, jax.random.key(2))


@pytest.fixture(scope="module")
def setting():
    return make_setting()


def python_loop(step_loss, params, carry, weights):
    """The reference: one gradient per step, added up on the host."""
    differentiate = jax.jit(jax.grad(step_loss, has_aux=True))
    total, losses = jax.tree.map(jnp.zeros_like, params), []
    for weight in weights:
        gradient, (carry, metrics) = differentiate(params, carry)
        total = jax.tree.map(lambda a, b, weight=weight: a + weight * b, total, gradient)
        losses.append(metrics["loss"])
    return total, carry, np.array(losses)


def scanned(setting, weights, steps=None, **options):
    step_loss, params, carry = setting
    return jax.jit(lambda params, carry: refine.step_gradients(step_loss, params, carry, weights, steps, **options))(
        params, carry
    )


def distance(tree, reference) -> float:
    """Largest difference of any leaf, relative to that leaf's largest entry."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(reference), strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)) for a, b in pairs if a.dtype != jnp.uint32)


def without_key(carry):
    return carry[:2]


def test_accumulated_gradient_equals_a_python_loop():
    """In double precision, as in single precision each of the two compiled forms rounds in its own way."""
    weights = np.array([1, 0.5, 1], np.float32)
    with jax.enable_x64(True):
        step_loss, *trees = make_setting()
        double = [
            jax.tree.map(lambda leaf: leaf.astype(float) if leaf.dtype == jnp.float32 else leaf, tree) for tree in trees
        ]
        gradient, carry, metrics = scanned((step_loss, *double), weights)
        expected, last, losses = python_loop(step_loss, *double, weights)
    for found, reference in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        assert found.dtype == np.float64 and networks.error(found, np.asarray(reference)) < 1e-10
    assert distance(without_key(carry), without_key(last)) < 1e-6
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-6)


def test_statistics_are_updated_once_per_step(setting):
    _, (_, stats, _), _ = scanned(setting, np.ones(3, np.float32))
    counts = [leaf for leaf in jax.tree.leaves(stats) if leaf.dtype == jnp.int32]
    assert counts and all(int(count) == 3 for count in counts)


def test_a_loss_on_the_last_step_only(setting):
    weights = np.array([0, 0, 1], np.float32)
    gradient, _, metrics = scanned(setting, weights)
    expected, _, losses = python_loop(*setting, weights)
    assert distance(gradient, expected) < 1e-5
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-6)


@pytest.mark.parametrize("through_steps", [False, True])
def test_steps_after_the_drawn_number_do_nothing(setting, through_steps: bool):
    shorter = scanned(setting, np.ones(2, np.float32), through_steps=through_steps)
    drawn = scanned(setting, np.ones(4, np.float32), jnp.int32(2), through_steps=through_steps)
    assert distance(drawn[0], shorter[0]) < 1e-5 and distance(without_key(drawn[1]), without_key(shorter[1])) < 1e-5
    np.testing.assert_allclose(drawn[2]["loss"][:2], shorter[2]["loss"], rtol=1e-6)
    np.testing.assert_array_equal(drawn[2]["loss"][2:], np.repeat(drawn[2]["loss"][1], 2))


def test_back_propagation_through_the_steps(setting):
    step_loss, params, carry = setting
    gradient, _, metrics = scanned(setting, np.ones(2, np.float32), through_steps=True)

    def total(params):
        first, (middle, _) = step_loss(params, carry)
        return first + step_loss(params, middle)[0]

    assert distance(gradient, jax.jit(jax.grad(total))(params)) < 1e-4
    detached, _, same = scanned(setting, np.ones(2, np.float32))
    np.testing.assert_allclose(metrics["loss"], same["loss"], rtol=1e-6)
    assert distance(gradient, detached) > 1e-3


def test_rematerialisation_changes_nothing(setting):
    step_loss, params, carry = setting
    weights = np.ones(2, np.float32)
    kept, after, _ = scanned(setting, weights)
    again, after_again, _ = scanned(
        (lambda params, carry: step_loss(params, carry, remat=True), params, carry), weights
    )
    assert distance(again, kept) < 1e-5 and distance(without_key(after_again), without_key(after)) < 1e-6
