"""Residual StyleGAN2 discriminator, as in rosinality/stylegan2-pytorch `model.py` and NVlabs/stylegan2-ada-pytorch; and the
discriminator of latent codes that trains e4e."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.residual import torch_bias_init, torch_kernel_init
from restyle_jax.nets.style_based import channel_widths
from restyle_jax.nets.stylegan2 import Mapping, rosinality_widths
from restyle_jax.ops.convolution import conv2d
from restyle_jax.ops.layers import EqualDense, at_least_float32, clamp, leaky_relu, scaled_leaky_relu
from restyle_jax.ops.resample import down_convolution


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a discriminator. `channels` runs from 4 px up to the resolution, as in `GeneratorConfig`."""

    resolution: int
    channels: tuple[int, ...]
    label_dim: int = 0
    mapping_layers: int = 8
    stddev_group: int = 4
    conv_clamp: float | None = None
    nvlabs: bool = False

    def __post_init__(self):
        if self.resolution < 8 or 4 * 2 ** (len(self.channels) - 1) != self.resolution:
            raise ValueError(f"a discriminator of resolution {self.resolution} cannot have {len(self.channels)} widths")

    @classmethod
    def rosinality(cls, resolution: int, channel_multiplier: int = 2, **fields) -> "DiscriminatorConfig":
        """The sizes of rosinality/stylegan2-pytorch."""
        return cls(resolution, rosinality_widths(resolution, channel_multiplier), **fields)

    @classmethod
    def nvlabs_ada(
        cls, resolution: int, channel_base: int = 32768, channel_max: int = 512, **fields
    ) -> "DiscriminatorConfig":
        """The sizes of stylegan2-ada-pytorch."""
        return cls(resolution, channel_widths(resolution, channel_base, channel_max), nvlabs=True, **fields)


