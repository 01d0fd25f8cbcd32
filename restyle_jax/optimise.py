"""Latent optimisation in W+ (Image2StyleGAN, arXiv 1904.03189): the code of a picture by gradient descent, slow but closest.

From the average code, or from an encoder's codes, which is the hybrid that ReStyle compares with. Each picture is minimised
on its own by Adam; one program makes `CHUNK` iterations of a whole batch.
"""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from restyle_jax.losses.reconstruction import l2
from restyle_jax.model import Model
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.perceptual import PerceptualDistance
from restyle_jax.ops.images import as_floats
from restyle_jax.refine import Geometry

CHUNK = 25
"""Iterations between two reports of progress; any number of iterations is made by the same program."""

ADAM = optax.scale_by_adam()


class Weights(NamedTuple):
    """Of the squared error and of the perceptual distance."""

    l2: float
    perceptual: float


RESTYLE = Weights(1.0, 0.8)
"""Those of the encoders' training."""


class Optimised(NamedTuple):
    """latents f32[n, B, K, w_dim] and images f32[n, B, height, width, 3] after each of n numbers of iterations; losses
    f32[iterations, B], each of the code before that iteration."""

    latents: np.ndarray
    images: np.ndarray
    losses: np.ndarray


class _Descent(NamedTuple):
    w: jax.Array
    moments: optax.OptState


def picture_losses(
    generator: Generator,
    distance: PerceptualDistance | None,
    w: jax.Array,
    x: jax.Array,
    features: tuple[jax.Array, ...],
    geometry: Geometry,
    weights: Weights,
) -> jax.Array:
    """What is minimised: the weighted sum of squared error and perceptual distance of each picture.

    w: f32[B, K, w_dim]. x: f32[B, height, width, 3] in [-1, 1], and features: what `distance` sees in it; no distance, no such
    term. Constant noise. Returns f32[B].
    """
    y = geometry.pool(generator.synthesis(w))
    losses = weights.l2 * l2(y, x)
    if distance is not None:
        losses += weights.perceptual * distance.distances(distance.features(y), features).sum(-1)
    return losses


def optimise(
    model: Model,
    images: jax.Array | np.ndarray,
    iterations: Sequence[int],
    *,
    start: jax.Array | np.ndarray | None = None,
    distance: PerceptualDistance | None = None,
    weights: Weights = RESTYLE,
    learning_rate: float = 0.01,
    progress: Callable[[int], object] = lambda done: None,
) -> Optimised:
    """Find codes of pictures by Adam.

    Args:
        model: its generator, w_avg and geometry count; it needs no encoder.
        images: f32[B, height, width, 3] in [-1, 1], of the geometry's size (`dataclasses.replace(model, geometry=...)` sets it).
        iterations: ascending numbers of iterations, after each of which codes and pictures are kept; 0 is the start.
        start: f32[K, w_dim] or f32[B, K, w_dim], such as an encoder's codes; w_avg when None.
        distance: the perceptual distance, for pictures of that size; None minimises the squared error alone.
        learning_rate: of Adam, constant; the paper's 0.01 is meant for 5000 iterations.
        progress: called with the number of iterations made since the last call.

    A picture's result does not depend on the others of its batch. Raises ValueError for a wrong shape, type or range, for
    iterations that are no whole numbers, do not ascend or are negative, and on a model without generator.
    """
    generator, w_avg = model.require_generator()
    geometry = model.geometry
    shape = np.shape(images)
    if len(shape) != 4 or not shape[0] or shape[1:] != (geometry.height, geometry.width, 3):
        raise ValueError(f"images have shape {shape}, expected [B, {geometry.height}, {geometry.width}, 3]")
    x = as_floats(images)
    try:
        counts = [operator.index(count) for count in iterations]
    except TypeError as error:
        raise ValueError(f"iterations are {iterations!r}, expected whole numbers such as [100, 500]") from error
    if not counts or counts[0] < 0 or any(b <= a for a, b in itertools.pairwise(counts)):
        raise ValueError(f"iterations are {counts}, expected ascending numbers from 0, such as [100, 500]")
    begin = w_avg if start is None else jnp.asarray(start, jnp.float32)
    if begin.shape not in (w_avg.shape, (len(x), *w_avg.shape)):
        raise ValueError(f"the start has shape {begin.shape}, expected {w_avg.shape} or {(len(x), *w_avg.shape)}")

    networks = (generator,) if distance is None else (generator, distance)
    graphs, states = zip(*(nnx.split(network) for network in networks), strict=True)
    features = () if distance is None else _features(graphs[1], states[1], x)
    w = jnp.broadcast_to(begin, (len(x), *w_avg.shape))
    descent, kept, losses = _Descent(w, ADAM.init(w)), [], [np.zeros((0, len(x)), np.float32)]
    done = 0
    for count in counts:
        while done < count:
            some = min(CHUNK, count - done)
            descent, found = _descend(graphs, states, descent, x, features, some, weights, learning_rate, geometry)
            losses.append(np.asarray(found[:some]))
            done += some
            progress(some)
        kept.append((np.asarray(descent.w), np.asarray(_picture(graphs[0], states[0], descent.w, geometry))))
    latents, pictures = zip(*kept, strict=True)
    return Optimised(np.stack(latents), np.stack(pictures), np.concatenate(losses))


@functools.partial(jax.jit, static_argnames="graph")
def _features(graph, state, x: jax.Array) -> tuple[jax.Array, ...]:
    return nnx.merge(graph, state, copy=True).features(x)


@functools.partial(jax.jit, static_argnames=("graph", "geometry"))
def _picture(graph, state, w: jax.Array, geometry: Geometry) -> jax.Array:
    return geometry.pool(nnx.merge(graph, state, copy=True).synthesis(w))


@functools.partial(jax.jit, static_argnames=("graphs", "geometry"))
def _descend(
    graphs, states, descent, x, features, count, weights, learning_rate, geometry
) -> tuple[_Descent, jax.Array]:
    """`count` <= CHUNK iterations; also the losses f32[CHUNK, B], of which the first `count` mean something."""
    generator, *rest = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
    distance = rest[0] if rest else None

    def total(w: jax.Array) -> tuple[jax.Array, jax.Array]:
        losses = picture_losses(generator, distance, w, x, features, geometry, weights)
        return losses.sum(), losses

    def move(descent: _Descent) -> tuple[_Descent, jax.Array]:
        gradient, losses = jax.grad(total, has_aux=True)(descent.w)
        updates, moments = ADAM.update(gradient, descent.moments)
        return _Descent(descent.w - learning_rate * updates, moments), losses

    def body(descent: _Descent, i: jax.Array) -> tuple[_Descent, jax.Array]:
        return lax.cond(i < count, move, lambda descent: (descent, jnp.zeros(len(x))), descent)

    return lax.scan(body, descent, jnp.arange(CHUNK))
