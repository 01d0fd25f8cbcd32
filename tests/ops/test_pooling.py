"""Pooling and nearest-neighbour resizing against torch, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from restyle_jax.ops.pooling import adaptive_mean, max_pool, nearest, neighbour_mean
from tests.networks import nchw, nhwc


def picture(height: int, width: int) -> np.ndarray:
    """Few different values, so that many windows have several maxima."""
    return np.random.default_rng(0).integers(0, 4, (2, 3, height, width)).astype(np.float32)


def compare(ours, theirs, x: np.ndarray, bound: float) -> None:
    tensor = torch.tensor(x, requires_grad=True)
    expected = theirs(tensor)
    weights = np.random.default_rng(1).normal(size=tuple(expected.shape)).astype(np.float32)
    (expected * torch.tensor(weights)).sum().backward()

    @jax.jit
    def value_and_slope(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(ours, x)
        return y, pull(jnp.asarray(nhwc(weights)))[0]

    y, slope = value_and_slope(jnp.asarray(nhwc(x)))
    np.testing.assert_allclose(nchw(y), expected.detach().numpy(), atol=bound, rtol=0)
    assert tensor.grad is not None
    np.testing.assert_allclose(nchw(slope), tensor.grad.numpy(), atol=bound, rtol=0)


@pytest.mark.parametrize(
    ("size", "padding", "ceil", "height", "width"),
    [(3, 0, False, 13, 14), (3, 0, True, 13, 14), (2, 0, False, 13, 14), (3, 1, False, 13, 14), (3, 0, True, 2, 3)],
)
def test_max_pool(size: int, padding: int, ceil: bool, height: int, width: int):
    """Also among equal maxima the gradient goes where torch sends it."""
    compare(
        lambda x: max_pool(x, size, 2, padding=padding, ceil=ceil),
        lambda x: functional.max_pool2d(x, size, 2, padding, ceil_mode=ceil),
        picture(height, width),
        1e-6,
    )


@pytest.mark.parametrize("shape", [(19, 11), (5, 40), (4, 7)])
def test_adaptive_mean(shape: tuple[int, int]):
    compare(
        lambda x: adaptive_mean(x, 7, 11), lambda x: functional.adaptive_avg_pool2d(x, (7, 11)), picture(*shape), 1e-5
    )


@pytest.mark.parametrize("shape", [(16, 12), (21, 5), (14, 14)])
def test_nearest(shape: tuple[int, int]):
    compare(lambda x: nearest(x, 14, 14), lambda x: functional.interpolate(x, size=14), picture(*shape), 1e-6)


@pytest.mark.parametrize(("height", "width"), [(6, 7), (2, 3), (1, 4)])
def test_neighbour_mean(height: int, width: int):
    def theirs(x: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    compare(neighbour_mean, theirs, picture(height, width), 1e-6)
