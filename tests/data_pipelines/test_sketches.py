"""The pencil filter against its formula, pixel by pixel, and against OpenCV's numbers."""

import numpy as np
import pytest
from PIL import Image

from data_pipelines.sketches import pencil

# OpenCV 5.0.0: GaussianBlur(3 x 3, sigma 0), Sobel (CV_8U, 3 x 3), bitwise_or, addWeighted(0.75, 0.75) of `GREY`.
GREY = np.random.RandomState(0).randint(0, 60, (5, 7)).astype(np.uint8)
OPENCV: list[list[int]] = [
    [255, 239, 234, 241, 223, 251, 255],
    [219, 220, 245, 235, 232, 244, 240],
    [245, 247, 244, 233, 240, 238, 253],
    [252, 243, 241, 235, 243, 246, 241],
    [255, 246, 243, 241, 245, 251, 255],
]


def by_formula(grey: np.ndarray) -> np.ndarray:
    height, width = grey.shape

    def at(picture: np.ndarray, y: int, x: int) -> int:
        """Beyond a border, as far inside it."""
        y, x = (abs(place) if place < size else 2 * size - 2 - place for place, size in ((y, height), (x, width)))
        return int(picture[y, x])

    blurred, found = np.zeros_like(grey), np.zeros_like(grey)
    places = [(y, x) for y in range(height) for x in range(width)]
    weights = {(i, j): (2 - abs(i)) * (2 - abs(j)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    for y, x in places:
        blurred[y, x] = (sum(weight * at(grey, y + i, x + j) for (i, j), weight in weights.items()) + 8) // 16
    for y, x in places:
        edges = []
        for picture in (blurred, 255 - blurred):
            sums = [0, 0]
            for i, j in weights:
                value = at(picture, y + i, x + j)
                sums[0] += i * (2 - abs(j)) * value
                sums[1] += j * (2 - abs(i)) * value
            down, right = (min(max(total, 0), 255) for total in sums)
            edges.append(down | right)
        found[y, x] = 255 - min(round(0.75 * edges[0] + 0.75 * edges[1]), 255)
    return found


def test_equals_the_numbers_of_opencv():
    np.testing.assert_array_equal(np.asarray(pencil(Image.fromarray(GREY))), OPENCV)


@pytest.mark.parametrize(("height", "width", "white"), [(9, 12, 256), (12, 9, 30), (2, 2, 256)])
def test_equals_the_formula(height: int, width: int, white: int):
    grey = np.random.RandomState(1).randint(0, white, (height, width)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(pencil(Image.fromarray(grey))), by_formula(grey))


def test_colours_become_grey_and_flat_parts_white():
    """A step of 100 grey levels is a dark line of two pixels; a picture of one colour is white paper."""
    step = np.zeros((6, 8, 3), np.uint8)
    step[:, 4:] = 100
    found = pencil(Image.fromarray(step))
    assert found.mode == "L" and found.size == (8, 6)
    expected = [255, 255, 180, 64, 64, 180, 255, 255]  # blurred: 0 0 0 25 75 100 100 100; 64 is the darkest
    np.testing.assert_array_equal(np.asarray(found), [expected] * 6)
    red = Image.new("RGB", (5, 4), (255, 0, 0))
    np.testing.assert_array_equal(np.asarray(pencil(red)), np.full((4, 5), 255))
    np.testing.assert_array_equal(pencil(Image.new("L", (1, 1), 7)), [[255]])
