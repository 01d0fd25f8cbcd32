"""StyleGAN2 generator (arXiv 1912.04958), in the parameterisation of rosinality/stylegan2-pytorch `model.py`.

The conditional mapping, the activation clamp, the truncation cutoff and the demodulation epsilon of
NVlabs/stylegan2-ada-pytorch `training/networks.py` are fields of the config.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.ops.layers import Buffer, EqualDense, ModulatedConv, clamp, pixel_norm, scaled_leaky_relu
from restyle_jax.ops.resample import upsample

Noise = Literal["const", "none"] | jax.Array | Sequence[jax.Array]
"""Noise inputs: the maps stored with the network, nothing, a PRNG key for fresh maps per sample, or a list of explicit
maps ([r, r] or [B, r, r] each; one for the 4-px block and two for each later block)."""


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a generator. `channels[b]` is the width of block b, whose resolution is 4 * 2**b."""

    resolution: int
    channels: tuple[int, ...]
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    label_dim: int = 0
    conv_clamp: float | None = None
    nvlabs: bool = False

    def __post_init__(self):
        if self.resolution < 8 or 4 * 2 ** (len(self.channels) - 1) != self.resolution:
            raise ValueError(
                f"a generator of resolution {self.resolution} cannot have {len(self.channels)} blocks; expected one block for "
                "each power of two from 4 to the resolution, which is at least 8"
            )

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

    @property
    def num_styles(self) -> int:
        """K, the number of style vectors: 2 log2(resolution) - 2."""
        return 2 * len(self.channels)

    @property
    def num_noises(self) -> int:
        """Number of noise maps: one in the 4-px block, two in each later one."""
        return 2 * len(self.channels) - 1


