"""Pictures between bytes and the library's float32 in [-1, 1]."""

import numpy as np
from PIL import Image


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8[...] -> f32[...] in [-1, 1], in the order of operations of torchvision's ToTensor and Normalize(0.5, 0.5)."""
    return (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """f32[...] -> uint8[...], clipped and rounded to the nearest. (The official `tensor2im` truncates instead.)"""
    return np.clip(np.rint((np.asarray(image, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize f32[B, h, w, 3] in [-1, 1] as the official transform does: PIL's antialiased bilinear filter on 8-bit pixels."""
    pictures = (Image.fromarray(pixels) for pixels in to_bytes(images))
    return to_float(np.stack([np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in pictures]))
