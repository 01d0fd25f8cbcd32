"""Resampling: parity with the reference's primitives, and each fast form against the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from restyle_jax.ops import resample
from restyle_jax.ops.convolution import conv2d
from tests import networks, recipe
from tests.networks import nchw, nhwc

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def by_definition(x: np.ndarray, up: int, down: int, before: int, after: int, gain: float) -> np.ndarray:
    """Insert zeros, pad, convolve with the filter pixel by pixel, decimate. x: [B, H, W, C]."""
    batch, height, width, channels = x.shape
    spread = np.zeros((batch, height * up, width * up, channels))
    spread[:, ::up, ::up] = x
    padded = np.pad(spread, ((0, 0), (before, after), (before, after), (0, 0)))
    rows, columns = padded.shape[1] - 3, padded.shape[2] - 3
    out = sum(gain * FILTER[i, j] * padded[:, i : i + rows, j : j + columns] for i in range(4) for j in range(4))
    return np.asarray(out)[:, ::down, ::down]


def test_parity_with_reference_primitives():
    x = jnp.asarray(nhwc(recipe.latent("ops/x", (2, 3, 7, 6))))
    found = {
        "up2": resample.upsample(x),
        "down2": resample.blur(x, 1, 1, stride=2),
        "blur_11": resample.blur(x, 1, 1, gain=4.0),
        "blur_11_g1": resample.blur(x, 1, 1),
        "blur_22": resample.blur(x, 2, 2),
        "aap_1024_256": resample.block_mean(jnp.asarray(nhwc(recipe.latent("ops/q", (1, 1, 64, 64)))), 16),
    }
    networks.assert_parity({key: nchw(value) for key, value in found.items()}, "ops/primitives", 2e-6)


@pytest.mark.parametrize("shape", [(1, 4, 4, 2), (2, 5, 7, 3)])
def test_filters_follow_their_definition(shape: tuple[int, ...]):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(resample.upsample(jnp.asarray(x)), by_definition(x, 2, 1, 2, 1, 4.0), atol=1e-5)
    np.testing.assert_allclose(resample.blur(jnp.asarray(x), 2, 2), by_definition(x, 1, 1, 2, 2, 1.0), atol=1e-5)
    np.testing.assert_allclose(
        resample.blur(jnp.asarray(x), 1, 1, stride=2), by_definition(x, 1, 2, 1, 1, 1.0), atol=1e-5
    )


@pytest.mark.parametrize(
    "form", [resample.up_convolution_phases, resample.up_convolution_dilated, resample.up_convolution]
)
def test_up_convolution_is_scatter_then_filter(form):
    """out[2i + k] += x[i] kernel[k], with an asymmetric kernel so that a flip would show; then the filter with gain 4."""
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(2, 4, 5, 3)), generator.normal(size=(3, 3, 3, 2))
    scattered = np.zeros((2, 9, 11, 2))
    for i in range(4):
        for j in range(5):
            scattered[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("bi,hwio->bhwo", x[:, i, j], kernel)
    expected = by_definition(scattered, 1, 1, 1, 1, 4.0)
    found = form(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def plain_up_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    spread = lax.conv_general_dilated(
        x, kernel[::-1, ::-1], (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return resample.blur(spread, 1, 1, gain=4.0)


@pytest.mark.parametrize("backend", ["cpu", "others"])
def test_up_convolution_has_the_gradients_of_its_plain_form(backend: str, monkeypatch: pytest.MonkeyPatch):
    """To the third order: the gradients of a product that is linear on either side, and of theirs, against autodiff."""
    if backend == "others":  # their forms are computed here, by the CPU
        monkeypatch.setattr(lax, "platform_dependent", lambda *arguments, cpu, default: default(*arguments))
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 2))

    def losses(form):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(form(x, kernel)))

        def penalty(x, kernel):  # as R1 and the path length: of the input's gradient
            return jnp.mean(jnp.square(jax.grad(loss)(x, kernel)))

        def penalty_on_kernel(x, kernel):
            return jnp.mean(jnp.square(jax.grad(loss, argnums=1)(x, kernel)))

        def third(x, kernel):
            return jnp.sum(jnp.cos(jax.grad(penalty)(x, kernel))) + jnp.sum(jax.grad(penalty_on_kernel)(x, kernel))

        return loss, penalty, penalty_on_kernel, third

    def gradients(form):
        return [jax.grad(loss, argnums=(0, 1))(x, kernel) for loss in losses(form)]

    with jax.enable_x64(True):
        x, kernel = x.astype(jnp.float64), kernel.astype(jnp.float64)
        expected = jax.jit(lambda: gradients(plain_up_convolution))()
        for form in (resample.up_convolution_phases, resample.up_convolution_dilated, resample.up_convolution):
            found = jax.jit(lambda form=form: gradients(form))()
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), found, expected)


def test_the_kernel_gradient_of_a_frozen_up_convolution_is_not_computed():
    x, kernel = jnp.zeros((2, 8, 8, 16)), jnp.zeros((3, 3, 16, 16))

    def operations(argnums) -> float:
        @jax.jit
        def step(x, kernel):  # in a scan, where the training loop has it
            def body(total, _):
                gradients = jax.grad(lambda *args: jnp.sum(jnp.sin(resample.up_convolution(*args))), argnums)(x, kernel)
                return jax.tree.map(jnp.add, total, gradients), None

            start = tuple(jnp.zeros_like((x, kernel)[i]) for i in argnums)
            return jax.lax.scan(body, start, length=2)[0]

        return step.lower(x, kernel).compile().cost_analysis()["flops"]

    product = 2 * x[..., 0].size * kernel.size
    assert operations((0,)) < operations((0, 1)) - 0.9 * product


def test_up_convolution_keeps_low_precision():
    x, kernel = jnp.ones((1, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 2, 2), jnp.bfloat16)
    gradients = jax.grad(lambda *args: jnp.sum(resample.up_convolution(*args)), (0, 1))(x, kernel)
    assert [gradient.dtype for gradient in gradients] == [jnp.bfloat16, jnp.bfloat16]


def test_nearest_up_convolution_is_doubling_then_convolution():
    x, kernel = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((2, 5, 3, 4), (3, 3, 4, 2))))
    doubled = conv2d(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), kernel, padding=1)
    np.testing.assert_allclose(resample.nearest_up_convolution(x, kernel), doubled, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_down_convolution_is_filter_then_stride(size: int):
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(2, 6, 8, 3)), generator.normal(size=(size, size, 3, 2))
    border = 1 if size == 1 else 2
    filtered = jnp.asarray(by_definition(x, 1, 1, border, border, 1.0), jnp.float32)
    expected = lax.conv_general_dilated(
        filtered, jnp.asarray(kernel, jnp.float32), (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = resample.down_convolution(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    assert found.shape == (2, 3, 4, 2)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_block_mean_repeats_a_smaller_input_and_refuses_other_ratios():
    x = jnp.arange(8.0).reshape(1, 2, 2, 2)
    np.testing.assert_array_equal(resample.block_mean(x, 4)[0, ::2, ::2], x[0])
    np.testing.assert_array_equal(resample.block_mean(x, 4)[0, 1::2, 1::2], x[0])
    np.testing.assert_array_equal(resample.block_mean(x, 2), x)
    with pytest.raises(ValueError, match="cannot pool 6 x 6 pixels to 4 x 4"):
        resample.block_mean(jnp.zeros((1, 6, 6, 1)), 4)
