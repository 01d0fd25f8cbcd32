"""The geometric operations of the augmentation: one affine map for each picture, and resampling without aliasing.

StyleGAN2-ADA (arXiv 2006.06676, appendix B; official `training/augment.py`). Coordinates are pixels from the centre of the
picture, x to the right and y down. The picture continues by reflection up to its own size on each side, is grey (0)
beyond, and is doubled by the wavelet filter sym6, sampled bilinearly and halved by the same filter.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.gate import gate
from restyle_jax.ops.resample import COLUMNS, ROWS, blur, filter_axis, interleave

_SYM6 = (
    *(0.0154041093, 0.0034907121, -0.1179901111, -0.0483117426, 0.4910559419, 0.7876411410),
    *(0.3379294217, -0.0726375228, -0.0210602925, 0.0447249018, 0.0017677119, -0.0078007083),
)
SYM6 = tuple(tap / sum(_SYM6) for tap in _SYM6)
REACH = len(SYM6) // 2  # pixels of the picture that a doubled pixel is made of
MIN_SIDE = REACH  # so that the pieces of `_doubled` lie inside the picture


class Warp(NamedTuple):
    """The parameters of the geometric operations, f32[B] or f32[B, 2] (x, y), in the order in which pictures meet them."""

    flip: jax.Array  # 1 mirrors left and right
    quarter_turns: jax.Array  # counter-clockwise, 0 to 3
    shift: jax.Array  # in sides of the picture, rounded to whole pixels; positive moves the content right and down
    scale: jax.Array  # above 1 enlarges
    first_angle: jax.Array  # radians, counter-clockwise
    stretch: jax.Array  # enlarges x by it and y by its reciprocal
    second_angle: jax.Array
    translation: jax.Array  # in sides of the picture


def draw_warp(key: jax.Array, batch: int, p: jax.Array, augmentation: Augmentation) -> Warp:
    """Random parameters for `batch` pictures."""
    coin_key, uniform_key, normal_key = jax.random.split(key, 3)
    coins = jax.random.uniform(coin_key, (len(Warp._fields), batch))
    mirror, turns, x, y, first, second = jax.random.uniform(uniform_key, (6, batch))
    size, shape, *far = jax.random.normal(normal_key, (4, batch))
    # Two rotations: together they happen with probability p.
    rotate = 1 - jnp.sqrt(jnp.clip(1 - augmentation.rotate * p, 0, 1))
    return Warp(
        flip=gate(coins[0], augmentation.xflip * p, jnp.floor(2 * mirror), 0),
        quarter_turns=gate(coins[1], augmentation.rotate90 * p, jnp.floor(4 * turns), 0),
        shift=gate(coins[2], augmentation.xint * p, 0.25 * jnp.stack([x, y], axis=1) - 0.125, 0),
        scale=gate(coins[3], augmentation.scale * p, jnp.exp2(0.2 * size), 1),
        first_angle=gate(coins[4], rotate, jnp.pi * (2 * first - 1), 0),
        stretch=gate(coins[5], augmentation.aniso * p, jnp.exp2(0.2 * shape), 1),
        second_angle=gate(coins[6], rotate, jnp.pi * (2 * second - 1), 0),
        translation=gate(coins[7], augmentation.xfrac * p, 0.125 * jnp.stack(far, axis=1), 0),
    )


def inverse_matrices(warp: Warp, height: int, width: int) -> jax.Array:
    """Where each output pixel comes from: f32[B, 3, 3], source (x, y, 1) = matrix @ output (x, y, 1).

    The first operation on the picture is the last one on coordinates that go back.
    """
    sides = jnp.array([width, height])
    steps = (
        _scaled(1 - 2 * warp.flip, jnp.ones_like(warp.scale)),
        _turned(warp.quarter_turns * (jnp.pi / 2)),
        _moved(-jnp.round(warp.shift * sides)),
        _scaled(1 / warp.scale, 1 / warp.scale),
        _turned(warp.first_angle),
        _scaled(1 / warp.stretch, warp.stretch),
        _turned(warp.second_angle),
        _moved(-warp.translation * sides),
    )
    return functools.reduce(functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST), steps)


def _scaled(x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.vmap(jnp.diag)(jnp.stack([x, y, jnp.ones_like(y)], axis=-1))


def _turned(angle: jax.Array) -> jax.Array:
    """Clockwise as displayed, since y points down: the inverse of a counter-clockwise turn of the picture."""
    cosine, sine, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    entries = jnp.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, zero + 1], axis=-1)
    return rearrange(entries, "b (i j) -> b i j", i=3)


def _moved(offset: jax.Array) -> jax.Array:
    return jnp.eye(3) + jnp.pad(offset[:, :, None], ((0, 0), (0, 1), (2, 0)))


def resample(images: jax.Array, inverse: jax.Array) -> jax.Array:
    """Pictures [B, H, W, C] (sides of at least 6) under the affine maps `inverse` f32[B, 3, 3] of `inverse_matrices`.

    The identity returns the pictures within 1e-5: the two filters are a pair that reconstructs. Linear in the pictures, with
    gradients of any order for them; the maps are constants.
    """
    height, width = images.shape[1:3]
    # The halving filter needs five half-pixels more on each side.
    x = jnp.arange(-5, 2 * width + 5) / 2 - (width - 1) / 2
    y = rearrange(jnp.arange(-5, 2 * height + 5) / 2 - (height - 1) / 2, "h -> h 1")
    a = rearrange(lax.stop_gradient(inverse), "b i j -> i j b 1 1")
    column, row = (a[i, 0] * x + a[i, 1] * y + a[i, 2] for i in range(2))
    # In samples of the doubled picture, from the corner of the reflected one, which is three times as large.
    sampled = _bilinear(_doubled(images), 2 * row + 3 * (height - 1), 2 * column + 3 * (width - 1), height, width)
    return halve(sampled)


@jax.custom_vjp
def halve(x: jax.Array) -> jax.Array:
    """Every second sample of `x` filtered with sym6 on both axes: [B, 2H + 10, 2W + 10, C] -> [B, H, W, C].

    This and `spread` are declared as the derivatives of each other: with what autodiff makes of them, the gradient of
    `resample` takes eight times as long on CPU. Reverse mode only, to any order.
    """
    return blur(x, 0, 0, stride=2, taps=SYM6)


@jax.custom_vjp
def spread(x: jax.Array) -> jax.Array:
    """Each sample of `x` turned into the twelve taps of sym6 on both axes, two samples apart: the transpose of `halve`."""
    even, odd = SYM6[-2::-2], SYM6[::-2]
    for axis in (COLUMNS, ROWS):
        x = interleave(filter_axis(x, even, axis, 5, 5), filter_axis(x, odd, axis, 5, 5), axis)
    return x


halve.defvjp(lambda x: (halve(x), None), lambda _, grad: (spread(grad),))
spread.defvjp(lambda x: (spread(x), None), lambda _, grad: (halve(grad),))


def _doubled(images: jax.Array) -> jax.Array:
    """What is needed of the picture continued by reflection to [-n, 2n] (n = side - 1) on both axes and doubled.

    Reflection repeats after 2n pixels. Kept are one period from the left end, with the first pixels of the next one for the
    filter, and the right end, beyond which the filter sees zeros: 2n + 12 pixels instead of 3n + 1 on each axis, and the
    result is the same to the last sample.
    """
    for axis in (COLUMNS, ROWS):
        n = images.shape[axis] - 1
        pieces = ((1, n + 1), (n + 1 - REACH, n), (0, REACH))
        left, next_period, right_end = (jnp.flip(lax.slice_in_dim(images, *piece, axis=axis), axis) for piece in pieces)
        images = jnp.concatenate([left, images, next_period, right_end], axis)
    return spread(4 * images)[:, 5:-5, 5:-5]


def _stored(sample: jax.Array, side: int) -> jax.Array:
    """Where `_doubled` has the samples `sample` and `sample + 1` of the whole reflected and doubled axis, 0 ... 6n + 1."""
    n = side - 1
    return jnp.where(sample >= 6 * n - 5, sample - 2 * (n - 11), jnp.where(sample < 4 * n + 5, sample, sample - 4 * n))


def _bilinear(doubled: jax.Array, row: jax.Array, column: jax.Array, height: int, width: int) -> jax.Array:
    """Samples at real positions f32[B, h, w] of the reflected and doubled picture, zero outside -> [B, h, w, C]."""
    channels = doubled.shape[-1]
    first_row = jnp.clip(jnp.floor(row).astype(jnp.int32), 0, 6 * (height - 1))
    first_column = jnp.clip(jnp.floor(column).astype(jnp.int32), 0, 6 * (width - 1))
    weights = _hat(row - first_row)[..., :, None] * _hat(column - first_column)[..., None, :]

    def window(picture: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
        return lax.dynamic_slice(picture, (row, column, jnp.zeros_like(row)), (2, 2, channels))

    # Windows of 2 x 2 pixels rather than four gathers: the gradient is a scatter, whose time on CPU goes by their number.
    windows = jax.vmap(jax.vmap(jax.vmap(window, (None, 0, 0)), (None, 0, 0)))(
        doubled, _stored(first_row, height), _stored(first_column, width)
    )
    return jnp.sum(windows * weights[..., None], axis=(3, 4))


def _hat(distance: jax.Array) -> jax.Array:
    """Bilinear weights of a first sample at this distance and of the one after it; zero for those a sample away."""
    return jnp.maximum(0, 1 - jnp.abs(distance[..., None] - np.arange(2)))
