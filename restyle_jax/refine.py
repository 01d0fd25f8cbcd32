"""ReStyle (arXiv 2104.02699): an encoder looks at an image and at the generator's current reconstruction, and corrects the code.

    x ──┐
        ├─ concat ─► encoder ─► Δ ─► w ← w + Δ ─► generator ─► y        (N times, from w_avg and its image)
    y ──┘

Everything here is a pure function of modules and arrays: call it inside `jax.jit` with modules merged from split state.
Follows yuval-alaluf/restyle-encoder `models/psp.py`, `models/e4e.py` and `utils/inference_utils.py`. An encoder with
three input channels is a plain pSp or e4e encoder: it does not see y, and each step starts again from w_avg.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from restyle_jax.nets.encoders import Encoder
from restyle_jax.nets.stylegan2 import Generator, Noise
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
    encoder: Encoder,
    generator: Generator,
    x: jax.Array,
    estimate: Estimate,
    w_avg: jax.Array,
    geometry: Geometry,
    noise: Noise = "const",
) -> tuple[Estimate, jax.Array]:
    """One refinement of `estimate` towards x f32[B, height, width, 3] in [-1, 1].

    Returns the new estimate and the generator's whole picture f32[B, R, R, 3].
    """
    residual = encoder.config.in_channels == 6
    delta = encoder(jnp.concatenate([x, estimate.y], axis=-1) if residual else x)
    w = (estimate.w if residual else w_avg) + delta
    image = generator.synthesis(w, noise)
    return Estimate(w, geometry.pool(image)), image


def refine(
    encoder: Encoder,
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
    static `capacity` the number of steps may be traced: the scan has `capacity` iterations, of which those after `steps`
    do nothing and leave zeros, so that one compilation serves every N up to it. Also returns the last estimate.
    """
    batch = x.shape[0]
    start = Estimate(*(jnp.broadcast_to(part, (batch, *part.shape[1:])) for part in start))

    def body(estimate: Estimate, _: jax.Array) -> tuple[Estimate, Inversion]:
        estimate, image = step(encoder, generator, x, estimate, w_avg, geometry, noise)
        return estimate, Inversion(estimate.w, estimate.y if resize_outputs else geometry.crop(image))

    if capacity is None:
        last, inversion = lax.scan(body, start, jnp.arange(steps))
        return inversion, last

    shapes = jax.eval_shape(body, start, jnp.int32(0))[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def body_or_nothing(estimate: Estimate, i: jax.Array) -> tuple[Estimate, Inversion]:
        return lax.cond(i < steps, body, lambda estimate, _: (estimate, nothing), estimate, i)

    last, inversion = lax.scan(body_or_nothing, start, jnp.arange(capacity))
    return inversion, last
