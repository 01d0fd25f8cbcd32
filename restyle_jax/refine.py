"""ReStyle (arXiv 2104.02699): an encoder looks at an image and at the generator's current reconstruction, and corrects the code.

    x ──┐
        ├─ concat ─► encoder ─► Δ ─► w ← w + Δ ─► generator ─► y        (N times, from w_avg and its image)
    y ──┘

Everything here is a pure function of modules and arrays: call it inside `jax.jit` with modules merged from split state.
Follows yuval-alaluf/restyle-encoder `models/psp.py`, `models/e4e.py` and `utils/inference_utils.py`. An encoder with
three input channels is a plain pSp or e4e encoder: it does not see y, and each step starts again from w_avg.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from restyle_jax.nets.generators import Generator
from restyle_jax.nets.image_encoders import ImageEncoder
from restyle_jax.nets.style_based import Noise
from restyle_jax.ops.resample import block_mean


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Which part of the generator's square picture is the picture, and the size at which the encoder sees it.

    The square is pooled to `width` x `width` pixels, of which rows `top` to `top + height` are content: cars are 192 x 256
    with 32 rows of black bar above (`Geometry(192, 256, 32)`).
    """

    height: int = 256
    width: int = 256
    top: int = 0

    def __post_init__(self):
        if min(self.height, self.width) < 1 or self.top < 0 or self.top + self.height > self.width:
            raise ValueError(f"{self} does not fit: rows top..top+height must lie inside a width x width square")

    def crop(self, image: jax.Array) -> jax.Array:
        """[B, R, R, C] -> the content rows, [B, R height / width, R, C]. Raises ValueError if they are not whole rows."""
        side = image.shape[1]
        if self.top * side % self.width or self.height * side % self.width:
            raise ValueError(f"{self} does not cut a {side}-px picture at whole rows")
        return image[:, self.top * side // self.width : (self.top + self.height) * side // self.width]

    def pool(self, image: jax.Array) -> jax.Array:
        """[B, R, R, C] -> what the encoder sees of it, [B, height, width, C]."""
        return block_mean(image, self.width)[:, self.top : self.top + self.height]


class Estimate(NamedTuple):
    """Where a refinement stands: code w f32[B, K, w_dim] and its image y f32[B, height, width, 3] at the encoder's size."""

    w: jax.Array
    y: jax.Array


class Inversion(NamedTuple):
    """Every step's result: latents f32[N, B, K, w_dim], images f32[N, B, H, W, 3], nominally in [-1, 1] but not clipped."""

    latents: jax.Array
    images: jax.Array


def average(generator: Generator, w_avg: jax.Array, geometry: Geometry) -> Estimate:
    """The estimate before the first step, of batch size 1: the average code w_avg f32[K, w_dim] and its image, constant noise."""
    w = w_avg[None]
    return Estimate(w, geometry.pool(generator.synthesis(w)))


def step(
    encoder: ImageEncoder,
    generator: Generator,
    x: jax.Array,
    estimate: Estimate,
    w_avg: jax.Array,
    geometry: Geometry,
    noise: Noise = "const",
    *,
    stage: jax.Array | None = None,
    train: bool = False,
    key: jax.Array | None = None,
    remat: bool = False,
) -> tuple[Estimate, jax.Array]:
    """One refinement of `estimate` towards x f32[B, height, width, 3] in [-1, 1].

    `stage` is that of a progressive encoder, `key` for an encoder with dropout (None: nothing is dropped). With `train` the
    encoder normalises with batch statistics and updates its running ones in place. With `remat` the backward pass computes
    each network again instead of keeping its activations.
    Returns the new estimate and the generator's whole picture f32[B, R, R, 3].
    """
    residual = encoder.config.in_channels == 6
    seen = jnp.concatenate([x, estimate.y], axis=-1) if residual else x
    call = rematerialised if remat else _called
    w = (estimate.w if residual else w_avg) + call(encoder, lambda network: network(seen, stage, train, key))
    image = call(generator.synthesis, lambda network: network(w, noise))
    return Estimate(w, geometry.pool(image)), image


def rematerialised(network: nnx.Module, call: Callable[[Any], jax.Array]) -> jax.Array:
    """`call(network)`, whose activations are computed again in the backward pass. Running statistics are updated in place."""
    graph, state = nnx.split(network)

    @jax.checkpoint
    def again(state: nnx.State) -> tuple[jax.Array, nnx.State]:
        copy = nnx.merge(graph, state, copy=True)
        return call(copy), nnx.state(copy, nnx.BatchStat)

    out, statistics = again(state)
    nnx.update(network, statistics)
    return out


def _called(network: nnx.Module, call: Callable[[Any], jax.Array]) -> jax.Array:
    return call(network)


def refine(
    encoder: ImageEncoder,
    generator: Generator,
    x: jax.Array,
    start: Estimate,
    w_avg: jax.Array,
    steps: int | jax.Array,
    geometry: Geometry,
    *,
    noise: Noise = "const",
    resize_outputs: bool = False,
    capacity: int | None = None,
) -> tuple[Inversion, Estimate]:
    """`steps` refinements of `start` (batch size B or 1) as one `lax.scan`; every step's codes and images.

    Images have the generator's resolution, cropped to the content, or the encoder's size with `resize_outputs`. With a
    static `capacity` the number of steps may be traced, at most `capacity`: the results have room for so many, of which those after
    `steps` are zeros, so that one compilation serves every N up to it (as a loop of `steps` iterations, without a gradient in
    reverse mode). Also returns the last estimate.
    """
    batch = x.shape[0]
    start = Estimate(*(jnp.broadcast_to(part, (batch, *part.shape[1:])) for part in start))

    def body(estimate: Estimate, _: jax.Array) -> tuple[Estimate, Inversion]:
        estimate, image = step(encoder, generator, x, estimate, w_avg, geometry, noise)
        return estimate, Inversion(estimate.w, estimate.y if resize_outputs else geometry.crop(image))

    if capacity is None:
        last, inversion = lax.scan(body, start, jnp.arange(steps))
        return inversion, last

    def body_at(i: jax.Array, state: tuple[Estimate, Inversion]) -> tuple[Estimate, Inversion]:
        estimate, results = body(state[0], i)
        return estimate, jax.tree.map(
            lambda kept, new: lax.dynamic_update_index_in_dim(kept, new, i, 0), state[1], results
        )

    shapes = jax.eval_shape(body, start, jnp.int32(0))[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)
    last, inversion = lax.fori_loop(0, jnp.minimum(steps, capacity), body_at, (start, nothing))
    return inversion, last


def step_gradients(
    step_loss: Callable[[Any, Any], tuple[jax.Array, tuple[Any, Any]]],
    params: Any,
    carry: Any,
    weights: jax.Array | np.ndarray,
    steps: int | jax.Array | None = None,
    *,
    through_steps: bool = False,
) -> tuple[Any, Any, Any]:
    """Gradient of the weighted sum of the losses of N refinement steps, in memory that does not grow with N.

    step_loss: (params, carry) -> (loss, (carry, metrics)). The carry (estimate, statistics, keys) enters a step as a constant,
        as upstream, which detaches it (`training/coach_restyle_psp.py`): the gradient of each step is added up inside the scan.
    weights: f32[N], the weight of each step's loss. Steps whose weight is zero are computed without a gradient.
    steps: how many of the N steps are made, at most N, may be traced; all when None. Those after it change nothing, and
        repeat the metrics of the last one.
    through_steps: differentiate through all steps instead (an ablation), recomputing each step in the backward pass.
    Returns (gradient, last carry, metrics with a leading axis of N).
    """
    sparse = steps is not None or not isinstance(weights, np.ndarray) or not weights.all()
    (_, (_, shapes)) = jax.eval_shape(step_loss, params, carry)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    inputs = (jnp.arange(len(weights)), jnp.asarray(weights, jnp.float32))

    if through_steps:

        def total_loss(params: Any) -> tuple[jax.Array, tuple[Any, Any]]:
            def body(state: tuple[Any, Any], inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
                index, weight = inputs

                def move(state: tuple[Any, Any]) -> tuple[Any, jax.Array]:
                    loss, state = jax.checkpoint(step_loss)(params, state[0])
                    return state, weight * loss

                if steps is None:
                    state, loss = move(state)
                else:
                    state, loss = lax.cond(index < steps, move, lambda state: (state, jnp.float32(0)), state)
                return state, (loss, state[1])

            (carry_out, _), (losses, metrics) = lax.scan(body, (carry, nothing), inputs)
            return losses.sum(), (carry_out, metrics)

        gradient, (carry, metrics) = jax.grad(total_loss, has_aux=True)(params)
        return gradient, carry, metrics

    def body(state: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
        index, weight = inputs

        def differentiate(state: Any) -> Any:
            carry, _, total = state

            def weighted(params: Any) -> tuple[jax.Array, tuple[Any, Any]]:
                loss, aux = step_loss(params, carry)
                return weight * loss, aux

            gradient, (carry, metrics) = jax.grad(weighted, has_aux=True)(params)
            return carry, metrics, jax.tree.map(jnp.add, total, gradient)

        def move(state: Any) -> Any:
            _, (carry, metrics) = step_loss(params, state[0])
            return carry, metrics, state[2]

        if sparse:
            made = index < (len(weights) if steps is None else steps)
            case = jnp.where(made, jnp.where(weight == 0, 1, 2), 0)
            state = lax.switch(case, (lambda state: state, move, differentiate), state)
        else:
            state = differentiate(state)
        return state, state[1]

    (carry, _, gradient), metrics = lax.scan(body, (carry, nothing, jax.tree.map(jnp.zeros_like, params)), inputs)
    return gradient, carry, metrics
