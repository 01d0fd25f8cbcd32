"""Pages, sheets and curves from arrays."""

import xml.etree.ElementTree

import numpy as np
import pytest

from restyle_jax.demo.curve import error_curve
from restyle_jax.demo.page import Section, animation, document, sheet, table
from restyle_jax.viz import GridRow, there_and_back
from tests.demo.pages import Page

random = np.random.default_rng(0)


def picture(height: int, width: int) -> np.ndarray:
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_text_is_text():
    rows = [GridRow('<script>"&', [picture(8, 8)], ["<i>"])]
    section = Section("one", "<One> & two", ["a < b"], sheet(["<b>"], rows) + table({"<p>": "</table>"}))
    page = Page(document("<title>", ["<header>"], [section, Section("two", "Two", [])]))
    assert page.parts == ["one", "two"]
    for words in ("<One> & two", "a < b", '<script>"&', "<i>", "<b>", "<p>", "</table>"):
        assert words in page.text["one"]
    assert page.images["one"][0][2]["alt"] == '<script>"&, <b>'
    assert "<title>" in page.text[""] and "<header>" in page.text[""]


def test_small_pictures_keep_every_pixel_and_large_ones_nearly():
    small, large = picture(20, 30), np.repeat(np.repeat(picture(8, 10), 20, axis=0), 20, axis=1)
    content = sheet(["a", "b", "c"], [GridRow("", [small, None, large], ["", "", "note"])])
    page = Page(document("", [], [Section("s", "", [], content)]))
    kinds = [kind for kind, _, _ in page.images["s"]]
    found = page.pictures("s")
    assert kinds == ["data:image/png", "data:image/jpeg"]
    np.testing.assert_array_equal(found[0], small)
    assert np.abs(found[1].astype(int) - large).mean() < 6
    assert content.count("<div></div>") == 1 and content.count("<figcaption>") == 1


def test_a_row_has_a_picture_for_every_column():
    with pytest.raises(ValueError):
        sheet(["a", "b"], [GridRow("", [picture(8, 8)])])


def test_an_animation_is_embedded():
    gif = there_and_back([picture(12, 10) for _ in range(3)], 50)
    page = Page(document("", [], [Section("s", "", [], animation(gif, 12, 10, "moving"))]))
    (_, image, attributes), *_ = page.images["s"]
    assert getattr(image, "n_frames", 1) == 4 and attributes["alt"] == "moving"


@pytest.mark.parametrize("scale", [1e-5, 0.03, 1.0, 7.3])
@pytest.mark.parametrize("steps", [1, 5, 23])
def test_a_curve_shows_every_number(scale: float, steps: int):
    errors = scale * random.uniform(0, 1, (3, steps + 1))
    root = xml.etree.ElementTree.fromstring(error_curve(errors))
    lines = [
        np.array([point.split(",") for point in line.attrib["points"].split()], float) for line in root.iter("polyline")
    ]
    assert [line.attrib["class"] for line in root.iter("polyline")] == ["each"] * 3 + ["mean"]
    levels = [text for text in root.iter("text") if text.attrib.get("dominant-baseline")]
    values, heights = (np.array([float(t.text or 0) for t in levels]), np.array([float(t.attrib["y"]) for t in levels]))
    assert values[0] == 0 and values[-1] >= errors.max() * 0.999 and 2 <= len(values) <= 7
    # Read the errors off the axis.
    slope = (values[-1] - values[0]) / (heights[-1] - heights[0])
    for line, error in zip(lines, [*errors, errors.mean(0)], strict=True):
        np.testing.assert_allclose((line[:, 1] - heights[0]) * slope, error, atol=0.005 * values[-1])
        assert (np.diff(line[:, 0]) > 0).all()
    words = {text.text for text in root.iter("text")}
    assert words >= {"step", "L2 to the input", "average"} and (str(steps) in words or steps > 10)


def test_a_curve_of_zeros():
    root = xml.etree.ElementTree.fromstring(error_curve(np.zeros((1, 3))))
    assert len(list(root.iter("circle"))) == 3
