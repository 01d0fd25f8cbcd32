"""IR-SE: the residual network with squeeze-and-excitation of ArcFace (arXiv 1801.07698, arXiv 1709.01507).

Layer for layer the body that the encoders of pSp, e4e and ReStyle share (upstream `models/encoders/helpers.py`), which
is also the face network behind the identity loss.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.residual import InputLayer, conv, group_features, torch_kernel_init
from restyle_jax.ops.layers import accurate_matmul
from restyle_jax.ops.normalization import BatchNorm, PReLU

# Units per group, by depth.
DEPTHS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}


@dataclasses.dataclass(frozen=True)
class IRSEConfig:
    """Shape of an IR-SE network.

    units: number of units in each group; group g (from 0) has width * 2**g channels at 1 / 2**(g + 1) of the resolution.
    width: channels of the first group, a multiple of `reduction`.
    reduction: ratio of the bottleneck in squeeze-and-excitation.
    """

    units: tuple[int, ...] = DEPTHS[50]
    in_channels: int = 3
    width: int = 64
    reduction: int = 16

    def __post_init__(self):
        if self.width < self.reduction or self.width % self.reduction:
            raise ValueError(
                f"the width of an IR-SE network must be a multiple of {self.reduction}, the reduction of its "
                f"squeeze-and-excitation, but is {self.width}"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature map at the end of each group."""
        return tuple(self.width * 2**group for group in range(len(self.units)))


class SqueezeExcite(nnx.Module):
    """Scale every channel by a sigmoid gate computed from the means of all channels (arXiv 1709.01507)."""

    def __init__(self, channels: int, reduction: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        hidden = channels // reduction
        self.fc1 = nnx.Linear(channels, hidden, use_bias=False, kernel_init=torch_kernel_init, dtype=dtype, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, channels, use_bias=False, kernel_init=torch_kernel_init, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, C] -> same shape."""
        # In float32 and in two levels: a gate scales a whole channel, so that its rounding error would not average out.
        mean = x.astype(jnp.float32).mean(2).mean(1)
        hidden = jax.nn.relu(accurate_matmul(mean, self.fc1.kernel[...]))
        gate = jax.nn.sigmoid(accurate_matmul(hidden, self.fc2.kernel[...]))
        return x * gate[:, None, None].astype(x.dtype)


class Unit(nnx.Module):
    """Pre-normalised residual unit: BN, conv, PReLU, conv with the stride, BN, gate; no activation after the sum."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        reduction: int,
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.norm1 = BatchNorm(in_channels, dtype=dtype)
        self.conv1 = conv(in_channels, out_channels, 3, dtype=dtype, rngs=rngs)
        self.prelu = PReLU(out_channels, dtype=dtype)
        self.conv2 = conv(out_channels, out_channels, 3, stride, dtype=dtype, rngs=rngs)
        self.norm2 = BatchNorm(out_channels, dtype=dtype)
        self.se = SqueezeExcite(out_channels, reduction, dtype=dtype, rngs=rngs)
        widens = in_channels != out_channels
        self.shortcut_conv = conv(in_channels, out_channels, 1, stride, dtype=dtype, rngs=rngs) if widens else None
        self.shortcut_norm = BatchNorm(out_channels, dtype=dtype) if widens else None
        self.stride = stride

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """x: [B, H, W, in] -> [B, ceil(H / stride), ceil(W / stride), out]."""
        y = self.conv1(self.norm1(x, train))
        y = self.conv2(self.prelu(y))
        y = self.se(self.norm2(y, train))
        if self.shortcut_conv is None or self.shortcut_norm is None:
            return y + x[:, :: self.stride, :: self.stride]
        return y + self.shortcut_norm(self.shortcut_conv(x), train)


class IRSE(nnx.Module):
    """Input layer at full resolution, then groups of units, each of which starts by halving the resolution."""

    def __init__(self, config: IRSEConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        self.input_layer = InputLayer(config.in_channels, config.width, 3, 1, dtype=dtype, rngs=rngs)
        body, in_channels = [], config.width
        for count, channels in zip(config.units, config.channels, strict=True):
            for index in range(count):
                stride = 2 if index == 0 else 1
                body.append(Unit(in_channels, channels, stride, config.reduction, dtype=dtype, rngs=rngs))
                in_channels = channels
        self.body = nnx.List(body)

    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """x: [B, H, W, in_channels] -> the feature map at the end of each group, finest first.

        Group g (from 0) has `config.channels[g]` channels and 2**(g + 1) times fewer rows and columns, rounded up.
        `train=True` normalises with batch statistics and updates the running ones in place.
        """
        x = self.input_layer(x.astype(self.dtype), train)
        return group_features(x, self.body, self.config.units, train)
