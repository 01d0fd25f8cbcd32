"""StyleGAN generator (arXiv 1812.04948), as in NVlabs/stylegan `training/networks_stylegan.py` at the end of its progressive
growing.

IDInvert (arXiv 2004.00049, genforce/idinvert_pytorch `models/stylegan_generator_network.py`) adds a mapping network with a code
of its own for every style, and a tanh after the last layer; both are fields of the config.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.style_based import Noise, Sizes, channel_widths, check_labels, noise_maps
from restyle_jax.ops.convolution import conv2d
from restyle_jax.ops.layers import SQRT2, Buffer, EqualDense, leaky_relu, pixel_norm
from restyle_jax.ops.normalization import adaptive_instance_norm
from restyle_jax.ops.resample import SHORT_TAPS, blur, nearest_up_convolution


@dataclasses.dataclass(frozen=True)
class GeneratorConfig(Sizes):
    """Sizes of a generator, with the width of the hidden layers of its mapping network.

    distinct_styles: the mapping network gives K different codes instead of one for all styles. final_tanh: the picture goes
    through a tanh. Both are IDInvert's.
    """

    mapping_width: int = 512
    distinct_styles: bool = False
    final_tanh: bool = False

    @classmethod
    def nvlabs(cls, resolution: int, channel_base: int = 16384, channel_max: int = 512, **fields) -> "GeneratorConfig":
        """The sizes of the official code, which IDInvert and genforce share."""
        return cls(resolution, channel_widths(resolution, channel_base, channel_max), **fields)


class Mapping(nnx.Module):
    """Z to W: pixel norm, then equalised dense layers with learning-rate multiplier 0.01.

    With labels, their embedding (as wide as z) is appended to z before the norm.
    """

    def __init__(self, config: GeneratorConfig, *, rngs: nnx.Rngs):
        self.z_dim, self.label_dim, self.w_dim = config.z_dim, config.label_dim, config.w_dim
        self.distinct_styles = config.distinct_styles
        if config.label_dim:
            self.embedding = nnx.Param(jax.random.normal(rngs.params(), (config.label_dim, config.z_dim)))
        hidden = [config.mapping_width] * (config.mapping_layers - 1)
        inputs = [config.z_dim * (2 if config.label_dim else 1), *hidden]
        outputs = [*hidden, config.w_dim * (config.num_styles if config.distinct_styles else 1)]
        self.layers = nnx.List(
            [EqualDense(i, o, gain=SQRT2, lr_mul=0.01, rngs=rngs) for i, o in zip(inputs, outputs, strict=True)]
        )

    def __call__(self, z: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """z: f32[B, z_dim], labels: f32[B, label_dim] (one-hot) -> w: f32[B, w_dim], or f32[B, K, w_dim] with distinct styles.

        Raises ValueError on missing labels.
        """
        check_labels(labels, self.label_dim)
        if labels is not None:
            z = jnp.concatenate([z, labels @ self.embedding[...]], axis=-1)
        x = pixel_norm(z)
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return x.reshape(x.shape[0], -1, self.w_dim) if self.distinct_styles else x


class EqualConv(nnx.Module):
    """Convolution with equalised learning rate and no bias; `up` doubles height and width before it and blurs after it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int = 3,
        *,
        up: bool = False,
        gain: float = SQRT2,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (size, size, in_channels, out_channels)))
        self.scale = gain / math.sqrt(in_channels * size**2)
        self.up, self.dtype = up, dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, in] -> [B, H, W, out], or twice the height and width when `up`."""
        kernel = (self.kernel[...] * self.scale).astype(self.dtype)
        if self.up:
            return blur(nearest_up_convolution(x, kernel), 1, 1, taps=SHORT_TAPS)
        return conv2d(x, kernel, padding=kernel.shape[0] // 2)


class Epilogue(nnx.Module):
    """What follows every convolution: noise of one learned strength per channel, bias, activation, AdaIN."""

    def __init__(
        self,
        channels: int,
        resolution: int,
        w_dim: int,
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.noise = Buffer(jax.random.normal(rngs.params(), (resolution, resolution)))
        self.noise_strength = nnx.Param(jnp.zeros((channels,)))
        self.bias = nnx.Param(jnp.zeros((channels,)))
        # Never in low precision, as a style scales a whole channel.
        self.style = EqualDense(w_dim, 2 * channels, dtype=jnp.promote_types(dtype, jnp.float32), rngs=rngs)
        self.dtype = dtype

    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        """x: [B, r, r, C], w: f32[B, w_dim], noise: [r, r] or [B, r, r] -> [B, r, r, C]."""
        if noise is not None:
            x = x + (noise[..., None] * self.noise_strength[...]).astype(self.dtype)
        x = leaky_relu(x + self.bias[...].astype(self.dtype))
        scale, shift = jnp.split(self.style(w), 2, axis=-1)
        return adaptive_instance_norm(x, scale + 1, shift)


class Block(nnx.Module):
    """One resolution: [up-convolution,] epilogue, convolution, epilogue. The first block has no up-convolution."""

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
            self.conv0 = EqualConv(in_channels, width, up=True, dtype=dtype, rngs=rngs)
        self.epilogue0 = Epilogue(width, resolution, config.w_dim, dtype=dtype, rngs=rngs)
        self.conv1 = EqualConv(width, width, dtype=dtype, rngs=rngs)
        self.epilogue1 = Epilogue(width, resolution, config.w_dim, dtype=dtype, rngs=rngs)
        self.to_rgb = ToRGB(width, dtype=dtype, rngs=rngs)

    @property
    def epilogues(self) -> list[Epilogue]:
        return [self.epilogue0, self.epilogue1]

    def __call__(self, x: jax.Array, w: jax.Array, noise: list[jax.Array | None]) -> jax.Array:
        """x: [B, r/2, r/2, in] (in the first block: [B, r, r, C]), w: f32[B, 2, w_dim], two noise maps -> [B, r, r, C]."""
        if hasattr(self, "conv0"):
            x = self.conv0(x)
        x = self.epilogue0(x, w[:, 0], noise[0])
        return self.epilogue1(self.conv1(x), w[:, 1], noise[1])


class ToRGB(nnx.Module):
    """1x1 convolution to three colours, which has no style."""

    def __init__(self, in_channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.conv = EqualConv(in_channels, 3, 1, gain=1.0, dtype=dtype, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros((3,)))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, in] -> [B, H, W, 3], in float32 at least."""
        rgb = self.conv(x)
        return rgb.astype(jnp.promote_types(rgb.dtype, jnp.float32)) + self.bias[...]


