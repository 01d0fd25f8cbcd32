"""The convolution whose gradients are written out: against automatic differentiation of the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from restyle_jax.ops.convolution import DIMENSION_NUMBERS, conv2d, for_flax


def plain(x: jax.Array, kernel: jax.Array, stride: int, pads) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=DIMENSION_NUMBERS)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        ((8, 6), 3, 1, ((1, 1), (1, 1))),
        ((8, 7), 3, 2, ((1, 1), (1, 1))),
        ((9, 8), 1, 2, ((0, 0), (0, 0))),
        ((9, 10), 7, 2, ((3, 3), (3, 3))),
        ((23, 17), 11, 4, ((2, 2), (2, 2))),
        ((8, 8), 3, 1, ((0, 0), (1, 1))),
        ((6, 6), 2, 1, ((1, 0), (0, 2))),
    ],
)
@pytest.mark.parametrize("backend", ["cpu", "others"])
def test_gradients_to_second_order(backend, size, kernel, stride, pads, monkeypatch):
    if backend == "others":  # their forms are computed here, by the CPU
        monkeypatch.setattr(lax, "platform_dependent", lambda *arguments, cpu, default: default(*arguments))
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (2, *size, 3))
    weights = jax.random.normal(keys[1], (kernel, kernel, 3, 5))

    def penalty(function):
        """A function of the gradients, whose own gradients are the second derivatives."""

        def loss(x, weights):
            return jnp.sum(jnp.tanh(function(x, weights, stride, pads)))

        def value(x, weights):
            slopes = jax.grad(loss, (0, 1))(x, weights)
            return sum(jnp.sum(jnp.square(slope)) for slope in slopes)

        return jax.jit(lambda x, weights: (jax.grad(loss, (0, 1))(x, weights), jax.grad(value, (0, 1))(x, weights)))

    for found, expected in zip(*(jax.tree.leaves(penalty(f)(x, weights)) for f in (conv2d, plain)), strict=True):
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_flax_settings_that_it_does_not_have_are_refused():
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    np.testing.assert_allclose(for_flax(x, kernel, (1, 1), "SAME"), plain(x, kernel, 1, ((1, 1), (1, 1))))
    with pytest.raises(ValueError, match="only plain convolutions"):
        for_flax(x, kernel, (1, 1), "SAME", rhs_dilation=(2, 2))
    with pytest.raises(ValueError, match="only plain convolutions"):
        for_flax(x, kernel, (1, 1), "SAME", feature_group_count=2)
