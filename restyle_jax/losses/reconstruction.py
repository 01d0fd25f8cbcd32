"""Distances between pictures, pixel by pixel."""

import jax
import jax.numpy as jnp


def l2(y: jax.Array, x: jax.Array) -> jax.Array:
    """Mean squared error of each picture. y, x: f32[B, H, W, C] -> f32[B]."""
    return jnp.mean(jnp.square(y - x), axis=(1, 2, 3))
