"""The losses that need no golden: what they are for, sample by sample."""

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.losses.latent import delta_norm, delta_norms, w_norm
from restyle_jax.losses.reconstruction import l2
from restyle_jax.losses.similarity import cosine_similarity, feature_distance
from restyle_jax.ops.normalization import unit_norm

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RANDOM.normal(size=shape), jnp.float32)


def network(x: jax.Array) -> jax.Array:
    return unit_norm(jnp.tanh(x.reshape(x.shape[0], -1) @ jnp.linspace(-1, 1, 48 * 5).reshape(48, 5)))


def test_l2():
    y, x = normal(3, 4, 6, 3), normal(3, 4, 6, 3)
    np.testing.assert_allclose(l2(y, x), [np.mean((a - b) ** 2) for a, b in zip(y, x, strict=True)], rtol=1e-6)
    assert not l2(x, x).any()


def test_feature_distance():
    y, x = normal(3, 4, 4, 3), normal(3, 4, 4, 3)
    found = feature_distance(network, y, x)
    a, b = np.asarray(network(y)), np.asarray(network(x))
    np.testing.assert_allclose(found, 1 - (a * b).sum(1), atol=1e-6)
    np.testing.assert_allclose(cosine_similarity(network(y), network(y)), 1, atol=1e-6)
    np.testing.assert_allclose(feature_distance(network, -x, x), 2, atol=1e-6)
    to_y, to_x = jax.grad(lambda y, x: feature_distance(network, y, x).sum(), (0, 1))(y, x)
    assert to_y.any() and not to_x.any()  # the target is a constant


def test_norms_are_of_each_sample():
    w, w_avg = normal(3, 5, 8), normal(5, 8)
    np.testing.assert_allclose(w_norm(w, w_avg), [np.linalg.norm(sample - w_avg) for sample in w], rtol=1e-6)
    direction = (w - w_avg) / np.linalg.norm(w - w_avg, axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(jax.grad(lambda w: w_norm(w, w_avg).sum())(w), direction, atol=1e-6)
    expected = np.linalg.norm(w[:, 1:] - w[:, :1], axis=-1)
    np.testing.assert_allclose(delta_norms(w), expected, rtol=1e-6)
    for stage in range(5):
        np.testing.assert_allclose(delta_norm(w, stage), expected[:, :stage].sum(1), rtol=1e-6)
    np.testing.assert_allclose(delta_norm(w), expected.sum(1), rtol=1e-6)
