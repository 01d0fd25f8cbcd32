"""Matrix products whose gradients need another form than the one that automatic differentiation gives them."""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_vjp
def stacked_matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """K independent products: x [K, M, I], kernel [K, I, O] -> [K, M, O].

    The gradient in x is the product with the transposed kernel, for which XLA transposes the whole kernel in memory on CPU:
    with few rows M that takes several times as long as the product. There the small operands are transposed instead.
    Differentiable in reverse mode only, any number of times.
    """
    return jnp.einsum("kmi,kio->kmo", x, kernel)


def _input_gradient(grad: jax.Array, kernel: jax.Array) -> jax.Array:
    """grad [K, M, O], kernel [K, I, O] -> [K, M, I]."""
    return jnp.einsum("kmo,kio->kmi", grad, kernel)


def _input_gradient_on_cpu(grad: jax.Array, kernel: jax.Array) -> jax.Array:
    # The barriers keep the compiler from folding the transpositions into the product, which is the slow form again.
    turned = jnp.einsum("kio,kom->kim", kernel, lax.optimization_barrier(jnp.swapaxes(grad, 1, 2)))
    return jnp.swapaxes(lax.optimization_barrier(turned), 1, 2)


stacked_matmul.defvjp(
    lambda x, kernel: (stacked_matmul(x, kernel), (x, kernel)),
    lambda saved, grad: (
        lax.platform_dependent(grad, saved[1], cpu=_input_gradient_on_cpu, default=_input_gradient),
        jnp.einsum("kmi,kmo->kio", saved[0], grad),
    ),
)
