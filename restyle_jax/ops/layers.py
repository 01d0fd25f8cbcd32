"""Layers shared by the StyleGAN networks, in the parameterisation of rosinality/stylegan2-pytorch (`model.py`)."""

import math

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import nnx

from restyle_jax.ops.convolution import conv2d
from restyle_jax.ops.resample import up_convolution

SQRT2 = math.sqrt(2.0)


class Buffer(nnx.Variable):
    """An array that belongs to a network and is stored with it, but is never trained (constant noise maps)."""


def leaky_relu(x: jax.Array, slope: float = 0.2) -> jax.Array:
    """x where positive, else slope * x.

    Not as a maximum: its derivative asks which operand equals the result, and once XLA has computed an operand twice with
    different rounding, neither does, and the gradient of that element is lost.
    """
    return jnp.where(x > 0, x, slope * x)


def scaled_leaky_relu(x: jax.Array) -> jax.Array:
    """sqrt(2) * leaky_relu(x, 0.2): the activation of StyleGAN2, which keeps the variance of a normal input near 1."""
    return jnp.where(x > 0, SQRT2 * x, 0.2 * SQRT2 * x)


def clamp(x: jax.Array, limit: float | None) -> jax.Array:
    """x limited to [-limit, limit], or x if `limit` is None. By comparison, not as a maximum (see `leaky_relu`)."""
    return x if limit is None else jnp.where(x > limit, limit, jnp.where(x < -limit, -limit, x))


def at_least_float32(x: jax.Array) -> jax.Array:
    """x of a low precision in float32, any other unchanged."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pixel_norm(x: jax.Array) -> jax.Array:
    """Divide by the root mean square over the last axis (epsilon 1e-8). Same shape as `x`."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


def accurate_matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [B, in] @ kernel [in, out] in full float32, summed in two levels so that rounding errors grow with sqrt(in) less.

    Styles and their norms scale whole channels: a rounding error there is a smooth error in the picture, to which the next
    refinement step is most sensitive (the error of a 5-step loop shrinks several times).
    """
    groups = math.gcd(x.shape[-1], 32)
    x, kernel = rearrange(x, "b (g i) -> g b i", g=groups), rearrange(kernel, "(g i) o -> g i o", g=groups)
    return jnp.einsum("gbi,gio->gbo", x, kernel, precision="highest").sum(0)


class EqualDense(nnx.Module):
    """Dense layer with equalised learning rate: y = x @ (kernel * gain * lr_mul / sqrt(in)) + bias * lr_mul.

    The stored kernel [in, out] is drawn from N(0, 1) / lr_mul, so that every weight has the same dynamic range whatever
    the fan-in (Karras et al., arXiv 1710.10196, section 4.1).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        gain: float = 1.0,
        lr_mul: float = 1.0,
        bias_init: float = 0.0,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (in_features, out_features)) / lr_mul)
        self.bias = nnx.Param(jnp.full((out_features,), bias_init, jnp.float32))
        self.scale = gain * lr_mul / math.sqrt(in_features)
        self.lr_mul = lr_mul
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [..., in] -> [..., out] in the compute dtype."""
        kernel = (self.kernel[...] * self.scale).astype(self.dtype)
        bias = (self.bias[...] * self.lr_mul).astype(self.dtype)
        return accurate_matmul(x.astype(self.dtype), kernel) + bias


class ModulatedConv(nnx.Module):
    """Convolution whose input channels are scaled by a style, and whose output is normalised again (arXiv 1912.04958, section 2.2).

    The style scales the activations and the demodulation coefficient scales the output, which equals one kernel per
    sample but needs no grouped convolution. `epsilon` is added to the squared norm of the equalised kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        *,
        size: int = 3,
        up: bool = False,
        epsilon: float = 1e-8,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (size, size, in_channels, out_channels)))
        self.modulation = EqualDense(w_dim, in_channels, bias_init=1.0, rngs=rngs)
        self.gain = 1.0 / math.sqrt(in_channels * size**2)
        self.up = up
        self.epsilon = epsilon
        self.dtype = dtype

    def __call__(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """x: [B, H, W, in], style: f32[B, in], made by `modulation` -> [B, H, W, out], or [B, 2H, 2W, out] when upsampling."""
        style = style * self.gain
        power = jnp.sum(jnp.square(self.kernel[...]), axis=(0, 1))
        demodulation = jax.lax.rsqrt(accurate_matmul(jnp.square(style), power) + self.epsilon)
        kernel = self.kernel[...].astype(self.dtype)
        x = x * style[:, None, None, :].astype(self.dtype)
        x = up_convolution(x, kernel) if self.up else conv2d(x, kernel, padding=kernel.shape[0] // 2)
        return x * demodulation[:, None, None, :].astype(self.dtype)