class EqualConv(nnx.Module):
    """Convolution with equalised learning rate, bias and activation; `down` filters and halves height and width."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        down: bool = False,
        linear: bool = False,
        gain: float = 1.0,
        clamp: float | None = None,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (size, size, in_channels, out_channels)))
        if not linear:
            self.bias = nnx.Param(jnp.zeros((out_channels,)))
        self.scale = 1.0 / math.sqrt(in_channels * size**2)
        self.down, self.linear, self.gain, self.clamp, self.dtype = down, linear, gain, clamp, dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, in] -> [B, H, W, out], or half the height and width when `down`."""
        kernel = (self.kernel[...] * self.scale).astype(self.dtype)
        x = down_convolution(x, kernel) if self.down else conv2d(x, kernel, padding=kernel.shape[0] // 2)
        if self.linear:
            return x * self.gain
        x = scaled_leaky_relu(x + self.bias[...].astype(self.dtype)) * self.gain
        return clamp(x, None if self.clamp is None else self.clamp * self.gain)


class ResidualBlock(nnx.Module):
    """Two 3x3 convolutions, the second to half the resolution, and a 1x1 skip; the sum is divided by sqrt(2)."""

    def __init__(
        self, in_channels: int, out_channels: int, clamp: float | None, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs
    ):
        gain = math.sqrt(
            0.5
        )  # on both branches, so that a clamp acts as in NVlabs; without one it is rosinality's division
        self.conv0 = EqualConv(in_channels, in_channels, 3, clamp=clamp, dtype=dtype, rngs=rngs)
        self.conv1 = EqualConv(in_channels, out_channels, 3, down=True, gain=gain, clamp=clamp, dtype=dtype, rngs=rngs)
        self.skip = EqualConv(in_channels, out_channels, 1, down=True, linear=True, gain=gain, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, in] -> [B, H/2, W/2, out]."""
        return self.conv1(self.conv0(x)) + self.skip(x)


def minibatch_stddev(x: jax.Array, group: int, block: int | None = None) -> jax.Array:
    """Append the mean standard deviation over groups of samples as one more channel.

    x: [B, H, W, C] -> [B, H, W, C + 1]. Within each run of `block` samples (None: the batch), sample i is grouped with
    i + block/G, i + 2 block/G, ..., G = min(block, group). Raises ValueError if B is not a multiple of `block`, or that of G.
    """
    batch, height, width, channels = x.shape
    block = batch if block is None else min(batch, block)
    size = min(block, group)
    if batch % block or block % size:
        raise ValueError(
            f"a batch of {batch} cannot be split into groups of {size} in blocks of {block} for the minibatch standard deviation"
        )
    groups = at_least_float32(x).reshape(batch // block, size, block // size, height, width, channels)
    deviation = jnp.sqrt(jnp.var(groups, axis=1) + 1e-8).mean(axis=(2, 3, 4))
    column = jnp.tile(deviation, (1, size)).reshape(batch, 1, 1, 1)
    return jnp.concatenate([x, jnp.broadcast_to(column, (batch, height, width, 1)).astype(x.dtype)], axis=-1)


class Discriminator(nnx.Module):
    """From RGB, residual blocks down to 4 px, minibatch standard deviation, convolution, two dense layers.

    With labels, the score is the projection of the output on the mapped label (cGAN projection, normalised).
    """

    def __init__(self, config: DiscriminatorConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        widths, clamp = config.channels, config.conv_clamp
        self.from_rgb = EqualConv(3, widths[-1], 1, clamp=clamp, dtype=dtype, rngs=rngs)
        pairs = itertools.pairwise(reversed(widths))
        self.blocks = nnx.List([ResidualBlock(i, o, clamp, dtype=dtype, rngs=rngs) for i, o in pairs])
        if config.label_dim:
            self.mapping = Mapping(0, widths[0], config.mapping_layers, config.label_dim, rngs=rngs)
        # the end is always float32, as in NVlabs: a score of low precision is a noisy gradient for everything before it
        self.conv = EqualConv(widths[0] + 1, widths[0], 3, clamp=clamp, dtype=jnp.float32, rngs=rngs)
        self.dense = EqualDense(16 * widths[0], widths[0], rngs=rngs)
        self.out = EqualDense(widths[0], widths[0] if config.label_dim else 1, rngs=rngs)
        self.config, self.dtype = config, dtype

    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, stddev_block: int | None = None
    ) -> jax.Array:
        """images: f32[B, R, R, 3] in [-1, 1], labels: f32[B, label_dim] -> scores f32[B, 1]; see `minibatch_stddev` for the block.

        Raises ValueError on a wrong shape.
        """
        resolution = self.config.resolution
        if images.shape[1:] != (resolution, resolution, 3):
            raise ValueError(f"images have shape {images.shape}, expected [B, {resolution}, {resolution}, 3]")
        x = self.from_rgb(images.astype(self.dtype))
        for block in self.blocks:
            x = block(x)
        x = self.conv(minibatch_stddev(at_least_float32(x), self.config.stddev_group, stddev_block))
        x = self.out(scaled_leaky_relu(self.dense(x.reshape(x.shape[0], -1))))
        if self.config.label_dim:
            x = jnp.sum(x * self.mapping(None, labels), axis=-1, keepdims=True) / math.sqrt(x.shape[-1])
        return x


class LatentDiscriminator(nnx.Module):
    """Tells codes of the mapping network from codes of an encoder (e4e, arXiv 2102.02766; upstream
    `models/e4e_modules/discriminator.py`): four dense layers, leaky ReLU of slope 0.2 between them.

    w_dim: width of a code. Always float32.
    """

    def __init__(self, w_dim: int = 512, *, rngs: nnx.Rngs):
        def dense(out_features: int) -> nnx.Linear:
            return nnx.Linear(
                w_dim, out_features, kernel_init=torch_kernel_init, bias_init=torch_bias_init(w_dim), rngs=rngs
            )

        self.layers = nnx.List([dense(w_dim), dense(w_dim), dense(w_dim), dense(1)])

    def __call__(self, w: jax.Array) -> jax.Array:
        """w: f32[..., w_dim] -> scores f32[...], large for codes that look like the mapping network's."""
        *hidden, last = self.layers
        for layer in hidden:
            w = leaky_relu(layer(w))
        return last(w)[..., 0]
