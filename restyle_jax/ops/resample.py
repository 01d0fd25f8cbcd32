"""FIR resampling with the [1, 3, 3, 1] kernel of StyleGAN2 and [1, 2, 1] of StyleGAN, and block pooling. All images are NHWC.

Every filter is written as separable shifts and adds: on XLA CPU a depthwise convolution is 5-50 times slower, and on
GPU and TPU the adds fuse with their neighbours (README.md of rosinality/stylegan2-pytorch calls the operation `upfirdn2d`).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from einops import reduce
from jax import lax

from restyle_jax.ops.convolution import conv2d, input_gradient

TAPS = (0.125, 0.375, 0.375, 0.125)
SHORT_TAPS = (0.25, 0.5, 0.25)
ROWS, COLUMNS = 1, 2


def pad_axis(x: jax.Array, before: int, after: int, axis: int) -> jax.Array:
    """Zero padding of one axis."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(before, after, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)])


def filter_axis(
    x: jax.Array,
    taps: Sequence[float] | Sequence[jax.Array],
    axis: int,
    before: int = 0,
    after: int = 0,
    stride: int = 1,
) -> jax.Array:
    """Zero padding of one axis by (before, after), then n taps along it (y[i] = sum of taps[k] x[i + k]), every `stride`-th sample.

    taps: numbers, or arrays that broadcast with x. An axis of length L becomes (L + before + after - n) // stride + 1.
    """
    padded = pad_axis(x, before, after, axis)
    last = padded.shape[axis] - len(taps) + 1
    shifted = [lax.slice_in_dim(padded, i, i + last, stride, axis) for i in range(len(taps))]
    return functools.reduce(jnp.add, (tap * part for tap, part in zip(taps, shifted, strict=True)))


def blur(
    x: jax.Array, before: int, after: int, gain: float = 1.0, stride: int = 1, taps: Sequence[float] = TAPS
) -> jax.Array:
    """Pad both image axes by (before, after), filter with the n `taps` times sqrt(gain), keep every `stride`-th pixel.

    x: [B, H, W, C] -> [B, (H + before + after - n) // stride + 1, ..., C].
    """
    for axis in (ROWS, COLUMNS):
        x = filter_axis(x, [tap * gain**0.5 for tap in taps], axis, before, after, stride)
    return x


def interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """Even and odd samples of `axis` back into one array of twice the length."""
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def upsample(x: jax.Array) -> jax.Array:
    """Double height and width: zero insertion and the FIR filter with gain 4 (the skip connection of StyleGAN2).

    x: [B, H, W, C] -> [B, 2H, 2W, C]. Both phases are written out, so that no zero is ever multiplied.
    """
    for axis in (ROWS, COLUMNS):
        length = x.shape[axis]
        padded = pad_axis(x, 1, 1, axis)
        before = lax.slice_in_dim(padded, 0, length, axis=axis)
        after = lax.slice_in_dim(padded, 2, length + 2, axis=axis)
        x = interleave(0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after, axis)
    return x


