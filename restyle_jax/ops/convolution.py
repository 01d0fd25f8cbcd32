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

    Differentiable in reverse mode only, any number of times.
    """
    return _plain(strides, pads, x, kernel)


def _plain(strides: tuple[int, int], pads: Pads, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=DIMENSION_NUMBERS)


def _input_gradient_on_cpu(
    strides: tuple[int, int], pads: Pads, size: tuple[int, int], grad: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Gradient in an input of `size` rows and columns: the kernel turned around, over the gradient with zeros inserted."""
    outer = []
    for axis in (0, 1):
        before = kernel.shape[axis] - 1 - pads[axis][0]
        spread = (grad.shape[1 + axis] - 1) * strides[axis] + 1
        outer.append((before, size[axis] + kernel.shape[axis] - 1 - spread - before))
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return lax.conv_general_dilated(
        grad, turned, (1, 1), outer, lhs_dilation=strides, dimension_numbers=DIMENSION_NUMBERS
    )


def _kernel_gradient_on_cpu(
    strides: tuple[int, int], pads: Pads, size: tuple[int, int], x: jax.Array, grad: jax.Array
) -> jax.Array:
    """Gradient in a kernel of `size`: input channels as the batch, the batch as channels, the gradient as the kernel."""
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


def _backward(
    strides: tuple[int, int], pads: Pads, saved: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    plain = functools.partial(_plain, strides, pads)
    # Two choices rather than one, so that the gradient that nobody uses is not computed.
    of_input = lax.platform_dependent(
        grad,
        kernel,
        x,
        cpu=lambda grad, kernel, x: _input_gradient_on_cpu(strides, pads, x.shape[1:3], grad, kernel),
        default=lambda grad, kernel, x: jax.vjp(lambda x: plain(x, kernel), x)[1](grad)[0],
    )
    of_kernel = lax.platform_dependent(
        grad,
        kernel,
        x,
        cpu=lambda grad, kernel, x: _kernel_gradient_on_cpu(strides, pads, kernel.shape[:2], x, grad),
        default=lambda grad, kernel, x: jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](grad)[0],
    )
    return of_input, of_kernel


convolve.defvjp(lambda x, kernel, strides, pads: (convolve(x, kernel, strides, pads), (x, kernel)), _backward)


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
