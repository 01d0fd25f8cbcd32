"""The colour operations of the augmentation (StyleGAN2-ADA, arXiv 2006.06676, appendix B; official `training/augment.py`)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.gate import gate

# Luma is the axis v = (1, 1, 1) / sqrt(3): the projector onto it, and the cross product v x c as a matrix.
LUMA = np.full((3, 3), 1 / 3, np.float32)
CROSS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.float32(np.sqrt(3))


class Tint(NamedTuple):
    """The parameters of the colour operations, f32[B], in the order in which pictures meet them."""

    brightness: jax.Array  # added to all channels, which lie in [-1, 1]
    contrast: jax.Array  # factor about 0
    lumaflip: jax.Array  # 1 mirrors colours at the plane of zero luma
    hue: jax.Array  # radians, right-handed rotation about the luma axis
    saturation: jax.Array  # factor of the distance from the luma axis


def draw_tint(key: jax.Array, batch: int, p: jax.Array, augmentation: Augmentation) -> Tint:
    """Random parameters for `batch` pictures."""
    uniform_key, normal_key = jax.random.split(key)
    mirror, angle, *coins = jax.random.uniform(uniform_key, (2 + len(Tint._fields), batch))
    brightness, contrast, saturation = jax.random.normal(normal_key, (3, batch))
    return Tint(
        brightness=gate(coins[0], augmentation.brightness * p, 0.2 * brightness, 0),
        contrast=gate(coins[1], augmentation.contrast * p, jnp.exp2(0.5 * contrast), 1),
        lumaflip=gate(coins[2], augmentation.lumaflip * p, jnp.floor(2 * mirror), 0),
        hue=gate(coins[3], augmentation.hue * p, jnp.pi * (2 * angle - 1), 0),
        saturation=gate(coins[4], augmentation.saturation * p, jnp.exp2(saturation), 1),
    )


def color_matrices(tint: Tint) -> jax.Array:
    """What the operations after brightness do to a colour: f32[B, 3, 3].

    They share the luma axis and so commute: a factor along it, a factor and a rotation across.
    """
    contrast, flip, hue, saturation = (rearrange(value, "b -> b 1 1") for value in tint[1:])
    across = jnp.cos(hue) * (np.eye(3, dtype=np.float32) - LUMA) + jnp.sin(hue) * CROSS
    return contrast * ((1 - 2 * flip) * LUMA + saturation * across)


def recolor(images: jax.Array, tint: Tint) -> jax.Array:
    """Pictures [B, H, W, 3 or 1] in [-1, 1] with other colours, not clipped. Grey ones have no hue and no saturation."""
    brighter = images + rearrange(tint.brightness, "b -> b 1 1 1")
    if images.shape[-1] == 1:
        return brighter * rearrange(tint.contrast * (1 - 2 * tint.lumaflip), "b -> b 1 1 1")
    columns = rearrange(color_matrices(tint), "b new old -> old b 1 1 new")
    return functools.reduce(jnp.add, (brighter[..., channel, None] * columns[channel] for channel in range(3)))
