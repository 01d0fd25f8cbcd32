"""Random codes of a generator, which every fit of directions starts from, and what they look like to a judge."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets.generators import Generator
from restyle_jax.nets.style_based import broadcast_styles, truncate

Score = Callable[[jax.Array], np.ndarray]
"""Pictures f32[B, R, R, 3], nominally in [-1, 1] -> f32[B], or f32[B, A] for several attributes: higher, the more of it."""

CHUNK = 1000


class Codes(NamedTuple):
    """z f32[n, z_dim], normal, and the w f32[n, w_dim] (f32[n, K, w_dim] with distinct styles) that it is mapped to."""

    z: np.ndarray
    w: np.ndarray


def random_codes(generator: Generator, count: int, *, seed: int, chunk: int = CHUNK) -> Iterator[Codes]:
    """`count` random codes, at most `chunk` at a time; code i depends on the seed and on i only (but for float rounding).

    Nothing is truncated. Labels of conditional generators are uniform over the classes. Raises ValueError for no codes.
    """
    if count < 1 or chunk < 1:
        raise ValueError(f"count is {count} and chunk {chunk}; expected at least 1")
    graph, state = nnx.split(generator.mapping)
    for start in range(0, count, chunk):
        drawn = _drawn(graph, state, jax.random.key(seed), jnp.arange(start, start + chunk))
        yield Codes(*(np.asarray(part)[: count - start] for part in drawn))


@functools.partial(jax.jit, static_argnames="graph")
def _drawn(graph, state, key, numbers) -> tuple[jax.Array, jax.Array]:
    mapping = nnx.merge(graph, state, copy=True)
    keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(numbers)
    z = jax.vmap(lambda key: jax.random.normal(key, (mapping.z_dim,)))(keys[:, 0])
    labels = None
    if mapping.label_dim:
        labels = jax.vmap(lambda key: jax.random.randint(key, (), 0, mapping.label_dim))(keys[:, 1])
        labels = jax.nn.one_hot(labels, mapping.label_dim)
    return z, mapping(z, labels)


def scored_codes(
    generator: Generator,
    w_avg: jax.Array,
    score: Score,
    count: int,
    *,
    seed: int,
    batch_size: int = 8,
    truncation_psi: float = 0.7,
    truncation_cutoff: int | None = 8,
) -> tuple[Codes, np.ndarray]:
    """`count` random codes, and the scores f32[count] or f32[count, A] of their pictures.

    Only the pictures are truncated, by default as InterFaceGAN does. z lies on the sphere of radius sqrt(z_dim), as there.
    w_avg: f32[K, w_dim]. Raises ValueError if `score` gives another number of rows than pictures.
    """
    graph, state = nnx.split(generator.synthesis)
    codes, scores = [], []
    for part in random_codes(generator, count, seed=seed, chunk=batch_size):
        # The last batch is filled up by repetition, so that one compilation serves all.
        w = np.resize(part.w, (batch_size, *part.w.shape[1:]))
        found = np.asarray(score(_pictures(graph, state, w, w_avg, truncation_psi, truncation_cutoff)))
        if len(found) != batch_size:
            raise ValueError(f"the scores of {batch_size} pictures have shape {found.shape}, expected one row for each")
        codes.append(part)
        scores.append(found[: len(part.w)])
    z, w = (np.concatenate(parts) for parts in zip(*codes, strict=True))
    radius = np.sqrt(z.shape[1]) / np.linalg.norm(z, axis=1, keepdims=True)
    return Codes(z * radius, w), np.concatenate(scores)


@functools.partial(jax.jit, static_argnames=("graph", "cutoff"))
def _pictures(graph, state, w, w_avg, psi, cutoff) -> jax.Array:
    w = truncate(broadcast_styles(w, w_avg.shape[0]), w_avg, psi, cutoff)
    return nnx.merge(graph, state, copy=True)(w)
