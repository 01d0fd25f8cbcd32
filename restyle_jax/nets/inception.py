"""Inception-v3 (arXiv 1512.00567) of the TensorFlow graph of 2015-12-05, whose last features are those of FID and KID.

It is not torchvision's: means over neighbours leave the padding out, the last block pools by the maximum, and the weights
are others. Names follow torchvision, in which the weights are published (mseitzer/pytorch-fid). Always in evaluation mode.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.ops.convolution import for_flax
from restyle_jax.ops.normalization import BatchNorm
from restyle_jax.ops.pooling import max_pool, neighbour_mean
from restyle_jax.ops.resizing import corner_bilinear

INPUT = 299  # pixels
WIDTH = 32  # channels behind the first convolution of the published network


class Conv(NamedTuple):
    """Convolution without bias, batch normalisation, ReLU. `padded` keeps the size (with stride 1)."""

    name: str
    channels: int
    window: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


class Fork(NamedTuple):
    """Convolutions of the same input, whose results stand side by side."""

    convs: tuple[Conv, ...]


MEAN, MAX, HALVED = "mean over 3 x 3", "maximum over 3 x 3", "maximum over 3 x 3 with stride 2"

Step = Conv | Fork | str
Branches = tuple[tuple[Step, ...], ...]

STEM: tuple[Step, ...] = (
    Conv("Conv2d_1a_3x3", 32, (3, 3), 2, padded=False),
    Conv("Conv2d_2a_3x3", 32, (3, 3), padded=False),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    HALVED,
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, (3, 3), padded=False),
    HALVED,
)


def _a(pool: int) -> Branches:
    return (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))),
        (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3))),
        (MEAN, Conv("branch_pool", pool)),
    )


def _b() -> Branches:
    return (
        (Conv("branch3x3", 384, (3, 3), 2, padded=False),),
        (
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            Conv("branch3x3dbl_3", 96, (3, 3), 2, padded=False),
        ),
        (HALVED,),
    )


def _c(inner: int) -> Branches:
    return (
        (Conv("branch1x1", 192),),
        (Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, (1, 7)), Conv("branch7x7_3", 192, (7, 1))),
        (
            Conv("branch7x7dbl_1", inner),
            Conv("branch7x7dbl_2", inner, (7, 1)),
            Conv("branch7x7dbl_3", inner, (1, 7)),
            Conv("branch7x7dbl_4", inner, (7, 1)),
            Conv("branch7x7dbl_5", 192, (1, 7)),
        ),
        (MEAN, Conv("branch_pool", 192)),
    )


def _d() -> Branches:
    return (
        (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2, padded=False)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            Conv("branch7x7x3_4", 192, (3, 3), 2, padded=False),
        ),
        (HALVED,),
    )


def _e(pool: str) -> Branches:
    return (
        (Conv("branch1x1", 320),),
        (Conv("branch3x3_1", 384), Fork((Conv("branch3x3_2a", 384, (1, 3)), Conv("branch3x3_2b", 384, (3, 1))))),
        (
            Conv("branch3x3dbl_1", 448),
            Conv("branch3x3dbl_2", 384, (3, 3)),
            Fork((Conv("branch3x3dbl_3a", 384, (1, 3)), Conv("branch3x3dbl_3b", 384, (3, 1)))),
        ),
        (pool, Conv("branch_pool", 192)),
    )


BLOCKS: dict[str, Branches] = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": _b(),
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": _d(),
    "Mixed_7b": _e(MEAN),
    "Mixed_7c": _e(MAX),
}


class Norm(BatchNorm):
    """Batch normalisation with the epsilon of TensorFlow's Inception."""

    epsilon = 1e-3


class ConvNorm(nnx.Module):
    """The layers of a `Conv`."""

    def __init__(self, in_channels: int, conv: Conv, width: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        channels = conv.channels * width // WIDTH
        pads = tuple(size // 2 if conv.padded else 0 for size in conv.window)
        self.conv = nnx.Conv(
            in_channels,
            channels,
            conv.window,
            conv.stride,
            padding=tuple((pad, pad) for pad in pads),
            use_bias=False,
            dtype=dtype,
            conv_general_dilated=for_flax,
            rngs=rngs,
        )
        self.norm = Norm(channels, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, in] -> [B, H', W', channels]."""
        return jax.nn.relu(self.norm(self.conv(x)))


class Mixed(nnx.Module):
    """Branches that all see the input, and whose results stand side by side."""

    def __init__(
        self, in_channels: int, branches: Branches, width: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs
    ):
        self.branches = branches
        self.convs = nnx.Dict()
        self.channels = 0
        for branch in branches:
            channels = in_channels
            for step in branch:
                if isinstance(step, str):
                    continue
                parallel = (step,) if isinstance(step, Conv) else step.convs
                for conv in parallel:
                    self.convs[conv.name] = ConvNorm(channels, conv, width, dtype=dtype, rngs=rngs)
                channels = sum(conv.channels * width // WIDTH for conv in parallel)
            self.channels += channels

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, in] -> [B, H', W', channels]."""
        return jnp.concatenate([self._run(branch, x) for branch in self.branches], axis=-1)

    def _run(self, branch: tuple[Step, ...], x: jax.Array) -> jax.Array:
        for step in branch:
            if isinstance(step, str):
                x = {MEAN: neighbour_mean, MAX: _largest, HALVED: _halved}[step](x)
            elif isinstance(step, Conv):
                x = self.convs[step.name](x)
            else:
                x = jnp.concatenate([self.convs[conv.name](x) for conv in step.convs], axis=-1)
        return x


def _largest(x: jax.Array) -> jax.Array:
    return max_pool(x, 3, 1, padding=1)


def _halved(x: jax.Array) -> jax.Array:
    return max_pool(x, 3, 2)


class Inception(nnx.Module):
    """The network up to its last features. Weights come from `checkpoints.networks.load_inception`.

    width: channels behind the first convolution; all others are in proportion to the published ones, for 32.
    """

    def __init__(self, width: int = WIDTH, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.width = width
        self.stem = Mixed(3, (STEM,), width, dtype=dtype, rngs=rngs)
        channels, blocks = self.stem.channels, {}
        for name, branches in BLOCKS.items():
            blocks[name] = Mixed(channels, branches, width, dtype=dtype, rngs=rngs)
            channels = blocks[name].channels
        self.blocks = nnx.Dict(blocks)

    def __call__(self, images: jax.Array) -> jax.Array:
        """images: [B, H, W, 3] of any size, with the values 0 to 255 -> features f32[B, 2048].

        Raises ValueError on another shape.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"pictures for Inception have shape {images.shape}, expected [B, H, W, 3]")
        x = corner_bilinear(images.astype(jnp.float32), INPUT, INPUT)
        return self.feature_map((x - 128) / 128).mean(axis=(1, 2))

    def feature_map(self, x: jax.Array) -> jax.Array:
        """x: f32[B, 299, 299, 3] in [-1, 1] -> f32[B, 8, 8, 2048]."""
        x = self.stem(x)
        for name in BLOCKS:
            x = self.blocks[name](x)
        return x.astype(jnp.float32)
