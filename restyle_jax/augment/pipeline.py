"""Augmented pictures for a discriminator (StyleGAN2-ADA, arXiv 2006.06676; official `training/augment.py`)."""

import jax
import jax.numpy as jnp

from restyle_jax.augment.color import draw_tint, recolor
from restyle_jax.augment.config import BLIT, COLOR, GEOMETRIC, Augmentation
from restyle_jax.augment.filters import FILTER_REACH, amplify_bands, cut_out, draw_cut, draw_gains, draw_noise
from restyle_jax.augment.geometry import MIN_SIDE, draw_warp, inverse_matrices, resample


def augment(images: jax.Array, key: jax.Array, p: jax.Array | float, augmentation: Augmentation) -> jax.Array:
    """Each picture through a random choice of operations, each with probability multiplier * p, independently.

    images: f32[B, H, W, 3 or 1] in [-1, 1] -> the same shape, not clipped. p may be traced; `augmentation` is static, and
    without geometric operations nothing is resampled. All pictures of a global batch share one key. p = 0 is the identity
    within 1e-5. Differentiable to any order with respect to the pictures, in reverse mode.
    Raises ValueError for other shapes, and for sides too small for the filters: at least 6 for geometry, 22 for `imgfilter`.
    """
    _check(images, augmentation)
    batch, height, width, _ = images.shape
    geometry, color, bands, noise, cut = jax.random.split(key, 5)
    p = jnp.asarray(p)
    if augmentation.uses(BLIT + GEOMETRIC):
        warp = draw_warp(geometry, batch, p, augmentation)
        images = resample(images, inverse_matrices(warp, height, width))
    if augmentation.uses(COLOR):
        images = recolor(images, draw_tint(color, batch, p, augmentation))
    if augmentation.imgfilter:
        images = amplify_bands(images, draw_gains(bands, batch, p, augmentation))
    if augmentation.noise:
        images += draw_noise(noise, images.shape, p, augmentation)
    if augmentation.cutout:
        images = cut_out(images, *draw_cut(cut, batch, p, augmentation))
    return images


def _check(images: jax.Array, augmentation: Augmentation) -> None:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"augment takes floating-point pictures of shape [B, H, W, 3] or [B, H, W, 1] in [-1, 1], not {images.dtype}"
            f"{list(images.shape)}; restyle_jax.ops.images converts bytes"
        )
    needed = max(
        MIN_SIDE if augmentation.uses(BLIT + GEOMETRIC) else 0, FILTER_REACH + 1 if augmentation.imgfilter else 0
    )
    if min(images.shape[1:3]) < needed:
        raise ValueError(
            f"pictures of {images.shape[1]} x {images.shape[2]} pixels are too small for {augmentation}: its filters need "
            f"sides of at least {needed} pixels; choose a preset with fewer operations"
        )
