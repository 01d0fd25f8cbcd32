"""Two-dimensional convolution with gradients in the form that is fast on CPU, NHWC.

XLA brings the convolutions of a gradient into the layout of its fast CPU kernel only in the outermost computation of a program.
Inside a `lax.scan`, where every refinement step lives, they would run as plain loops, 10 to 90 times slower; so that layout is
written out here.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

DIMENSION_NUMBERS = ("NHWC", "HWIO", "NHWC")
Pads = tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads) -> jax.Array:
    """Cross-correlation of x [B, H, W, I] with kernel [h, w, I, O]; `pads` is ((top, bottom), (left, right)).

    It and its two gradients are declared as the derivatives of each other: reverse mode only, any number of times (but, with
    JAX 0.10, only once through a `lax.scan` over a whole generator).
    """
    return _plain(strides, pads, x, kernel)


def _plain(strides: tuple[int, int], pads: Pads, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=DIMENSION_NUMBERS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def input_gradient(
    grad: jax.Array, kernel: jax.Array, strides: tuple[int, int], pads: Pads, size: tuple[int, int]
) -> jax.Array:
    """Gradient of `convolve` in an input of `size` rows and columns: on CPU the kernel turned around, over the gradient with
    zeros inserted."""

    def on_cpu(grad: jax.Array, kernel: jax.Array) -> jax.Array:
        outer = []
        for axis in (0, 1):
            before = kernel.shape[axis] - 1 - pads[axis][0]
            spread = (grad.shape[1 + axis] - 1) * strides[axis] + 1
            outer.append((before, size[axis] + kernel.shape[axis] - 1 - spread - before))
        turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
        return lax.conv_general_dilated(
            grad, turned, (1, 1), outer, lhs_dilation=strides, dimension_numbers=DIMENSION_NUMBERS
        )

    def elsewhere(grad: jax.Array, kernel: jax.Array) -> jax.Array:
        x = jax.ShapeDtypeStruct((len(grad), *size, kernel.shape[2]), grad.dtype)
        return jax.linear_transpose(lambda x: _plain(strides, pads, x, kernel), x)(grad)[0]

    return lax.platform_dependent(grad, kernel, cpu=on_cpu, default=elsewhere)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def kernel_gradient(
    x: jax.Array, grad: jax.Array, strides: tuple[int, int], pads: Pads, size: tuple[int, int]
) -> jax.Array:
    """Gradient of `convolve` in a kernel of `size`: on CPU with input channels as the batch, the batch as channels and the
    gradient as the kernel."""

    def on_cpu(x: jax.Array, grad: jax.Array) -> jax.Array:
        outer = []
        for axis in (0, 1):
            before = pads[axis][0]
            spread = (grad.shape[1 + axis] - 1) * strides[axis] + 1
            outer.append((before, size[axis] - 1 + spread - x.shape[1 + axis] - before))
        products = lax.conv_general_dilated(
            x.transpose(3, 1, 2, 0),
            grad.transpose(1, 2, 0, 3),
            (1, 1),
            outer,
            rhs_dilation=strides,
            dimension_numbers=DIMENSION_NUMBERS,
        )
        return products.transpose(1, 2, 0, 3)

    def elsewhere(x: jax.Array, grad: jax.Array) -> jax.Array:
        kernel = jax.ShapeDtypeStruct((*size, x.shape[3], grad.shape[3]), x.dtype)
        return jax.linear_transpose(lambda kernel: _plain(strides, pads, x, kernel), kernel)(grad)[0]

    return lax.platform_dependent(x, grad, cpu=on_cpu, default=elsewhere)


convolve.defvjp(
    lambda x, kernel, strides, pads: (convolve(x, kernel, strides, pads), (x, kernel)),
    lambda strides, pads, saved, grad: (
        input_gradient(grad, saved[1], strides, pads, saved[0].shape[1:3]),
        kernel_gradient(saved[0], grad, strides, pads, saved[1].shape[:2]),
    ),
)
input_gradient.defvjp(
    lambda grad, kernel, strides, pads, size: (input_gradient(grad, kernel, strides, pads, size), (grad, kernel)),
    lambda strides, pads, size, saved, x: (
        convolve(x, saved[1], strides, pads),
        kernel_gradient(x, saved[0], strides, pads, saved[1].shape[:2]),
    ),
)
kernel_gradient.defvjp(
    lambda x, grad, strides, pads, size: (kernel_gradient(x, grad, strides, pads, size), (x, grad)),
    lambda strides, pads, size, saved, kernel: (
        input_gradient(saved[1], kernel, strides, pads, saved[0].shape[1:3]),
        convolve(saved[0], kernel, strides, pads),
    ),
)


def conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int | Pads = 0) -> jax.Array:
    """Cross-correlation of x [B, H, W, I] with kernel [h, w, I, O]; `padding` is one number or ((top, bottom), (left, right))."""
    pads = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    return convolve(x, kernel, (stride, stride), pads)


def for_flax(lhs: jax.Array, rhs: jax.Array, strides: Any, padding: Any, **settings: Any) -> jax.Array:
    """`convolve` as the argument `conv_general_dilated` of `nnx.Conv`. Raises ValueError for dilated or grouped ones."""
    plain = all(set(settings.get(f"{side}_dilation") or (1,)) == {1} for side in ("lhs", "rhs"))
    if not plain or settings.get("feature_group_count", 1) != 1:
        raise ValueError(f"only plain convolutions have this gradient, found {settings}")
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], strides, padding)
    return convolve(lhs, rhs, tuple(strides), tuple((int(a), int(b)) for a, b in padding))
