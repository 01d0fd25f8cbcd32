"""Cosine similarity of features: the identity loss (pSp, arXiv 2008.00951) and the MoCo loss (e4e, arXiv 2102.02766).

Upstream `criteria/id_loss.py` and `criteria/moco_loss.py`, which differ in the network only.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def cosine_similarity(a: jax.Array, b: jax.Array) -> jax.Array:
    """Cosine of the angle between unit vectors. a, b: f32[B, D] of length 1 -> f32[B]."""
    return jnp.sum(a * b, axis=-1)


def feature_distance(network: Callable[[jax.Array], jax.Array], y: jax.Array, x: jax.Array) -> jax.Array:
    """1 - cosine similarity of the features of y and x, those of x taken as constants.

    network: pictures f32[B, H, W, 3] -> unit vectors f32[B, D], such as `nets.face.FaceNetwork` or `nets.moco.MoCoNetwork`.
    y, x: pictures in [-1, 1]. Returns f32[B] in [0, 2].
    """
    return 1 - cosine_similarity(network(y), jax.lax.stop_gradient(network(x)))
