"""Layers of the StyleGAN networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.ops import layers
from restyle_jax.ops.convolution import conv2d
from tests import networks, recipe


def test_parity_with_reference_primitives():
    x = jnp.asarray(networks.nhwc(recipe.latent("ops/x", (2, 3, 7, 6))))
    found = {
        "flrelu": networks.nchw(layers.scaled_leaky_relu(x + recipe.latent("ops/b", (3,)))),
        "pixelnorm": layers.pixel_norm(jnp.asarray(recipe.latent("ops/z", (2, 512)))),
    }
    networks.assert_parity(found, "ops/primitives", 2e-6)


def test_leaky_relu_slopes():
    np.testing.assert_allclose(layers.leaky_relu(jnp.array([-2.0, 3.0]), 0.01), [-0.02, 3.0])


@pytest.mark.parametrize("lr_mul", [1.0, 0.01])
def test_equal_dense_has_unit_gain_at_the_start(lr_mul: float):
    layer = layers.EqualDense(256, 512, lr_mul=lr_mul, bias_init=2.0 / lr_mul, rngs=nnx.Rngs(0))
    y = layer(jax.random.normal(jax.random.key(0), (64, 256)))
    assert abs(float(y.std()) - 1) < 0.1 and abs(float(y.mean()) - 2) < 0.1


@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_equals_one_kernel_per_sample(up: bool):
    """Scaling activations is the same as scaling the kernel of each sample, which is how the paper writes it."""
    layer = layers.ModulatedConv(5, 4, 8, up=up, rngs=nnx.Rngs(0))
    x, w = jax.random.normal(jax.random.key(0), (3, 6, 6, 5)), jax.random.normal(jax.random.key(1), (3, 8))
    kernels = layer.gain * layer.kernel[...] * layer.modulation(w)[:, None, None, :, None]
    kernels *= jax.lax.rsqrt(jnp.square(kernels).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    convolve = layers.up_convolution if up else lambda x, kernel: conv2d(x, kernel, padding=1)
    expected = jnp.concatenate([convolve(x[i : i + 1], kernels[i]) for i in range(3)])
    np.testing.assert_allclose(layer(x, layer.modulation(w)), expected, atol=1e-5)


def test_compiled_gradients_equal_those_of_single_operations():
    """XLA may compute the operand of an activation twice with different rounding; the gradient must not depend on it."""
    config = GeneratorConfig(16, (8, 8, 8), z_dim=32, w_dim=32, mapping_layers=1, conv_clamp=2.0)
    synthesis = networks.random(Generator, config).synthesis
    w = 0.3 * jax.random.normal(jax.random.key(1), (2, 6, 32))
    slope = jax.grad(lambda w: jnp.sum(jnp.square(synthesis(w))))
    single, compiled = slope(w), jax.jit(slope)(w)
    assert np.abs(compiled - single).max() < 1e-5 * np.abs(single).max()
