"""R1 and path lengths against finite differences, in float64."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.losses.adversarial import r1_penalty
from restyle_jax.losses.latent import path_lengths
from tests.train.generators import batch, made


def finite_difference(function: Any, x: np.ndarray, direction: np.ndarray, epsilon: float = 1e-5) -> float:
    return float(function(x + epsilon * direction) - function(x - epsilon * direction)) / (2 * epsilon)


def test_r1_and_its_gradient_against_finite_differences():
    """In float64, on a smooth discriminator of one parameter vector."""
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, v, weights = random.normal(size=(3, 4)), random.normal(size=(4, 5)), random.normal(size=5)

        def penalty(v: Any) -> jax.Array:
            return r1_penalty(lambda x: jnp.tanh(x @ v) @ weights, jnp.asarray(x))[0].sum()

        slopes = np.zeros((3, 4))
        for i, j in np.ndindex(3, 4):
            unit = np.zeros((3, 4))
            unit[i, j] = 1
            slopes[i, j] = finite_difference(lambda x: (jnp.tanh(x @ v) @ weights).sum(), x, unit)
        penalties, scores = r1_penalty(lambda x: jnp.tanh(x @ v) @ weights, jnp.asarray(x))
        np.testing.assert_allclose(penalties, (slopes**2).sum(1), rtol=1e-6)
        np.testing.assert_allclose(scores, np.tanh(x @ v) @ weights)
        direction = random.normal(size=v.shape)
        slope = float((jax.grad(penalty)(jnp.asarray(v)) * direction).sum())
        assert slope == pytest.approx(finite_difference(penalty, v, direction), rel=1e-6)


def test_path_lengths_and_their_gradient_against_finite_differences():
    random = np.random.default_rng(1)
    with jax.enable_x64(True):
        w, v = random.normal(size=(2, 3, 4)), random.normal(size=(4, 2 * 2 * 3))
        key = jax.random.key(0)

        def images(w: Any, v: Any) -> jax.Array:
            return jnp.sin(jnp.asarray(w).sum(1) @ v).reshape(-1, 2, 2, 3)

        y = np.asarray(jax.random.normal(key, (2, 2, 2, 3))) / 2
        squares = np.zeros((2, 3))
        for b, k, d in np.ndindex(2, 3, 4):
            unit = np.zeros(w.shape)
            unit[b, k, d] = 1
            squares[b, k] += finite_difference(lambda w: (images(w, v) * y).sum(), w, unit) ** 2
        lengths = path_lengths(lambda w: images(w, v), jnp.asarray(w), key)
        np.testing.assert_allclose(lengths, np.sqrt(squares.mean(1)), rtol=1e-6)

        def total(v: Any) -> jax.Array:
            return path_lengths(lambda w: images(w, v), jnp.asarray(w), key).sum()

        direction = random.normal(size=v.shape)
        slope = float((jax.grad(total)(jnp.asarray(v)) * direction).sum())
        assert slope == pytest.approx(finite_difference(total, v, direction), rel=1e-6)


def test_lazy_gradients_of_the_networks_against_finite_differences():
    """The terms of the task along a direction of all parameters, in float64 throughout."""
    with jax.enable_x64(True):
        trainer, frozen, state, _ = made()
        networks = trainer.networks(state["params"], frozen)
        for network in networks:
            for _, module in nnx.iter_graph(network):
                if isinstance(module, nnx.Module) and hasattr(module, "dtype"):
                    module.dtype = jnp.float64
        wide = functools.partial(jax.tree.map, lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x)
        state, frozen = wide({**state, "key": state["step"]}), wide(frozen)
        graphs = [nnx.graphdef(network) for network in networks]
        trainer = dataclasses.replace(trainer, generator=graphs[0], discriminator=graphs[1])
        key = jax.random.key(5)
        for role, loss, rows in (
            ("discriminator", trainer.r1_loss(state), (batch()["target"].astype(jnp.float64), None)),
            ("generator", trainer.path_loss(state, frozen), batch()["index"]),
        ):
            leaves, structure = jax.tree.flatten(state["params"][role])
            direction = [np.random.default_rng(i).normal(size=leaf.shape) for i, leaf in enumerate(leaves)]

            def along(t: float, leaves=leaves, direction=direction, structure=structure, loss=loss, rows=rows) -> Any:
                moved = [leaf + t * d for leaf, d in zip(leaves, direction, strict=True)]
                return loss(jax.tree.unflatten(structure, moved), rows, key)[0]

            value, slope = jax.jit(along), jax.jit(jax.grad(along))
            assert value(0.0).dtype == jnp.float64
            epsilon = 1e-6
            found = float(value(epsilon) - value(-epsilon)) / (2 * epsilon)
            assert float(slope(0.0)) == pytest.approx(found, rel=1e-5), role
