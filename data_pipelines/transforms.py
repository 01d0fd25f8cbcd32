"""From a decoded picture to what an encoder reads, as the official ReStyle transform does (`configs/transforms_config.py`)."""

import numpy as np
from PIL import ExifTags, Image

WHITE = (255, 255, 255, 255)
# What undoes each EXIF orientation but 1, which is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror the picture as its EXIF (or XMP) orientation says, so that it lies as a viewer shows it.

    The official code ignores the orientation and so inverts phone photos lying on their side. An orientation that cannot be read or
    does not exist means upright. No other tag is looked at: Pillow's `exif_transpose` writes all of them, and fails on odd ones.
    """
    image.load()
    try:
        method = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # of a dozen unrelated types, as from Pillow's decoders
        method = None
    return image.copy() if method is None else image.transpose(method)


def as_stored(image: Image.Image) -> Image.Image:
    """The picture in the mode of its file: label images must not pass through a conversion of colours."""
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode -> "RGB", 8 bits per channel.

    Transparent pixels are laid over white. 16-bit grey is scaled so that 65535 becomes 255 (Pillow's own conversion would
    clip it). Float grey counts as [0, 1], or as [0, 255] if it exceeds 1. CMYK is converted without a colour profile,
    and embedded ICC profiles are ignored, as in the official code.

    Raises:
      ValueError: for 32-bit or float greys outside those ranges, whose white is unknown, and for modes that Pillow cannot
        turn into RGB.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_grey_to_bytes(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), with_alpha).convert("RGB")
    return image.convert("RGB")


def _grey_to_bytes(grey: np.ndarray) -> np.ndarray:
    low, high = float(grey.min()), float(grey.max())
    is_float = np.issubdtype(grey.dtype, np.floating)
    white = (1.0 if high <= 1 else 255.0) if is_float else 65535.0
    if not (np.isfinite(low) and low >= 0 and high <= white):  # written so that NaN fails too
        raise ValueError(
            f"grey values from {low:g} to {high:g}, expected 0 to {white:g}: the value of white is unknown, "
            "save it with 8 or 16 bits per pixel"
        )
    return np.rint(grey.astype(np.float32) * np.float32(255.0 / white)).astype(np.uint8)


def to_model_input(image: Image.Image, height: int, width: int) -> np.ndarray:
    """An "RGB" picture of any size -> f32[height, width, 3] in [-1, 1].

    Pillow's antialiased bilinear filter to exactly (height, width), whatever the aspect ratio; then v/255, (v - 0.5) / 0.5,
    in this order of float32 operations, so that the result equals torchvision's to the last bit.
    """
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    unit = np.asarray(resized, np.float32) / np.float32(255)
    return (unit - np.float32(0.5)) / np.float32(0.5)