def blur_phases(even: jax.Array, odd: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """[1, 3, 3, 1] / 4 with padding (1, 1) along `axis` of a signal given as its even (n + 1) and odd (n) samples.

    Returns the even and odd samples (n each) of the result.
    """
    length = odd.shape[axis]
    padded = pad_axis(odd, 1, 1, axis)
    first, last = lax.slice_in_dim(even, 0, length, axis=axis), lax.slice_in_dim(even, 1, length + 1, axis=axis)
    before, after = lax.slice_in_dim(padded, 0, length, axis=axis), lax.slice_in_dim(padded, 2, length + 2, axis=axis)
    return 0.25 * (before + last) + 0.75 * (first + odd), 0.25 * (first + after) + 0.75 * (odd + last)


@jax.custom_vjp
def up_convolution_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`up_convolution` as four small convolutions, one for each parity of output row and column: no product with zero.

    XLA's own gradient of the kernel takes a hundred times as long as the product itself on CPU, for any form. The product
    and its two gradients are therefore declared as the derivatives of each other, which holds to every order in reverse
    mode (there is no forward mode). The gradient that nobody uses is removed by the compiler.
    """
    even, odd = kernel[::-2], kernel[1:2]
    border, none = (1, 1), (0, 0)
    even_columns = blur_phases(
        conv2d(x, even[:, ::-2], padding=(border, border)), conv2d(x, odd[:, ::-2], padding=(none, border)), ROWS
    )
    odd_columns = blur_phases(
        conv2d(x, even[:, 1:2], padding=(border, none)), conv2d(x, odd[:, 1:2], padding=(none, none)), ROWS
    )
    even_rows, odd_rows = zip(even_columns, odd_columns, strict=True)
    return interleave(
        interleave(*blur_phases(*even_rows, COLUMNS), COLUMNS),
        interleave(*blur_phases(*odd_rows, COLUMNS), COLUMNS),
        ROWS,
    )


@jax.custom_vjp
def up_convolution_input_gradient(grad: jax.Array, kernel: jax.Array) -> jax.Array:
    """Gradient of `up_convolution` in its input: grad [B, 2H, 2W, O], kernel [3, 3, I, O] -> [B, H, W, I]."""
    return conv2d(blur(grad, 2, 2, gain=4.0), jnp.swapaxes(kernel, 2, 3), stride=2)


@jax.custom_vjp
def up_convolution_kernel_gradient(x: jax.Array, grad: jax.Array) -> jax.Array:
    """Gradient of `up_convolution` in its kernel as nine matrix products: x [B, H, W, I], grad [B, 2H, 2W, O] -> [3, 3, I, O]."""
    height, width = x.shape[ROWS], x.shape[COLUMNS]
    filtered = blur(grad, 2, 2, gain=4.0)
    taps = [[filtered[:, i : i + 2 * height : 2, j : j + 2 * width : 2] for j in range(3)] for i in range(3)]
    return jnp.stack([jnp.stack([jnp.einsum("bhwi,bhwo->io", x, tap) for tap in row]) for row in taps])


up_convolution_phases.defvjp(
    lambda x, kernel: (up_convolution_phases(x, kernel), (x, kernel)),
    lambda saved, grad: (
        up_convolution_input_gradient(grad, saved[1]),
        up_convolution_kernel_gradient(saved[0], grad),
    ),
)
up_convolution_input_gradient.defvjp(
    lambda grad, kernel: (up_convolution_input_gradient(grad, kernel), (grad, kernel)),
    lambda saved, x: (up_convolution_phases(x, saved[1]), up_convolution_kernel_gradient(x, saved[0])),
)
up_convolution_kernel_gradient.defvjp(
    lambda x, grad: (up_convolution_kernel_gradient(x, grad), (x, grad)),
    lambda saved, kernel: (
        up_convolution_input_gradient(saved[1], kernel),
        up_convolution_phases(saved[0], kernel),
    ),
)


def up_convolution_dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`up_convolution` as one convolution of the zero-inserted input, then the FIR filter.

    It is the gradient of a convolution of stride 2, and declared as such: its gradient in the kernel by automatic differentiation
    is a convolution with the whole picture as the kernel, which others saw take thirty times as long on a GPU as cuDNN's own
    (jax-ml/jax issue 31662).
    """
    size = (2 * x.shape[ROWS] + 1, 2 * x.shape[COLUMNS] + 1)
    x = input_gradient(x, jnp.swapaxes(kernel, 2, 3), (2, 2), ((0, 0), (0, 0)), size)
    return blur(x, 1, 1, gain=4.0)


def up_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution of stride 2 (out[2i + k] += x[i] kernel[k]), then the FIR filter with gain 4.

    x: [B, H, W, I], kernel: [3, 3, I, O] -> [B, 2H, 2W, O]; "up 3x3" of StyleGAN2. This is the one place where the form
    of the convolution depends on the backend: the phase form is the fastest on CPU (experiments/RESULTS.md), while
    cuDNN and the TPU compiler have transposed convolutions of their own.
    """
    return lax.platform_dependent(x, kernel, cpu=up_convolution_phases, default=up_convolution_dilated)


def nearest_up_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Every pixel doubled in both axes, then a convolution. x: [B, H, W, I], kernel: [3, 3, I, O] -> [B, 2H, 2W, O].

    As one 2x2 convolution for each parity of output row and column, in which the taps that see the same pixel are added: four
    ninths of the products. It is also the fused form of StyleGAN's official code, whose kernel is this one turned by 180 degrees.
    """
    first, middle, last = kernel
    return interleave(
        interleave(*_column_phases(x, jnp.stack([first, middle + last]), (1, 0)), COLUMNS),
        interleave(*_column_phases(x, jnp.stack([first + middle, last]), (0, 1)), COLUMNS),
        ROWS,
    )


def _column_phases(x: jax.Array, kernel: jax.Array, row_pads: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Even and odd columns of one parity of rows, from a kernel [2, 3, I, O] whose rows have been added already."""
    first, middle, last = jnp.moveaxis(kernel, 1, 0)
    even = conv2d(x, jnp.stack([first, middle + last], 1), padding=(row_pads, (1, 0)))
    return even, conv2d(x, jnp.stack([first + middle, last], 1), padding=(row_pads, (0, 1)))


def down_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """FIR filter, then a convolution of stride 2. x: [B, H, W, I], kernel: [k, k, I, O], k 1 or 3 -> [B, H/2, W/2, O]."""
    if kernel.shape[0] == 1:  # the filter only needs the pixels that the 1x1 kernel sees
        return conv2d(blur(x, 1, 1, stride=2), kernel)
    return conv2d(blur(x, 2, 2), kernel, stride=2)


def block_mean(x: jax.Array, size: int) -> jax.Array:
    """Adaptive average pooling of a square [B, R, R, C] to [B, size, size, C] when one side divides the other.

    A smaller input is repeated, as torch's AdaptiveAvgPool2d does. Raises ValueError if neither side divides the other.
    """
    side = x.shape[1]
    if side % size == 0:
        return reduce(x, "b (h i) (w j) c -> b h w c", "mean", i=side // size, j=side // size)
    if size % side == 0:
        return x.repeat(size // side, axis=1).repeat(size // side, axis=2)
    raise ValueError(f"cannot pool {side} x {side} pixels to {size} x {size}: neither side divides the other")
