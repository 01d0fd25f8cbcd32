"""Pictures of every mode become what the official transform would have made of an 8-bit RGB photo."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_pipelines.transforms import to_model_input, to_rgb, upright

GOLDEN = Path(__file__).parents[1] / "golden" / "transforms" / "official.npz"
RGB = np.random.RandomState(0).randint(0, 256, (9, 7, 3)).astype(np.uint8)
GREY = RGB[:, :, 0]


@pytest.mark.parametrize(("name", "size"), [("transform_256", (256, 256)), ("transform_cars", (192, 256))])
def test_equals_the_official_transform(name: str, size: tuple[int, int]) -> None:
    pixels = np.random.RandomState(zlib.crc32(b"input/ops/u8")).randint(0, 256, (300, 420, 3)).astype(np.uint8)
    found = to_model_input(Image.fromarray(pixels), *size)
    assert found.dtype == np.float32 and found.shape == (*size, 3)
    with np.load(GOLDEN) as golden:
        np.testing.assert_array_equal(np.moveaxis(found, -1, 0)[:, ::8, ::8], golden[name])


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_any_size_of_one_colour_stays_that_colour(h: int, w: int, height: int, width: int, value: int) -> None:
    found = to_model_input(Image.new("RGB", (w, h), (value, 0, 255)), height, width)
    assert found.shape == (height, width, 3)
    np.testing.assert_allclose(found, np.broadcast_to([value / 127.5 - 1, -1, 1], found.shape), atol=1e-6)


def as_file(image: Image.Image, kind: str, **options) -> Image.Image:
    """The picture as a program finds it on disk: the mode is the one that the file format gives it."""
    file = BytesIO()
    image.save(file, kind, **options)
    return Image.open(file)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8_bits(kind: str) -> None:
    image = as_file(Image.fromarray(GREY.astype(np.uint16) * 257), kind)
    assert image.mode.startswith("I")
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), np.repeat(GREY[..., None], 3, axis=2))


def test_16_bit_grey_in_a_32_bit_mode() -> None:
    image = Image.fromarray(GREY.astype(np.int32) * 257)
    assert image.mode == "I"
    np.testing.assert_array_equal(np.asarray(to_rgb(image))[..., 1], GREY)


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_grey(white: float) -> None:
    image = as_file(Image.fromarray((GREY / 255 * white).astype(np.float32)), "TIFF")
    assert image.mode == "F"
    np.testing.assert_array_equal(np.asarray(to_rgb(image))[..., 2], GREY)


@pytest.mark.parametrize(
    "values", [[[0, 70000]], [[-5, 9]], [[0.0, 256.0]], [[-0.1, 0.5]], [[0.0, np.nan]], [[0.0, np.inf]]]
)
def test_greys_of_unknown_range_are_refused(values: list[list[float]]) -> None:
    kind = np.int32 if isinstance(values[0][0], int) else np.float32
    with pytest.raises(ValueError, match="the value of white is unknown"):
        to_rgb(Image.fromarray(np.array(values, kind)))


def test_transparency_lies_on_white() -> None:
    alpha = np.zeros((9, 7), np.uint8)
    alpha[:, 3:] = 255
    found = np.asarray(to_rgb(as_file(Image.fromarray(np.dstack([RGB, alpha])), "PNG")))
    np.testing.assert_array_equal(found[:, :3], 255)
    np.testing.assert_array_equal(found[:, 3:], RGB[:, 3:])

    grey = np.asarray(to_rgb(as_file(Image.fromarray(np.dstack([GREY, alpha])), "PNG")))
    np.testing.assert_array_equal(grey[:, :3], 255)
    np.testing.assert_array_equal(grey[:, 3:, 0], GREY[:, 3:])


def test_palette_with_and_without_a_transparent_entry() -> None:
    indices = (np.arange(63).reshape(9, 7) % 3).astype(np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([200, 10, 20, 30, 180, 40, 50, 60, 160])
    colours = np.array([[200, 10, 20], [30, 180, 40], [50, 60, 160]], np.uint8)
    np.testing.assert_array_equal(np.asarray(to_rgb(as_file(image, "PNG"))), colours[indices])
    colours[1] = 255
    found = np.asarray(to_rgb(as_file(image, "PNG", transparency=1)))
    np.testing.assert_array_equal(found, colours[indices])


def test_grey_bilevel_and_cmyk() -> None:
    np.testing.assert_array_equal(np.asarray(to_rgb(as_file(Image.fromarray(GREY), "PNG")))[..., 2], GREY)
    bilevel = to_rgb(as_file(Image.fromarray(GREY > 99), "PNG"))
    np.testing.assert_array_equal(np.asarray(bilevel)[..., 0], (GREY > 99) * np.uint8(255))
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for kind in ("TIFF", "JPEG"):  # Adobe's inverted CMYK is what JPEG holds
        found = np.asarray(to_rgb(as_file(ink, kind))).astype(int)
        assert np.abs(found - [255, 0, 0]).max() < 6, kind


def test_all_eight_orientations_give_the_upright_picture() -> None:
    # What a camera stores, written with numpy: the transformation that the orientation value tells a viewer to undo.
    stored = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: RGB.swapaxes(0, 1)[::-1],
        7: RGB.swapaxes(0, 1)[::-1, ::-1],
        8: RGB.swapaxes(0, 1)[:, ::-1],
    }
    for orientation, pixels in stored.items():
        image = Image.fromarray(np.ascontiguousarray(pixels))
        exif = image.getexif()
        exif[0x0112] = orientation
        np.testing.assert_array_equal(np.asarray(upright(as_file(image, "PNG", exif=exif))), RGB, str(orientation))


def exif_with(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of one directory with these entries (tag, type, count, value or where it lies)."""
    listed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4)


TURNED = (0x112, 3, 1, struct.pack("<I", 6))


@pytest.mark.parametrize(
    ("exif", "turned"),
    [
        (exif_with(TURNED, (0x8769, 2, 4, b"abc\0")), True),
        (exif_with((0x111, 2, 4, b"abc\0"), TURNED), True),
        (exif_with(TURNED, (0x100, 2, 4, b"abc\0")), True),
        (exif_with((0x112, 3, 1, struct.pack("<I", 9))), False),
        (exif_with((0x112, 2, 4, b"abc\0")), False),
        (b"Exif\0\0junk", False),
        (b"Exif\0\0II*\0", False),
    ],
)
@pytest.mark.filterwarnings("ignore")  # about odd tags
def test_odd_tags_and_orientations_hinder_no_picture(exif: bytes, turned: bool) -> None:
    stored = RGB.swapaxes(0, 1)[::-1] if turned else RGB
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        image = as_file(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
        np.testing.assert_array_equal(np.asarray(to_rgb(upright(image))), RGB)
