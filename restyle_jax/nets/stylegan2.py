"""StyleGAN2 generator (arXiv 1912.04958), in the parameterisation of rosinality/stylegan2-pytorch `model.py`.

The conditional mapping, the activation clamp, the truncation cutoff and the demodulation epsilon of
NVlabs/stylegan2-ada-pytorch `training/networks.py` are fields of the config.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.style_based import Noise, Sizes, channel_widths, check_labels, noise_maps
from restyle_jax.ops.layers import (
    Buffer,
    EqualDense,
    ModulatedConv,
    at_least_float32,
    clamp,
    pixel_norm,
    scaled_leaky_relu,
)
from restyle_jax.ops.resample import upsample


@dataclasses.dataclass(frozen=True)
class GeneratorConfig(Sizes):
    """Sizes of a generator, the limit of its activations, and whether it has the demodulation epsilon of NVlabs."""

    conv_clamp: float | None = None
    nvlabs: bool = False

    @property
    def style_widths(self) -> tuple[int, ...]:
        """Channels of each style of S, in the order of `Synthesis.styles`: 26 styles of 9,088 channels in all at 1024 px."""
        inputs = (None, *self.channels[:-1])
        blocks = ((*([] if width is None else [width]), c, c) for width, c in zip(inputs, self.channels, strict=True))
        return tuple(width for block in blocks for width in block)

    @classmethod
    def rosinality(cls, resolution: int, channel_multiplier: int = 2, **fields) -> "GeneratorConfig":
        """The sizes of the official ReStyle, pSp and e4e generators (`channel_multiplier` 2, the paper's config F)."""
        return cls(resolution, rosinality_widths(resolution, channel_multiplier), **fields)

    @classmethod
    def nvlabs_ada(
        cls, resolution: int, channel_base: int = 32768, channel_max: int = 512, **fields
    ) -> "GeneratorConfig":
        """The sizes of stylegan2-ada-pytorch; `conv_clamp` is 256 in its mixed-precision training."""
        return cls(resolution, channel_widths(resolution, channel_base, channel_max), nvlabs=True, **fields)


def rosinality_widths(resolution: int, channel_multiplier: int) -> tuple[int, ...]:
    """512 up to 32 px, then 16384 channel_multiplier / r, without a maximum."""
    resolutions = (2**i for i in range(2, resolution.bit_length()))
    return tuple(512 if r <= 32 else 16384 * channel_multiplier // r for r in resolutions)


class Mapping(nnx.Module):
    """Z to W: pixel norm, then equalised dense layers with learning-rate multiplier 0.01.

    With labels, their normalised embedding is appended to z; with `z_dim` 0 it stands alone (the discriminator's mapping).
    Without layers, this is w: raises ValueError unless it is as wide.
    """

    def __init__(self, z_dim: int, w_dim: int, layers: int, label_dim: int, *, rngs: nnx.Rngs):
        self.z_dim, self.label_dim = z_dim, label_dim
        if label_dim:
            self.embed = EqualDense(label_dim, w_dim, rngs=rngs)
        widths = [z_dim + (w_dim if label_dim else 0)] + [w_dim] * layers  # of what enters each layer, and of w
        if widths[-1] != w_dim:
            raise ValueError(
                f"a mapping network without layers has z and embedded labels of {widths[-1]} numbers, expected {w_dim} as in w"
            )
        self.layers = nnx.List([EqualDense(width, w_dim, lr_mul=0.01, rngs=rngs) for width in widths[:-1]])

    def __call__(self, z: jax.Array | None, labels: jax.Array | None = None) -> jax.Array:
        """z: f32[B, z_dim], labels: f32[B, label_dim] (one-hot) -> w: f32[B, w_dim]. Raises ValueError on missing labels."""
        check_labels(labels, self.label_dim)
        parts = [] if z is None else [pixel_norm(z)]
        if labels is not None:
            parts.append(pixel_norm(self.embed(labels)))
        x = jnp.concatenate(parts, axis=-1)
        for layer in self.layers:
            x = scaled_leaky_relu(layer(x))
        return x


class StyledConv(ModulatedConv):
    """Modulated convolution, noise of one learned strength, bias, activation."""

    def __init__(self, in_channels: int, out_channels: int, resolution: int, config: GeneratorConfig, **kwargs):
        epsilon = 1e-8 / (9 * in_channels) if config.nvlabs else 1e-8  # NVlabs adds it before equalising the kernel
        super().__init__(in_channels, out_channels, config.w_dim, epsilon=epsilon, **kwargs)
        self.noise = Buffer(jax.random.normal(kwargs["rngs"].params(), (resolution, resolution)))
        self.noise_strength = nnx.Param(jnp.zeros(()))
        self.bias = nnx.Param(jnp.zeros((out_channels,)))
        self.conv_clamp = config.conv_clamp

    def __call__(self, x: jax.Array, style: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        """x: [B, H, W, in], style: f32[B, in], noise: [r, r] or [B, r, r] -> [B, r, r, out]."""
        x = super().__call__(x, style)
        if noise is not None:
            x = x + (self.noise_strength[...] * noise)[..., None].astype(self.dtype)
        return clamp(scaled_leaky_relu(x + self.bias[...].astype(self.dtype)), self.conv_clamp)


class ToRGB(nnx.Module):
    """1x1 modulated convolution to three colours, without demodulation."""

    def __init__(self, in_channels: int, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (in_channels, 3)))
        self.modulation = EqualDense(config.w_dim, in_channels, bias_init=1.0, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((3,)))
        self.conv_clamp = config.conv_clamp
        self.dtype = dtype

    def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """x: [B, H, W, in], style: f32[B, in] -> f32[B, H, W, 3]."""
        style = style * self.kernel.shape[0] ** -0.5
        kernel = style[:, :, None] * self.kernel[...]  # three output channels: one kernel per sample is the cheap form
        rgb = at_least_float32(jnp.einsum("bhwi,bio->bhwo", x, kernel.astype(self.dtype))) + self.bias[...]
        return clamp(rgb, self.conv_clamp)


class Block(nnx.Module):
    """One resolution: [up-convolution,] convolution, to RGB. The first block has no up-convolution."""

    def __init__(
        self,
        in_channels: int | None,
        index: int,
        config: GeneratorConfig,
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        width, resolution = config.channels[index], 4 * 2**index
        if in_channels is not None:
            self.conv0 = StyledConv(in_channels, width, resolution, config, up=True, dtype=dtype, rngs=rngs)
        self.conv1 = StyledConv(width, width, resolution, config, dtype=dtype, rngs=rngs)
        self.to_rgb = ToRGB(width, config, dtype=dtype, rngs=rngs)

    @property
    def convs(self) -> list[StyledConv]:
        return [self.conv0, self.conv1] if hasattr(self, "conv0") else [self.conv1]


class Synthesis(nnx.Module):
    """W+ to image: a learned constant, one block for each resolution, colours summed over resolutions."""

    def __init__(self, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.const = nnx.Param(jax.random.normal(rngs.params(), (4, 4, config.channels[0])))
        widths = (None, *config.channels[:-1])
        self.blocks = nnx.List([Block(width, i, config, dtype=dtype, rngs=rngs) for i, width in enumerate(widths)])
        self.config = config
        self.dtype = dtype

    def __call__(self, w: jax.Array, noise: Noise = "const") -> jax.Array:
        """w: f32[B, K, w_dim] -> image f32[B, R, R, 3], nominally in [-1, 1] but not clipped. Raises ValueError on a wrong K."""
        return self.image_and_features(w, noise)[0]

    def image_and_features(self, w: jax.Array, noise: Noise = "const") -> tuple[jax.Array, jax.Array]:
        """As `__call__`, and the activations of the last convolution [B, R, R, channels[-1]]."""
        return self.from_styles(self.styles(w), noise)

    def styles(self, w: jax.Array) -> list[jax.Array]:
        """The point of S (StyleSpace, arXiv 2011.12799) that belongs to w f32[B, K, w_dim]: f32[B, n] for n in `style_widths`.

        Block by block, the channels that enter the up-convolution, the convolution and the colours. Raises ValueError on a
        wrong K.
        """
        self.config.check_codes(w)
        styles, k = [], 0  # a block's to_rgb shares its code with the next block's up-convolution
        for block in self.blocks:
            for conv in block.convs:
                styles.append(conv.modulation(w[:, k]))
                k += 1
            styles.append(block.to_rgb.modulation(w[:, k]))
        return styles

    def from_styles(self, styles: Sequence[jax.Array], noise: Noise = "const") -> tuple[jax.Array, jax.Array]:
        """As `image_and_features`, of a point of S. Raises ValueError if its parts have other widths than `style_widths`."""
        widths = tuple(style.shape[-1] for style in styles)
        if widths != self.config.style_widths:
            raise ValueError(
                f"styles have widths {widths}, expected {self.config.style_widths} for this {self.config.resolution}-px generator"
            )
        batch = styles[0].shape[0]
        convs = [conv for block in self.blocks for conv in block.convs]
        maps = iter(noise_maps(noise, [conv.noise[...] for conv in convs], batch))
        parts = iter(styles)
        x = jnp.broadcast_to(self.const[...].astype(self.dtype), (batch, *self.const.shape))
        image = None
        for block in self.blocks:
            for conv in block.convs:
                x = conv(x, next(parts), next(maps))
            rgb = block.to_rgb(x, next(parts))
            image = rgb if image is None else upsample(image) + rgb
        assert image is not None
        return image, x


class Generator(nnx.Module):
    """Mapping network and synthesis network."""

    def __init__(self, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers, config.label_dim, rngs=rngs)
        self.synthesis = Synthesis(config, dtype=dtype, rngs=rngs)
        self.config = config
