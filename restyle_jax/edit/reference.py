"""Edits by reference: a code takes over one attribute of other codes (arXiv 2203.07932, section 3.3)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange, repeat
from flax import nnx

from restyle_jax.nets.edit_transformer import EditTransformer
from restyle_jax.nets.latent_classifier import check_codes


def edit(
    editor: EditTransformer,
    w: jax.typing.ArrayLike,
    references: jax.typing.ArrayLike,
    strength: jax.typing.ArrayLike = 1.0,
) -> jax.Array:
    """Every code with the attribute of every reference: f32[B, K, D] and f32[R, K, D] -> f32[B, R, K, D], or
    f32[n, B, R, K, D] of n strengths, for which the network runs once. Compiled.

    strength: one number or f32[n], how far it goes from w towards the network's result, which is 1; 0 returns w bit for bit.
    Raises ValueError: codes of another shape, a strength that is not a number.
    """
    codes, targets = jnp.asarray(w), jnp.asarray(references)
    for array in (codes, targets):
        check_codes(array, editor.config.num_styles, editor.config.style_dim, "the network for edits by reference")
    if not np.isfinite(np.asarray(strength)).all():
        raise ValueError(f"strength {strength}: expected finite numbers")
    graph, state = nnx.split(editor)
    return _edited(graph, state, codes, targets, jnp.asarray(strength, codes.dtype))


@functools.partial(jax.jit, static_argnames="graph")
def _edited(graph, state, w, references, strength) -> jax.Array:
    rows = repeat(w, "b k d -> (b r) k d", r=len(references))
    edited = nnx.merge(graph, state, copy=True)(rows, repeat(references, "r k d -> (b r) k d", b=len(w)))
    share = strength[..., None, None, None]
    moved = jnp.where(share == 0, rows, rows + share * (edited - rows))
    return rearrange(moved, "... (b r) k d -> ... b r k d", b=len(w))
