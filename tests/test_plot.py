"""Diagrams: axes, and lines where the numbers are."""

import xml.etree.ElementTree
from typing import Any

import numpy as np
import pytest

from restyle_jax.plot import COLOURS, Line, as_file, from_zero, line_plot, logarithmic, whole_numbers

SPACE = "{http://www.w3.org/2000/svg}"


def places(points: str) -> np.ndarray:
    return np.array([point.split(",") for point in points.split()], float)


def test_lines_stand_where_their_numbers_are():
    points = [(0.001, 0.5), (0.01, 0.25), (1.0, 0.0)]
    lines = [Line(points, COLOURS[0], "a < b", marks=True), Line([(0.1, 0.1), (0.2, 0.4)], dashed=True, kind="other")]
    axes = logarithmic("seconds", [x for line in lines for x, _ in line.points]), from_zero("L2", 0.5)
    root = xml.etree.ElementTree.fromstring(as_file(line_plot("quality & time", *axes, lines)))
    first, second = root.iter(f"{SPACE}polyline")
    found = places(first.attrib["points"])
    below = [text.attrib for text in root.iter(f"{SPACE}text") if "dominant-baseline" not in text.attrib]
    ticks = [float(each["x"]) for each in below if each.get("y") == "306"]
    assert found[:, 0] == pytest.approx([ticks[0], ticks[3], ticks[9]])
    assert found[1, 0] - found[0, 0] == pytest.approx((found[2, 0] - found[0, 0]) / 3, abs=0.2)
    assert found[1, 1] == pytest.approx((found[0, 1] + found[2, 1]) / 2, abs=0.2)
    assert (first.attrib["stroke"], first.attrib["class"], "stroke-dasharray" in first.attrib) == (
        COLOURS[0],
        "line",
        False,
    )
    assert second.attrib["class"] == "other" and "stroke-dasharray" in second.attrib
    assert len(list(root.iter(f"{SPACE}circle"))) == 3
    words = {text.text for text in root.iter(f"{SPACE}text")}
    assert words >= {"seconds", "L2", "a < b"} and next(root.iter(f"{SPACE}title")).text == "quality & time"


@pytest.mark.parametrize(
    ("values", "low", "high"), [([0.03, 0.8], 0.02, 1), ([1e-4, 30.0], 1e-4, 100), ([5.0], 5, 10), ([0.9, 1.1], 0.5, 2)]
)
def test_a_logarithmic_axis_holds_its_values(values: list[float], low: float, high: float):
    axis = logarithmic("", values)
    assert (axis.low, axis.high) == pytest.approx((low, high)) and 2 <= len(axis.ticks) <= 10
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value in values)
    assert axis.place(axis.low) == 0 and axis.place(axis.high) == 1


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [-1.0], [float("nan")], [float("inf")]])
def test_only_positive_numbers_have_a_logarithm(values: Any):
    with pytest.raises(ValueError, match="positive numbers"):
        logarithmic("", values)


def test_an_axis_of_whole_numbers():
    assert [text for _, text in whole_numbers("", 10, 1).ticks] == [str(i) for i in range(1, 11)]
    assert [value for value, _ in whole_numbers("", 3, 3).ticks] == [3, 4] and whole_numbers("", 0).place(0) == 0
    assert [value for value, _ in whole_numbers("", 25).ticks] == list(range(0, 26, 3))
