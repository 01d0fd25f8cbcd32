"""Pictures between bytes and the library's float32 in [-1, 1]."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8[...] -> f32[...] in [-1, 1], in the order of operations of torchvision's ToTensor and Normalize(0.5, 0.5)."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """f32[...] -> uint8[...], clipped and rounded to the nearest. (The official `tensor2im` truncates instead.)"""
    return np.clip(np.rint((np.asarray(image, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def as_signed(images: jax.Array | np.ndarray) -> np.ndarray:
    """Floating point pictures in [-1, 1] as f32[...]. Raises ValueError on whole numbers, and on what is beyond that range."""
    found = np.asarray(images)
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(f"images are {found.dtype}, expected floating point numbers in [-1, 1]: bytes / 127.5 - 1")
    if not (np.abs(found) <= 1 + 1e-3).all():
        raise ValueError(f"images range from {found.min()} to {found.max()}, expected [-1, 1]: bytes / 127.5 - 1")
    return found.astype(np.float32)


def resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize f32[B, h, w, 3] in [-1, 1] as the official transform does: PIL's antialiased bilinear filter on 8-bit pixels."""
    pictures = (Image.fromarray(pixels) for pixels in to_bytes(images))
    return to_float(np.stack([np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in pictures]))
