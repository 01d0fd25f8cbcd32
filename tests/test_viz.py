"""Grids, heat maps and the change figure: sizes, places and colours of what is drawn."""

import io
from colorsys import rgb_to_hsv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageSequence

from restyle_jax.viz import (
    GAP,
    HEAT_COLOURS,
    MARGIN,
    GridRow,
    change_figure,
    heat_map,
    picture_grid,
    there_and_back,
)

CELL = 48


def square(colour: int, size: int = CELL) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def test_pictures_stand_in_rows_and_columns() -> None:
    rows = [GridRow("", [square(10), square(20)]), GridRow("", [square(30), None])]
    figure = picture_grid(["", ""], rows, CELL, CELL)
    assert figure.dtype == np.uint8
    assert figure.shape == (2 * (CELL + 2 * GAP) + 2 * MARGIN - GAP, 2 * CELL + GAP + 2 * MARGIN, 3)
    left, right = slice(MARGIN, MARGIN + CELL), slice(MARGIN + CELL + GAP, MARGIN + 2 * CELL + GAP)
    upper = slice(MARGIN, MARGIN + CELL)
    lower = slice(MARGIN + CELL + 2 * GAP, MARGIN + 2 * CELL + 2 * GAP)
    assert (figure[upper, left] == 10).all() and (figure[upper, right] == 20).all()
    assert (figure[lower, left] == 30).all()
    assert len(np.unique(figure[lower, right])) > 1 and (figure[lower, right] > 200).all(), "a missing picture is pale"


def test_other_sizes_are_fitted_and_captions_take_room() -> None:
    plain = picture_grid(["", ""], [GridRow("", [square(10)])], CELL, CELL)
    titled = picture_grid(["input", "step 1"], [GridRow("a.png", [square(10, 9)], ["L2 0.1"])], CELL, CELL)
    assert titled.shape[0] > plain.shape[0] and titled.shape[1] == plain.shape[1]
    assert (titled == 10).all(axis=-1).sum() == CELL * CELL
    assert (titled < 100).any(axis=-1).sum() > CELL * CELL, "text is drawn"


def test_long_captions_stay_inside() -> None:
    figure = picture_grid(
        ["a very long title"], [GridRow("folder/" * 40 + "name.png", [square(10)], ["x" * 99])], CELL, CELL
    )
    assert (figure[:, :MARGIN] == 255).all() and (figure[:, -MARGIN:] == 255).all()


def test_captions_of_letters_that_the_font_lacks() -> None:
    """They are escaped, and not all drawn as the same box; what is no letter does not break the line."""

    def caption(name: str) -> bytes:
        return picture_grid([""], [GridRow(name, [square(10, 200)])], 200, 200).tobytes()

    assert caption("ä\n.png") == caption("\\xe4\\n.png")
    assert len({caption(name) for name in ("ä", "ö", "文", "\udcff", "a")}) == 5


def test_too_many_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures for 1 columns"):
        picture_grid([""], [GridRow("a", [square(1), square(2)])], CELL, CELL)


@settings(deadline=None, max_examples=30)
@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 2, width=32)))
def test_heat_map_is_monotone_from_blue_to_red(values: np.ndarray) -> None:
    colours = heat_map(values, 2.0)
    assert colours.shape == (3, 4, 3) and colours.dtype == np.uint8
    hue = np.array([rgb_to_hsv(*rgb)[0] for rgb in colours.reshape(-1, 3) / 255])
    assert (np.diff(hue[np.argsort(values, axis=None)]) <= 1 / 255).all()


def test_heat_map_ends() -> None:
    least, most = HEAT_COLOURS[0].astype(int).tolist(), HEAT_COLOURS[-1].astype(int).tolist()
    assert heat_map(np.array([0.0, 1.0, 5.0]), 1.0).tolist() == [least, most, most]
    assert heat_map(np.zeros((2, 2)), 0.0).tolist() == [[least] * 2] * 2


def test_change_figure_scales_each_row_as_it_says() -> None:
    change = np.stack([np.full((CELL, CELL), 0.4), np.full((CELL, CELL), 0.1)]).astype(np.float32)
    figure = change_figure(change, ["step 1", "step 2"])
    red = (figure == HEAT_COLOURS[-1].astype(np.uint8)).all(axis=-1)
    first, second = figure.shape[1] // 4, 3 * figure.shape[1] // 4
    maps = slice(0, figure.shape[0] - CELL)
    assert red[maps, first].sum() >= 2 * CELL, "step 1 is red in both rows"
    assert CELL <= red[maps, second].sum() < 2 * CELL, "step 2 is red at its own scale only"


def test_change_figure_without_any_change() -> None:
    assert change_figure(np.zeros((1, CELL, CELL), np.float32), ["step 1"]).shape[1] == CELL + 2 * MARGIN


def test_an_animation_goes_there_and_back() -> None:
    """Forwards and backwards without showing the ends twice, for ever, in colours that are the same in every frame."""
    frames = [np.full((8, 12, 3), value, np.uint8) for value in (10, 90, 170, 250)]
    for frame in frames:
        frame[:4] = (200, 30, 60)
    with Image.open(io.BytesIO(there_and_back(frames, 40))) as gif:
        shown = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["duration"] == 40 and gif.info["loop"] == 0 and gif.size == (12, 8)
    assert len(shown) == 6
    assert all((frame[:4] == shown[0][:4]).all() for frame in shown)
    order = [int(frame[6, 6, 0]) for frame in shown]
    assert order[:4] == sorted(order[:4]) and order[4:] == [order[2], order[1]]


def test_an_animation_has_the_colours_of_each_frame() -> None:
    """Also those that the ends do not have: a gradient that goes through all hues."""
    across, down = np.meshgrid(np.arange(64), np.arange(64))
    shades = [
        Image.fromarray(
            np.stack([(across + 16 * i) % 256, across * 0 + 160, 90 + 2 * down], -1).astype(np.uint8), "HSV"
        )
        for i in range(12)
    ]
    frames = [np.asarray(shade.convert("RGB")) for shade in shades]
    with Image.open(io.BytesIO(there_and_back(frames, 40))) as gif:
        shown = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(gif)]
    for frame, seen in zip(frames, shown[: len(frames)], strict=True):
        assert np.square(seen - frame).mean() < 20
