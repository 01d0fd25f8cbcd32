"""ResNet (arXiv 1512.03385) as the trunk of an encoder: torchvision's blocks behind the input layer of ReStyle.

Upstream (`models/encoders/restyle_psp_encoders.py`, ResNetBackboneEncoder) keeps torchvision's blocks and replaces what
is before them: PReLU instead of ReLU, and no max-pooling, so that a 256-pixel image ends at 16 x 16 as in IR-SE. The MoCo
network has torchvision's own input layer (`max_pool`).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.residual import InputLayer, conv, group_features
from restyle_jax.ops.normalization import BatchNorm
from restyle_jax.ops.pooling import max_pool

# Blocks per group, by depth. Depth 50 has bottleneck blocks.
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}

EXPANSION = 4  # output channels of a bottleneck block over its inner ones

# torchvision's initialisation of the convolutions in the blocks.
kaiming_normal = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """Shape of a ResNet trunk.

    blocks: number of blocks in each group; group g (from 0) has width * 2**g channels, four times as many with
        bottleneck blocks, at 1 / 2**(g + 1) of the input resolution.
    bottleneck: three convolutions 1-3-1 per block (ResNet-50) instead of two 3-3 (ResNet-18, ResNet-34).
    max_pool: torchvision's input layer, with ReLU and max-pooling, which halves every resolution once more.
    """

    blocks: tuple[int, ...] = DEPTHS[34]
    bottleneck: bool = False
    in_channels: int = 3
    width: int = 64
    max_pool: bool = False

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature map at the end of each group."""
        expansion = EXPANSION if self.bottleneck else 1
        return tuple(self.width * expansion * 2**group for group in range(len(self.blocks)))


class Block(nnx.Module):
    """Residual block with the activation after the sum; two convolutions, or three with a bottleneck.

    The stride sits on the first 3 x 3 convolution, as in torchvision.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        bottleneck: bool,
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        def block_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nnx.Conv:
            return conv(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                kernel_init=kaiming_normal,
                dtype=dtype,
                rngs=rngs,
            )

        inner = out_channels // EXPANSION if bottleneck else out_channels
        if bottleneck:
            self.conv1 = block_conv(in_channels, inner, 1)
            self.conv2 = block_conv(inner, inner, 3, stride)
        else:
            self.conv1 = block_conv(in_channels, inner, 3, stride)
            self.conv2 = block_conv(inner, inner, 3)
        self.norm1 = BatchNorm(inner, dtype=dtype)
        self.norm2 = BatchNorm(inner, dtype=dtype)
        self.conv3 = block_conv(inner, out_channels, 1) if bottleneck else None
        self.norm3 = BatchNorm(out_channels, dtype=dtype) if bottleneck else None
        changes = stride != 1 or in_channels != out_channels
        self.downsample_conv = block_conv(in_channels, out_channels, 1, stride) if changes else None
        self.downsample_norm = BatchNorm(out_channels, dtype=dtype) if changes else None

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """x: [B, H, W, in] -> [B, ceil(H / stride), ceil(W / stride), out]."""
        y = jax.nn.relu(self.norm1(self.conv1(x), train))
        y = self.norm2(self.conv2(y), train)
        if self.conv3 is not None and self.norm3 is not None:
            y = self.norm3(self.conv3(jax.nn.relu(y)), train)
        if self.downsample_conv is not None and self.downsample_norm is not None:
            x = self.downsample_norm(self.downsample_conv(x), train)
        return jax.nn.relu(y + x)


class PoolingInputLayer(nnx.Module):
    """torchvision's input layer: convolution, batch normalisation, ReLU, max-pooling."""

    def __init__(self, in_channels: int, out_channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.conv = conv(in_channels, out_channels, 7, 2, kernel_init=kaiming_normal, dtype=dtype, rngs=rngs)
        self.norm = BatchNorm(out_channels, dtype=dtype)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """x: [B, H, W, in] -> [B, ceil(H / 4), ceil(W / 4), out]."""
        return max_pool(jax.nn.relu(self.norm(self.conv(x), train)), 3, 2, padding=1)


class ResNet(nnx.Module):
    """Input layer at half the resolution, then groups of blocks, of which all but the first halve it again."""

    def __init__(self, config: ResNetConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        if config.max_pool:
            self.input_layer = PoolingInputLayer(config.in_channels, config.width, dtype=dtype, rngs=rngs)
        else:
            self.input_layer = InputLayer(config.in_channels, config.width, 7, 2, dtype=dtype, rngs=rngs)
        body, in_channels = [], config.width
        for group, (count, channels) in enumerate(zip(config.blocks, config.channels, strict=True)):
            for index in range(count):
                stride = 2 if group > 0 and index == 0 else 1
                body.append(Block(in_channels, channels, stride, config.bottleneck, dtype=dtype, rngs=rngs))
                in_channels = channels
        self.body = nnx.List(body)

    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """x: [B, H, W, in_channels] -> the feature map at the end of each group, finest first.

        Group g (from 0) has `config.channels[g]` channels and 2**(g + 1) times fewer rows and columns (2**(g + 2) with
        max-pooling), rounded up. `train=True` normalises with batch statistics and updates the running
        ones in place.
        """
        x = self.input_layer(x.astype(self.dtype), train)
        return group_features(x, self.body, self.config.blocks, train)
