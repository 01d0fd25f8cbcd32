"""What encoders share below their styles: the residual trunk, and the levels of the feature pyramid on top of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets import irse, resnet
from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.resnet import ResNet, ResNetConfig

TRUNKS: dict[str, IRSEConfig | ResNetConfig] = {
    **{f"irse{depth}": IRSEConfig(units) for depth, units in irse.DEPTHS.items()},
    **{f"resnet{depth}": ResNetConfig(blocks, bottleneck=depth == 50) for depth, blocks in resnet.DEPTHS.items()},
}


def trunk_config(name: str, in_channels: int, width: int) -> IRSEConfig | ResNetConfig:
    """The config of a trunk in `TRUNKS` for inputs of `in_channels`, whose first group has `width` channels."""
    return dataclasses.replace(TRUNKS[name], in_channels=in_channels, width=width)


def make_trunk(
    config: IRSEConfig | ResNetConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> IRSE | ResNet:
    """The trunk of a config, whose `channels` are those of its feature maps."""
    if isinstance(config, IRSEConfig):
        return IRSE(config, dtype=dtype, rngs=rngs)
    return ResNet(config, dtype=dtype, rngs=rngs)


def resize_align_corners(x: jax.Array, height: int, width: int) -> jax.Array:
    """Bilinear resize in which the centres of the corner pixels stay in place, as torch with `align_corners=True`.

    x: [B, H, W, C] -> [B, height, width, C]. (`jax.image.resize` keeps the outer edges of the corner pixels instead.)
    """
    for axis, size in ((1, height), (2, width)):
        last = x.shape[axis] - 1
        position = np.arange(size) * (last / max(size - 1, 1))
        lower = np.minimum(np.floor(position).astype(int), last)
        weight = jnp.asarray(position - lower, x.dtype).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        x = x.take(lower, axis) * (1 - weight) + x.take(np.minimum(lower + 1, last), axis) * weight
    return x


def finer_level(level: jax.Array, features: jax.Array, lateral: nnx.Conv) -> jax.Array:
    """One step down a feature pyramid (arXiv 1612.03144): the level above enlarged, plus the trunk's features made as wide.

    level: [B, h, w, D], features: [B, H, W, C] -> [B, H, W, D].
    """
    return resize_align_corners(level, *features.shape[1:3]) + lateral(features)
