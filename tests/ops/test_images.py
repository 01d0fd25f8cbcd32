"""Pictures between bytes and floats, as the official transforms make them."""

import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from restyle_jax.ops import images
from tests import networks


def picture(height: int = 300, width: int = 420) -> np.ndarray:
    generator = np.random.RandomState(zlib.crc32(b"input/ops/u8") & 0xFFFFFFFF)
    return generator.randint(0, 256, (height, width, 3)).astype(np.uint8)


def test_resize_equals_the_official_transform_bit_for_bit():
    reference = networks.arrays("ops/primitives")
    x = images.to_float(picture())[None]
    for name, height, width in (("transform_256", 256, 256), ("transform_cars", 192, 256)):
        found = networks.nchw(images.resize(x, height, width)[0])[..., ::8, ::8]
        np.testing.assert_array_equal(found, reference[name].reshape(found.shape))


def test_every_byte_survives_the_round_trip():
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_bytes(images.to_float(pixels)), pixels)


@settings(deadline=None, max_examples=50)
@given(st.floats(-3, 3, width=32))
def test_to_bytes_clips_and_rounds_to_nearest(value: float):
    byte = int(images.to_bytes(np.array([value]))[0])
    assert abs(byte - min(max((value + 1) * 127.5, 0), 255)) <= 0.5 + 1e-4
