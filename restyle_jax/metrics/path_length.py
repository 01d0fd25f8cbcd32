"""Perceptual path length (StyleGAN, arXiv 1812.04948, section 4.1): how far pictures move per step between two codes.

Names as in the papers: in z or in w, over the full path or at its ends. stylegan2-ada-pytorch's `ppl2_wend` is w at the ends
of paths, pictures uncropped.
"""

from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce

Space = Literal["z", "w"]

EPSILON = 1e-4
PERCENTILES = (1, 99)
LARGEST = 256  # pixels of the pictures that are compared


def path_lengths(
    mapping: Callable[[jax.Array], jax.Array],
    synthesis: Callable[[jax.Array], jax.Array],
    distance: Callable[[jax.Array, jax.Array], jax.Array],
    z: jax.Array,
    t: jax.Array,
    space: Space,
) -> jax.Array:
    """distance(G(t), G(t + 1e-4)) / 1e-8 on paths between two codes each, f32[B].

    Paths are straight lines in w, and great circles in z. The same noise must enter both pictures of a path.

    Args:
      mapping: z f32[B, z_dim] -> w f32[B, ...].
      synthesis: w -> what `distance` compares, row by row: f32[B] of two batches, of second order in small differences.
      z: f32[2, B, z_dim], normal: both ends.
      t: f32[B], the places on the paths: uniform in [0, 1] for "full", 0 for "end".

    Raises ValueError for an unknown space.
    """
    if space not in get_args(Space):
        raise ValueError(f"paths lie in z or w, not in {space!r}")

    def code(t: jax.Array) -> jax.Array:
        if space == "z":
            return mapping(slerp(z[0], z[1], t[:, None]))
        first, second = mapping(z[0]), mapping(z[1])
        return first + (second - first) * t.reshape(-1, *[1] * (first.ndim - 1))

    return distance(synthesis(code(t)), synthesis(code(t + EPSILON))) / EPSILON**2


def slerp(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """The unit vector at the fraction t of the great circle from the direction of a to that of b; f32[..., n] each, t [..., 1]."""
    a, b = _unit(a), _unit(b)
    cosine = (a * b).sum(axis=-1, keepdims=True)
    angle = t * jnp.arccos(cosine)
    return _unit(a * jnp.cos(angle) + _unit(b - cosine * a) * jnp.sin(angle))


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def compared(images: jax.Array, *, crop: bool = False) -> jax.Array:
    """f32[B, R, R, 3] as LPIPS sees it: means over blocks until it has at most 256 px.

    crop: take the part that shows the face in FFHQ, rows 3R/8 ... 7R/8 - 1 and columns 2R/8 ... 6R/8 - 1, before. The factor
    of the blocks is then that of the cropped size, as in the TensorFlow StyleGANs; stylegan2-ada-pytorch takes that of the whole
    picture, so that its cropped path lengths do not compare.
    """
    if crop:
        eighth = images.shape[1] // 8
        images = images[:, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth]
    factor = max(images.shape[1] // LARGEST, 1)
    return reduce(images, "b (h i) (w j) c -> b h w c", "mean", i=factor, j=factor)


def perceptual_path_length(lengths: np.ndarray) -> float:
    """Mean of the lengths f32[N] between the 1st percentile and the 99th, these included.

    Raises ValueError if some are not finite.
    """
    if broken := np.count_nonzero(~np.isfinite(lengths)):
        raise ValueError(f"numbers that are not finite in {broken} of {len(lengths)} path lengths")
    low = np.percentile(lengths, PERCENTILES[0], method="lower")
    high = np.percentile(lengths, PERCENTILES[1], method="higher")
    return float(np.mean(lengths[(lengths >= low) & (lengths <= high)], dtype=np.float64))
