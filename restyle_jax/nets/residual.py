"""What the two kinds of residual trunk have in common: plain convolutions, the input layer and the walk over groups."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.ops.convolution import for_flax
from restyle_jax.ops.normalization import BatchNorm, PReLU

# torch's default for the kernel of a convolution: uniform in +-1 / sqrt(fan_in).
torch_kernel_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias_init(fan_in: int) -> nnx.Initializer:
    """torch's default for the bias of a convolution with `fan_in` inputs per output: uniform in +-1 / sqrt(fan_in)."""

    def init(key: jax.Array, shape: Sequence[int], dtype: jax.typing.DTypeLike = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -1, 1) / math.sqrt(fan_in)

    return init


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    use_bias: bool = False,
    kernel_init: nnx.Initializer = torch_kernel_init,
    dtype: jax.typing.DTypeLike,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A square convolution, zero-padded so that the output has ceil(size / stride) rows and columns."""
    return nnx.Conv(
        in_channels,
        out_channels,
        (kernel_size, kernel_size),
        stride,
        padding=kernel_size // 2,
        use_bias=use_bias,
        kernel_init=kernel_init,
        bias_init=torch_bias_init(kernel_size**2 * in_channels),
        dtype=dtype,
        conv_general_dilated=for_flax,
        rngs=rngs,
    )


class InputLayer(nnx.Module):
    """Convolution, batch normalisation, PReLU: the first layer of every trunk."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        *,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.conv = conv(in_channels, out_channels, kernel_size, stride, dtype=dtype, rngs=rngs)
        self.norm = BatchNorm(out_channels, dtype=dtype)
        self.prelu = PReLU(out_channels, dtype=dtype)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """x: [B, H, W, in] -> [B, ceil(H / stride), ceil(W / stride), out]."""
        return self.prelu(self.norm(self.conv(x), train))


def group_features(x: jax.Array, units: nnx.List, counts: Sequence[int], train: bool) -> tuple[jax.Array, ...]:
    """Apply `units` one after the other; `counts` says how many form each group. Returns the output of every group."""
    remaining, features = iter(units), []
    for count in counts:
        for _ in range(count):
            x = next(remaining)(x, train)
        features.append(x)
    return tuple(features)
