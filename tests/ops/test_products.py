"""Products with hand-made gradients against automatic differentiation of their definition."""

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.ops.products import stacked_matmul


def test_stacked_matmul_has_the_gradients_of_its_definition():
    x, kernel = jax.random.normal(jax.random.key(0), (3, 4, 5)), jax.random.normal(jax.random.key(1), (3, 5, 2))

    def losses(form):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(form(x, kernel)))

        def penalty(x, kernel):
            return sum(jnp.mean(jnp.square(part)) for part in jax.grad(loss, argnums=(0, 1))(x, kernel))

        return [jax.value_and_grad(f, argnums=(0, 1))(x, kernel) for f in (loss, penalty)]

    found, expected = jax.jit(lambda: [losses(form) for form in (stacked_matmul, lambda x, k: jnp.matmul(x, k))])()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)
    gradient = jax.grad(lambda x: jnp.sum(stacked_matmul(x, kernel.astype(x.dtype))))(x.astype(jnp.bfloat16))
    assert gradient.dtype == jnp.bfloat16
