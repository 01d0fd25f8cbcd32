"""The game between a generator (of pictures, or an encoder of codes) and a discriminator: the non-saturating logistic loss
(arXiv 1406.2661) with R1; and the pool of older codes of e4e (arXiv 2102.02766).

Upstream `training/coach_restyle_e4e.py` and `models/e4e_modules/latent_codes_pool.py`; `training/loss.py` of
NVlabs/stylegan2-ada-pytorch. `D` is anything that maps codes f32[..., D] to scores f32[...], such as
`nets.discriminators.LatentDiscriminator`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Discriminator = Callable[[jax.Array], jax.Array]
Stage = jax.Array | int | None


def encoder_loss(D: Discriminator, w: jax.Array, stage: Stage = None) -> jax.Array:
    """What the encoder pays for codes that the discriminator recognises: softplus(-D(w_i)), the mean over active styles i.

    w: f32[B, K, D] -> f32[B]. stage: styles 0 ... stage are active, may be traced; None takes all.
    """
    losses = jax.nn.softplus(-D(w))
    if stage is None:
        return losses.mean(axis=-1)
    active = jnp.arange(w.shape[1]) <= stage
    return jnp.sum(losses * active, axis=-1) / active.sum()


def real_loss(logits: jax.Array) -> jax.Array:
    """What the discriminator pays for its scores of real samples, and a generator for those of its own: softplus(-score),
    elementwise."""
    return jax.nn.softplus(-logits)


def fake_loss(logits: jax.Array) -> jax.Array:
    """What the discriminator pays for its scores of generated samples: softplus(score), elementwise."""
    return jax.nn.softplus(logits)


def r1_penalty(D: Discriminator, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Squared length of the gradient of the score by the sample (R1, arXiv 1801.04406), without its factor gamma / 2.

    x: f32[B, ...], real codes or pictures -> (penalties f32[B], scores f32[B]). Scores of a batch may depend on each other.
    """

    def total(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = D(x)
        return scores.sum(), scores

    slope, scores = jax.grad(total, has_aux=True)(x)
    return jnp.sum(jnp.square(slope), axis=range(1, x.ndim)), scores


class LatentPool(NamedTuple):
    """Codes of earlier batches: `codes` f32[size, D], of which the first `count` (i32) are filled."""

    codes: jax.Array
    count: jax.Array

    @classmethod
    def empty(cls, size: int, w_dim: int = 512) -> "LatentPool":
        """A pool for `size` codes; one of size 0 passes every code on."""
        return cls(jnp.zeros((size, w_dim)), jnp.zeros((), jnp.int32))


def pool_query(
    pool: LatentPool, codes: jax.Array, use_stored: jax.Array, slot: jax.Array
) -> tuple[LatentPool, jax.Array]:
    """Show codes to the pool, one after the other, and take one for each.

    codes: f32[B, D]. Until the pool is full a code is stored and returned. From then on code b is returned; or, if
    `use_stored` bool[B] says so, it changes places with the one at `slot` i32[B].
    Returns (pool, f32[B, D]).
    """
    size = pool.codes.shape[0]
    if size == 0:
        return pool, codes

    def visit(pool: LatentPool, visitor: tuple[jax.Array, ...]) -> tuple[LatentPool, jax.Array]:
        code, use_stored, slot = visitor
        filling = pool.count < size
        place = jnp.where(filling, pool.count, slot)
        stored = pool.codes[place]
        stays = filling | use_stored
        after = pool.codes.at[place].set(jnp.where(stays, code, stored))
        taken = jnp.where(use_stored & ~filling, stored, code)
        return LatentPool(after, jnp.minimum(pool.count + 1, size)), taken

    return jax.lax.scan(visit, pool, (codes, use_stored, slot))


def pool_draw(pool: LatentPool, codes: jax.Array, key: jax.Array, stage: Stage = None) -> tuple[LatentPool, jax.Array]:
    """`pool_query` with the official odds: a full pool swaps every other code with a random one of its own.

    codes: f32[B, D], or f32[B, K, D], from each of which one style of 0 ... stage (None: of all) is picked first, as the pool
    holds single codes; a pool of size 0 takes style 0. Returns (pool, f32[B, D]).
    """
    style_key, use_key, slot_key = jax.random.split(key, 3)
    batch, size = codes.shape[0], pool.codes.shape[0]
    if codes.ndim == 3:
        styles = codes.shape[1] if stage is None else jnp.minimum(stage + 1, codes.shape[1])
        style = jax.random.randint(style_key, (batch,), 0, styles if size else 1)
        codes = codes[jnp.arange(batch), style]
    use_stored = jax.random.bernoulli(use_key, 0.5, (batch,))
    return pool_query(pool, codes, use_stored, jax.random.randint(slot_key, (batch,), 0, max(size, 1)))