class Synthesis(nnx.Module):
    """W+ to image: a learned constant, one block for each resolution, colours from the last one.

    Earlier blocks have their `to_rgb` from progressive growing. It is not used, but belongs to every file.
    """

    def __init__(self, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.const = nnx.Param(jnp.ones((4, 4, config.channels[0])))
        widths = (None, *config.channels[:-1])
        self.blocks = nnx.List([Block(width, i, config, dtype=dtype, rngs=rngs) for i, width in enumerate(widths)])
        self.config = config
        self.dtype = dtype

    def __call__(self, w: jax.Array, noise: Noise = "const") -> jax.Array:
        """w: f32[B, K, w_dim] -> image f32[B, R, R, 3], nominally in [-1, 1] but not clipped.

        Raises ValueError on a wrong K, or noise that does not fit.
        """
        self.config.check_codes(w)
        stored = [epilogue.noise[...] for block in self.blocks for epilogue in block.epilogues]
        maps = noise_maps(noise, stored, w.shape[0])
        x = jnp.broadcast_to(self.const[...].astype(self.dtype), (w.shape[0], *self.const.shape))
        for i, block in enumerate(self.blocks):
            two = slice(2 * i, 2 * i + 2)
            x = block(x, w[:, two], maps[two])
        image = self.blocks[-1].to_rgb(x)
        return jnp.tanh(image) if self.config.final_tanh else image


class Generator(nnx.Module):
    """Mapping network and synthesis network."""

    def __init__(self, config: GeneratorConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.mapping = Mapping(config, rngs=rngs)
        self.synthesis = Synthesis(config, dtype=dtype, rngs=rngs)
        self.config = config
