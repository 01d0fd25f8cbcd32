"""The coin that decides for each picture whether it meets an operation."""

import jax
import jax.numpy as jnp


def gate(coin: jax.Array, probability: jax.Array, drawn: jax.Array, neutral: float) -> jax.Array:
    """The drawn parameter of a picture with the given probability, else the neutral one.

    coin: f32[B], uniform in [0, 1). drawn: [B] or [B, n], whose n numbers share the coin. Above 1 the probability means always.
    """
    heads = coin < probability
    return jnp.where(heads if drawn.ndim == 1 else heads[:, None], drawn, neutral)