def channel_widths(resolution: int, channel_base: int, channel_max: int = 512) -> tuple[int, ...]:
    """min(channel_base / r, channel_max) for each r = 4, 8, ..., resolution."""
    return tuple(min(channel_base // 2**i, channel_max) for i in range(2, resolution.bit_length()))


def rosinality_widths(resolution: int, channel_multiplier: int) -> tuple[int, ...]:
    """512 up to 32 px, then 16384 channel_multiplier / r, without a maximum."""
    resolutions = (2**i for i in range(2, resolution.bit_length()))
    return tuple(512 if r <= 32 else 16384 * channel_multiplier // r for r in resolutions)


class Mapping(nnx.Module):
    """Z to W: pixel norm, then equalised dense layers with learning-rate multiplier 0.01.

    With labels, their normalised embedding is appended to z; with `z_dim` 0 it stands alone (the discriminator's mapping).
    """

    def __init__(self, z_dim: int, w_dim: int, layers: int, label_dim: int, *, rngs: nnx.Rngs):
        self.label_dim = label_dim
        if label_dim:
            self.embed = EqualDense(label_dim, w_dim, rngs=rngs)
        widths = [z_dim + (w_dim if label_dim else 0)] + [w_dim] * (layers - 1)
        self.layers = nnx.List([EqualDense(width, w_dim, lr_mul=0.01, rngs=rngs) for width in widths])

    def __call__(self, z: jax.Array | None, labels: jax.Array | None = None) -> jax.Array:
        """z: f32[B, z_dim], labels: f32[B, label_dim] (one-hot) -> w: f32[B, w_dim]. Raises ValueError on missing labels."""
        if bool(self.label_dim) != (labels is not None):
            needs = f"labels of shape [B, {self.label_dim}]" if self.label_dim else "no labels"
            raise ValueError(f"this mapping network takes {needs}, got {'none' if labels is None else labels.shape}")
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

    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        """x: [B, H, W, in], w: f32[B, w_dim], noise: [r, r] or [B, r, r] -> [B, r, r, out]."""
        x = super().__call__(x, w)
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

    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """x: [B, H, W, in], w: f32[B, w_dim] -> f32[B, H, W, 3]."""
        style = self.modulation(w) * self.kernel.shape[0] ** -0.5
        kernel = style[:, :, None] * self.kernel[...]  # three output channels: one kernel per sample is the cheap form
        rgb = jnp.einsum("bhwi,bio->bhwo", x, kernel.astype(self.dtype)).astype(jnp.float32) + self.bias[...]
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
        if w.ndim != 3 or w.shape[1:] != (self.config.num_styles, self.config.w_dim):
            raise ValueError(
                f"w has shape {w.shape}, expected [B, {self.config.num_styles}, {self.config.w_dim}] for a "
                f"{self.config.resolution}-px generator; repeat a single w with `broadcast_styles`"
            )
        maps = iter(self.noise_maps(noise, w.shape[0]))
        x = jnp.broadcast_to(self.const[...].astype(self.dtype), (w.shape[0], *self.const.shape))
        image = None
        style = 0  # a block's to_rgb shares its style with the next block's up-convolution
        for block in self.blocks:
            for conv in block.convs:
                x = conv(x, w[:, style], next(maps))
                style += 1
            rgb = block.to_rgb(x, w[:, style])
            image = rgb if image is None else upsample(image) + rgb
        assert image is not None
        return image, x

    def noise_maps(self, noise: Noise, batch: int) -> list[jax.Array | None]:
        """One map (or None) for each convolution. Raises ValueError on an unknown mode or a list of the wrong length."""
        convs = [conv for block in self.blocks for conv in block.convs]
        if isinstance(noise, str):
            if noise not in ("const", "none"):
                raise ValueError(f"noise is {noise!r}, expected 'const', 'none', a PRNG key or a list of maps")
            return [conv.noise[...] if noise == "const" else None for conv in convs]
        if isinstance(noise, jax.Array):
            keys = jax.random.split(noise, len(convs))
            return [jax.random.normal(key, (batch, *conv.noise.shape)) for key, conv in zip(keys, convs, strict=True)]
        if len(noise) != len(convs):
            raise ValueError(f"got {len(noise)} noise maps, expected {len(convs)}")
        return list(noise)


class Generator(nnx.Module):
    """Mapping network and synthesis network."""

    def __init__(self, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers, config.label_dim, rngs=rngs)
        self.synthesis = Synthesis(config, dtype=dtype, rngs=rngs)
        self.config = config


def broadcast_styles(w: jax.Array, num_styles: int) -> jax.Array:
    """w [B, w_dim] repeated to W+ [B, num_styles, w_dim]; an input of rank 3 passes unchanged."""
    return w if w.ndim == 3 else jnp.repeat(w[:, None], num_styles, axis=1)


def mix_styles(first: jax.Array, second: jax.Array, index: jax.Array | int) -> jax.Array:
    """Style mixing of two W+ codes [B, K, w_dim]: `first` before style `index` (which may be traced), `second` from there on."""
    return jnp.where(jnp.arange(first.shape[1])[:, None] < index, first, second)


def truncate(w: jax.Array, w_avg: jax.Array, psi: jax.Array | float, cutoff: int | None = None) -> jax.Array:
    """w_avg + psi (w - w_avg) for the first `cutoff` styles (all when None). w: [B, K, w_dim], w_avg: [w_dim] or [K, w_dim]."""
    truncated = w_avg + psi * (w - w_avg)
    return truncated if cutoff is None else mix_styles(truncated, w, cutoff)


def mean_w(mapping: Mapping, key: jax.Array, samples: int = 100_000, chunk: int = 10_000) -> jax.Array:
    """Mean of mapped normal z, f32[w_dim], computed `chunk` samples at a time so that memory stays small.

    A conditional network is averaged over labels drawn uniformly. pSp and ReStyle use 100,000 samples, e4e 10,000.
    """
    z_dim = mapping.layers[0].kernel.shape[0] - (mapping.embed.kernel.shape[1] if mapping.label_dim else 0)

    def add(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        key_z, key_label = jax.random.split(key)
        labels = None
        if mapping.label_dim:
            labels = jax.nn.one_hot(jax.random.randint(key_label, (chunk,), 0, mapping.label_dim), mapping.label_dim)
        return total + mapping(jax.random.normal(key_z, (chunk, z_dim)), labels).sum(0) / chunk, None

    chunks = max(samples // chunk, 1)
    total, _ = jax.lax.scan(add, jnp.zeros(mapping.layers[-1].kernel.shape[1]), jax.random.split(key, chunks))
    return total / chunks
