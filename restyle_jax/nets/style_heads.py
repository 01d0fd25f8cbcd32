"""The style heads of pSp, e4e and ReStyle: K small convolutional networks, run as one batched computation."""

import math

import jax
import jax.numpy as jnp
from einops import rearrange, reduce, repeat
from flax import nnx

from restyle_jax.nets.residual import torch_bias_init
from restyle_jax.ops.convolution import conv2d
from restyle_jax.ops.layers import EqualDense, accurate_matmul, leaky_relu
from restyle_jax.ops.products import stacked_matmul

# Beyond this many output positions the heads no longer repeat their common input (see StackedConv).
MAX_REPEATED_POSITIONS = 1024
# Up to this many output positions a sum in two levels costs less than 0.5 % of a step (reading the kernels dominates).
MAX_ACCURATE_POSITIONS = 4
ACCURATE_GROUPS = 32


def patches(x: jax.Array) -> jax.Array:
    """The inputs of a 3 x 3 convolution with stride 2 and zero padding 1, side by side for a matrix product.

    x: [..., H, W, C] -> [..., ceil(H / 2), ceil(W / 2), 9 C], in the order of a kernel [3, 3, C, out] as [9 C, out].
    """
    height, width = x.shape[-3:-1]
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(1, 1), (1, 1), (0, 0)])
    taps = [padded[..., i : i + height : 2, j : j + width : 2, :] for i in range(3) for j in range(3)]
    return jnp.concatenate(taps, -1)


class StackedConv(nnx.Module):
    """K independent 3 x 3 convolutions with stride 2, padding 1 and bias: kernel [K, 3, 3, C, C], bias [K, C]."""

    def __init__(self, count: int, features: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        kernel_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform", batch_axis=0)
        self.kernel = nnx.Param(kernel_init(rngs.params(), (count, 3, 3, features, features), jnp.float32))
        self.bias = nnx.Param(torch_bias_init(9 * features)(rngs.params(), (count, features), jnp.float32))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, C], common to all K, or [K, B, H, W, C] -> [K, B, ceil(H / 2), ceil(W / 2), C].

        As a batched matrix product, which on CPU takes half to a quarter of the time of K convolutions or of one
        grouped convolution. A large common input would have to be repeated K times for it: that case is one convolution
        with K C outputs, which repeats nothing but has to regroup the kernels. Few output positions are summed in two
        levels: in the last convolution at batch 1 a plain sum over 9 C products has three times the rounding error.
        """
        kernel, bias = self.kernel[...].astype(self.dtype), self.bias[...].astype(self.dtype)
        bias = rearrange(bias, "k o -> k 1 1 1 o")
        if x.ndim == 4 and math.prod(x.shape[:3]) > 4 * MAX_REPEATED_POSITIONS:
            merged = conv2d(x, rearrange(kernel, "k h w i o -> h w i (k o)"), stride=2, padding=1)
            return rearrange(merged, "b h w (k o) -> k b h w o", k=len(kernel)) + bias
        taps = patches(x)
        if x.ndim == 4:
            taps = repeat(taps, "b h w i -> k b h w i", k=len(kernel))
        count, batch, height, width, features = taps.shape
        groups = math.gcd(features, ACCURATE_GROUPS) if height * width <= MAX_ACCURATE_POSITIONS else 1
        products = stacked_matmul(
            rearrange(taps, "k b h w (g i) -> (k g) (b h w) i", g=groups),
            rearrange(kernel, "k h w i o -> k (h w i) o").reshape(count * groups, features // groups, -1),
        )
        return reduce(products, "(k g) (b h w) o -> k b h w o", "sum", g=groups, b=batch, h=height) + bias


class StyleHeads(nnx.Module):
    """K heads with stacked parameters: stride-2 convolutions down to a single position, then an equalised linear layer.

    K times upstream's GradualStyleBlock (`models/encoders/map2style.py`), in which a style is as wide as the maps before it. Its
    LeakyReLU has slope 0.01.
    """

    def __init__(
        self,
        count: int,
        features: int,
        style_dim: int,
        num_convs: int,
        *,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.convs = nnx.List([StackedConv(count, features, dtype=dtype, rngs=rngs) for _ in range(num_convs)])

        @nnx.vmap
        def stacked_linear(key: jax.Array) -> EqualDense:
            return EqualDense(features, style_dim, dtype=dtype, rngs=nnx.Rngs(key))

        self.linear = stacked_linear(jax.random.split(rngs.params(), count))

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, features] with H, W <= 2**num_convs -> styles [B, K, style_dim]."""
        for conv in self.convs:
            x = leaky_relu(conv(x), 0.01)
        # By hand rather than by nnx.vmap, which refuses modules from outside a lax.scan.
        linear, x = self.linear, rearrange(x, "k b 1 1 i -> k b i")
        styles = jax.vmap(accurate_matmul)(x, (linear.kernel[...] * linear.scale).astype(x.dtype))
        return rearrange(styles + (linear.bias[:, None] * linear.lr_mul).astype(x.dtype), "k b o -> b k o")
