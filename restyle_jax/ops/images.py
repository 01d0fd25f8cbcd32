"""Pictures between bytes and the library's float32 in [-1, 1]."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import repeat
from PIL import Image


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8[...] -> f32[...] in [-1, 1], in the order of operations of torchvision's ToTensor and Normalize(0.5, 0.5)."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """f32[...] -> uint8[...], clipped and rounded to the nearest. (The official `tensor2im` truncates instead.)"""
    return np.clip(np.rint((np.asarray(image, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def as_floats(images: jax.Array | np.ndarray, least: Literal[-1, 0] = -1) -> np.ndarray:
    """Floating point pictures in [least, 1] as f32[...]. Raises ValueError on whole numbers, and on what is beyond that range."""
    found = np.asarray(images)
    expected = f"[{least}, 1]: bytes / {'255' if least == 0 else '127.5 - 1'}"
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"images are {found.dtype}, expected floating point numbers in {expected}")
    if not ((found >= least - 1e-3) & (found <= 1 + 1e-3)).all():
        raise ValueError(f"images range from {found.min()} to {found.max()}, expected {expected}")
    return found.astype(np.float32)


def shown(source: jax.Array | np.ndarray) -> Any:
    """What an encoder looks at, as pictures f32[..., H, W, 3] in [-1, 1], of JAX if it is: photos as they are, sketches [..., 1] in
    grey, and label maps with one channel for each class, from black for the first to white for the last."""
    channels = source.shape[-1]
    if channels == 3:
        return source
    grey = source if channels == 1 else source.argmax(-1)[..., None] / (channels - 1)
    return repeat(2 * grey - 1, "... 1 -> ... c", c=3)


def resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize f32[B, h, w, 3] in [-1, 1] as the official transform does: PIL's antialiased bilinear filter on 8-bit pixels."""
    pictures = (Image.fromarray(pixels) for pixels in to_bytes(images))
    return to_float(np.stack([np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in pictures]))
