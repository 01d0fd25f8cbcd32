"""Batch normalisation: parity with torch in train mode, running statistics as explicit state, gradients."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from flax import nnx

from restyle_jax.ops.normalization import BatchNorm, PReLU, adaptive_instance_norm
from tests import networks, recipe
from tests.networks import nchw, nhwc


def test_train_mode_is_that_of_torch():
    norm = BatchNorm(3)
    out = norm(jnp.asarray(nhwc(recipe.latent("ops/bn", (2, 3, 5, 4)) * 2 + 1)), train=True)
    found = {"bn_out": nchw(out), "bn_mean": norm.mean[...], "bn_var": norm.var[...]}
    networks.assert_parity(found, "ops/primitives", 2e-6)
    assert norm.count[...] == 1 and norm.count[...].dtype == jnp.int32


def test_eval_mode_uses_the_running_statistics():
    generator = np.random.default_rng(0)
    x, scale, bias, mean = (generator.normal(size=shape) for shape in ((2, 4, 4, 3), 3, 3, 3))
    var = generator.uniform(0.5, 2, 3)
    norm = BatchNorm(3)
    for leaf, value in zip((norm.scale, norm.bias, norm.mean, norm.var), (scale, bias, mean, var), strict=True):
        leaf[...] = jnp.asarray(value, jnp.float32)
    expected = (x - mean) / np.sqrt(var + 1e-5) * scale + bias
    np.testing.assert_allclose(norm(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], np.float32(mean))
    assert norm.count[...] == 0


def test_statistics_are_carried_through_a_scan_and_the_argument_is_untouched():
    graph, params, stats = nnx.split(BatchNorm(2), nnx.Param, nnx.BatchStat)
    batches = jax.random.normal(jax.random.key(0), (4, 3, 5, 5, 2)) + 1

    @jax.jit
    def run(params, stats, batches):
        def step(stats, batch):
            norm = nnx.merge(graph, params, stats, copy=True)
            norm(batch, train=True)
            return nnx.state(norm, nnx.BatchStat), None

        return jax.lax.scan(step, stats, batches)[0]

    after = run(params, stats, batches)
    mean, var = np.zeros(2), np.ones(2)
    for batch in np.asarray(batches, np.float64):
        values = batch.reshape(-1, 2)
        mean = 0.9 * mean + 0.1 * values.mean(0)
        var = 0.9 * var + 0.1 * values.var(0, ddof=1)
    np.testing.assert_allclose(after["mean"][...], mean, rtol=1e-5)
    np.testing.assert_allclose(after["var"][...], var, rtol=1e-5)
    assert after["count"][...] == 4 and stats["count"][...] == 0


def test_gradient_runs_through_the_batch_statistics():
    """Compared with finite differences; adding a constant to a channel changes nothing, so its gradient sums to zero."""
    graph, state = nnx.split(BatchNorm(2))
    x, weight = jax.random.normal(jax.random.key(0), (2, 2, 3, 4, 2))

    def loss(x):
        return jnp.sum(weight * nnx.merge(graph, state, copy=True)(x, train=True))

    jax.test_util.check_grads(loss, (x,), order=1, modes=["rev"], eps=1e-2, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(jax.grad(loss)(x).sum((0, 1, 2)), 0, atol=1e-4)


def test_bfloat16_keeps_float32_statistics():
    x = 30 + jax.random.normal(jax.random.key(0), (4, 8, 8, 3))
    norm = BatchNorm(3, dtype=jnp.bfloat16)
    out = norm(x.astype(jnp.bfloat16), train=True)
    assert out.dtype == jnp.bfloat16 and norm.var[...].dtype == jnp.float32
    # The input's own rounding is 2^-9 of 30; a mean computed in bfloat16 would be off by as much as a standard deviation.
    np.testing.assert_allclose(out.astype(jnp.float32).mean((0, 1, 2)), 0, atol=0.02)


def test_one_value_per_channel_has_no_variance():
    with pytest.raises(ValueError, match=r"more than one value per channel.*\(1, 1, 1, 3\)"):
        BatchNorm(3)(jnp.zeros((1, 1, 1, 3)), train=True)


def test_prelu():
    prelu = PReLU(2)
    prelu.slope[...] = jnp.array([0.5, -2.0])
    out = prelu(jnp.array([[-1.0, -1.0], [3.0, 3.0]]))
    np.testing.assert_array_equal(out, [[-0.5, 2.0], [3.0, 3.0]])


def test_adaptive_instance_norm_sets_mean_and_deviation():
    x = 3 * jax.random.normal(jax.random.key(0), (2, 8, 8, 3)) + 5
    scale, shift = jax.random.normal(jax.random.key(1), (2, 2, 3))
    found = adaptive_instance_norm(x, scale, shift)
    np.testing.assert_allclose(found.mean((1, 2)), shift, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2)), np.abs(scale), atol=1e-5)
