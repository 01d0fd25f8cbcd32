"""Normalisations of features, and parametric ReLU with the conventions of torch; channels last."""

import jax
import jax.numpy as jnp
from flax import nnx


class BatchNorm(nnx.Module):
    """`torch.nn.BatchNorm2d` with its default settings, over all axes but the last.

    Flax's own layer differs in one point that a converted checkpoint would feel after the first training step: torch
    normalises with the biased batch variance but keeps the unbiased one (n / (n - 1)) in the running statistics.

    Parameters are `scale` and `bias` [C]; statistics are `mean`, `var` [C] and `count`, the int32 number of train-mode
    calls (torch's `num_batches_tracked`, which does not enter the computation and is kept for exact round trips).
    """

    epsilon = 1e-5
    momentum = 0.1

    def __init__(self, features: int, *, dtype: jax.typing.DTypeLike = jnp.float32):
        self.scale = nnx.Param(jnp.ones((features,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((features,), jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros((features,), jnp.float32))
        self.var = nnx.BatchStat(jnp.ones((features,), jnp.float32))
        self.count = nnx.BatchStat(jnp.zeros((), jnp.int32))
        self.dtype = dtype

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """x: [..., C] -> same shape, in the compute dtype.

        `train=True` normalises with the statistics of this batch, computed in float32 over every axis but the last, and
        moves the running statistics towards them in place. Raises ValueError if it has one value per channel only, for
        which no variance exists.
        """
        mean, var = self.mean[...], self.var[...]
        if train:
            n = x.size // x.shape[-1]
            if n < 2:
                raise ValueError(
                    f"batch normalisation in train mode needs more than one value per channel, but the input has "
                    f"shape {x.shape}: use a larger batch or image"
                )
            batch = x.astype(jnp.float32)
            axes = tuple(range(x.ndim - 1))
            mean, var = jnp.mean(batch, axes), jnp.var(batch, axes)
            seen = jax.lax.stop_gradient((mean, var * (n / (n - 1))))
            for running, value in zip((self.mean, self.var), seen, strict=True):
                # Not `[...] =`, for which flax asks tracers where they lie: JAX's answer takes as long as tracing the network.
                running.set_value(running[...] + self.momentum * (value - running[...]))
            self.count.set_value(self.count[...] + 1)
        # One multiplication and one addition per element, which the compiler fuses with the neighbouring operations; in
        # float32, because in bfloat16 a mean far from zero would cancel with a loss of digits.
        multiplier = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        offset = self.bias[...] - mean * multiplier
        return (x.astype(jnp.float32) * multiplier + offset).astype(self.dtype)


class PReLU(nnx.Module):
    """max(x, 0) + slope * min(x, 0) with one learned `slope` per channel [C], initially 0.25 (arXiv 1502.01852)."""

    def __init__(self, features: int, *, dtype: jax.typing.DTypeLike = jnp.float32):
        self.slope = nnx.Param(jnp.full((features,), 0.25, jnp.float32))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [..., C] -> same shape, in the compute dtype."""
        x = x.astype(self.dtype)
        return jnp.where(x > 0, x, self.slope[...].astype(self.dtype) * x)


def adaptive_instance_norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """AdaIN (arXiv 1812.04948, equation 1): each channel of each sample gets the mean `shift` and the standard deviation `scale`.

    x: [B, H, W, C], scale and shift: f32[B, C] -> [B, H, W, C]. Statistics over the pixels are biased, with epsilon 1e-8, and
    computed in float32 at least.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - jnp.mean(wide, axis=(1, 2), keepdims=True)
    multiplier = scale[:, None, None] * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=(1, 2), keepdims=True) + 1e-8)
    return (centred * multiplier + shift[:, None, None]).astype(x.dtype)


def unit_norm(x: jax.Array) -> jax.Array:
    """x / (|x| + 1e-10) over the last axis. Zero stays zero, and has the gradient zero (torch's is not a number there)."""
    power = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    positive = power > 0
    return jnp.where(positive, x / (jnp.sqrt(jnp.where(positive, power, 1.0)) + 1e-10), 0.0)
