"""Improved precision and recall of Kynkäänniemi et al. (arXiv 1904.06991): how real fakes look, and how much they cover."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NEIGHBOUR = 3
CHUNK_DISTANCES = 1 << 26  # held at a time: 256 MiB
ROUNDING = 1e-5  # of squared distances between float32 vectors, relative to their squared lengths


class PrecisionRecall(NamedTuple):
    """Shares of the fakes that are near some real picture, and of the real pictures that are near some fake."""

    precision: float
    recall: float


def precision_recall(real: np.ndarray, fake: np.ndarray) -> PrecisionRecall:
    """Precision and recall of features f32[N, F] and f32[M, F].

    Around each feature of a set lies a ball that reaches to its third neighbour in that set. Precision is the share of the
    fakes in at least one ball of a real feature, recall the reverse. Distances are Euclidean, in float32;
    stylegan2-ada-pytorch rounds features to float16 first. Raises ValueError for sets of fewer than four features.
    """
    if min(len(real), len(fake)) <= NEIGHBOUR:
        raise ValueError(
            f"precision and recall need more than {NEIGHBOUR} features of each set, got {len(real)} and {len(fake)}"
        )
    centre = real.mean(axis=0, dtype=np.float64)  # shorter vectors have smaller rounding errors
    a, b = (jnp.asarray(features - centre, jnp.float32) for features in (real, fake))
    return PrecisionRecall(float(_covered(b, a, _radii(a)).mean()), float(_covered(a, b, _radii(b)).mean()))


@jax.jit
def _radii(features: jax.Array) -> jax.Array:
    """Squared distance f32[N] of each feature to its third neighbour."""

    def radius(x: jax.Array) -> jax.Array:
        nearest, _ = jax.lax.top_k(-_distances(x, features), NEIGHBOUR + 1)  # the nearest is the feature itself
        return -nearest[-1]

    return jax.lax.map(radius, features, batch_size=_chunk(features))


@jax.jit
def _covered(queries: jax.Array, centres: jax.Array, radii: jax.Array) -> jax.Array:
    """bool[M]: whether each query is in a ball."""
    return jax.lax.map(lambda x: (_distances(x, centres) <= radii).any(), queries, batch_size=_chunk(centres))


def _chunk(features: jax.Array) -> int:
    return max(CHUNK_DISTANCES // len(features), 1)


def _distances(x: jax.Array, features: jax.Array) -> jax.Array:
    """Squared distances f32[N] from x f32[F] to `features` f32[N, F]; what may be rounding only is 0."""
    lengths = jnp.square(features).sum(axis=-1) + jnp.square(x).sum()
    squared = lengths - 2 * jnp.matmul(features, x, precision="highest")
    return jnp.where(squared > ROUNDING * lengths, squared, 0.0)
