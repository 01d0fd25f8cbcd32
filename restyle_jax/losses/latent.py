"""Regularisation of latent codes: distance from the mean (pSp, arXiv 2008.00951) and between styles (e4e, arXiv 2102.02766);
and of what a generator makes of them: path lengths (StyleGAN2, arXiv 1912.04958, section 3.2).

Upstream `criteria/w_norm.py` and `training/coach_restyle_e4e.py`. A norm has the gradient zero at zero, as in torch.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


def w_norm(w: jax.Array, w_avg: jax.Array) -> jax.Array:
    """Distance of a code from the mean code, over all styles together. w: f32[B, K, D], w_avg: f32[K, D] -> f32[B]."""
    return optax.safe_norm(w - w_avg, 0.0, axis=(1, 2))


def delta_norms(w: jax.Array) -> jax.Array:
    """Distance of each style from the first one. w: f32[B, K, D] -> f32[B, K - 1]."""
    return optax.safe_norm(w[:, 1:] - w[:, :1], 0.0, axis=-1)


def delta_norm(w: jax.Array, stage: jax.Array | int | None = None) -> jax.Array:
    """Sum of the distances of styles 1 ... `stage` from style 0. w: f32[B, K, D] -> f32[B].

    stage: the progressive stage, may be traced; None sums over all styles.
    """
    norms = delta_norms(w)
    if stage is None:
        return norms.sum(axis=-1)
    return jnp.sum(norms * (jnp.arange(1, w.shape[1]) <= stage), axis=-1)


def path_lengths(G: Callable[[jax.Array], jax.Array], w: jax.Array, key: jax.Array) -> jax.Array:
    """How far the picture moves with the code, in one random direction of picture space: the length of J^T y, y normal.

    G: codes f32[B, K, D] -> pictures f32[B, H, W, C]. y is drawn with variance 1 / (H W). The length is the root of the mean over
    the K styles of the squared length in each, as upstream. Returns f32[B].
    """

    def projected(w: jax.Array) -> jax.Array:
        images = G(w)
        return jnp.sum(images * jax.random.normal(key, images.shape)) / math.sqrt(math.prod(images.shape[1:3]))

    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(jax.grad(projected)(w)), axis=-1), axis=-1))
