"""What a generator makes, for its metrics: pictures as bytes, and the lengths of its paths."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.metrics.path_length import EPSILON, Space, compared, path_lengths
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.perceptual import LPIPS
from restyle_jax.nets.style_based import broadcast_styles, truncate


def pictures_of_generator(
    generator: Generator,
    w_avg: jax.Array,
    count: int,
    *,
    seed: int,
    batch_size: int,
    truncation_psi: float = 1.0,
    labels: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """`count` pictures u8[b, R, R, 3] of random codes, at most `batch_size` at a time, with fresh noise in each.

    Picture i depends on the seed and on i only (but for float rounding): z and noise are normal, labels of conditional
    generators drawn from `labels`, int32[N], the classes of the pictures of a data set, or else uniform over the classes. w_avg:
    f32[K, w_dim]. Values are rounded to bytes, halves upwards, as in the public metrics. Raises ValueError for pictures that are
    not finite.
    """
    graph, state = nnx.split(generator)
    key = jax.random.key(seed)
    for start in range(0, count, batch_size):
        made = _pictures(graph, state, w_avg, key, jnp.arange(start, start + batch_size), truncation_psi, labels)
        pictures, finite = (np.asarray(part)[: count - start] for part in made)
        if not finite.all():
            raise ValueError(f"numbers that are not finite in {(~finite).sum()} of {len(finite)} pictures")
        yield pictures


@functools.partial(jax.jit, static_argnames="graph")
def _pictures(graph, state, w_avg, key, numbers, truncation_psi, labels) -> tuple[jax.Array, jax.Array]:
    """The pictures, and whether each is finite, bool[B]."""
    generator = nnx.merge(graph, state, copy=True)
    keys_z, keys_label, keys_noise = _keys(key, numbers, 3)
    z = jax.vmap(lambda key: jax.random.normal(key, (generator.config.z_dim,)))(keys_z)
    w = broadcast_styles(generator.mapping(z, _labels(generator, keys_label, labels)), w_avg.shape[0])
    images = _synthesis(generator, truncate(w, w_avg, truncation_psi), keys_noise)
    values = images * 127.5 + 128
    return jnp.clip(values, 0, 255).astype(jnp.uint8), jnp.isfinite(values).all(axis=(1, 2, 3))


def lengths_of_generator(
    generator: Generator,
    distance: LPIPS,
    count: int,
    *,
    space: Space,
    full: bool,
    crop: bool,
    seed: int,
    batch_size: int,
    labels: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """`count` perceptual path lengths f32[b] (see `path_length`), at most `batch_size` at a time.

    full: anywhere on the paths, not at their ends only. crop: compare the part that shows the face in FFHQ. Both pictures of a
    path have the same noise and label, which is drawn as for `pictures_of_generator`; nothing is truncated.
    """
    graphs, states = zip(nnx.split(generator), nnx.split(distance), strict=True)
    key = jax.random.key(seed)
    for start in range(0, count, batch_size):
        numbers = jnp.arange(start, start + batch_size)
        yield np.asarray(_lengths(graphs, states, key, numbers, labels, space, full, crop))[: count - start]


@functools.partial(jax.jit, static_argnames=("graphs", "space", "full", "crop"))
def _lengths(graphs, states, key, numbers, table, space, full, crop) -> jax.Array:
    generator, lpips = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
    keys_z, keys_t, keys_label, keys_noise = _keys(key, numbers, 4)
    z = jax.vmap(lambda key: jax.random.normal(key, (2, generator.config.z_dim)), out_axes=1)(keys_z)
    t = jax.vmap(jax.random.uniform)(keys_t) * full
    labels = _labels(generator, keys_label, table)

    def synthesis(w: jax.Array) -> jax.Array:
        w = broadcast_styles(w, generator.config.num_styles)
        return compared(_synthesis(generator, w, keys_noise), crop=crop)

    return path_lengths(lambda z: generator.mapping(z, labels), synthesis, lpips, z, t, space)


def definition_of_pictures(*, real_labels: bool) -> str:
    """What `pictures_of_generator` makes, for people. real_labels: whether labels are drawn from those of real pictures."""
    return f"with the averaged generator, fresh noise, {_labels_named(real_labels)}, rounded to bytes (halves upwards)"


def definition_of_lengths(space: Space, full: bool, *, crop: bool, real_labels: bool) -> str:
    """What the mean of `lengths_of_generator` is, likewise."""
    place = f"{'great circles in z' if space == 'z' else 'straight lines in w'}, {'t anywhere' if full else 't = 0'}"
    part = "the face part of FFHQ's pictures" if crop else "whole pictures"
    return (
        f"mean of LPIPS v0.1 (VGG16) between G(t) and G(t + {EPSILON}), divided by {EPSILON}^2, without the values beyond the 1st "
        f"and the 99th percentile; {place}; {part}, made by the averaged generator, values nominally in [-1, 1], neither clipped "
        "nor rounded, at no more than 256 px (means over blocks); not truncated; both pictures of a path have the same fresh "
        f"noise, and {_labels_named(real_labels)}"
    )


def _labels_named(real: bool) -> str:
    return f"{'labels of real pictures' if real else 'uniform labels'} if it has classes"


def _keys(key: jax.Array, numbers: jax.Array, count: int) -> jax.Array:
    """`count` keys for each number, [count, B]."""
    return jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number), count), out_axes=1)(numbers)


def _labels(generator: Generator, keys: jax.Array, table: jax.Array | None = None) -> jax.Array | None:
    classes = generator.config.label_dim
    if not classes:
        return None
    table = jnp.arange(classes) if table is None else table
    return jax.vmap(lambda key: jax.nn.one_hot(table[jax.random.randint(key, (), 0, len(table))], classes))(keys)


def _synthesis(generator: Generator, w: jax.Array, keys: jax.Array) -> jax.Array:
    """Pictures with the noise of a key each, so that they do not depend on their neighbours in the batch."""
    return jax.vmap(lambda w, key: generator.synthesis(w[None], key)[0])(w, keys)
