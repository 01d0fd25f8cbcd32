"""`restyle demo --serve` as people use it: a process, and a browser that opens its page."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from restyle_jax.edit.direction import Direction
from restyle_jax.edit.files import write_directions
from tests import tiny
from tests.browser import chromium

PATIENCE = 300_000  # milliseconds: machines that test may be busy
# Programs that a shell starts in the background ignore Ctrl-C, and so do theirs, unless they say otherwise.
RESTYLE = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("restyle_jax", run_name="__main__", alter_sys=True)
"""
MODELS = {"steps": tiny.checkpoint(), "single": tiny.checkpoint(in_channels=3)}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a page with two models and two directions; at the end Ctrl-C, after which nothing is left over."""
    files = [tmp_path / "smile.npz", tmp_path / "age.npz"]
    for seed, file in enumerate(files):
        vector = np.random.default_rng(seed).standard_normal(tiny.STYLE_DIM)
        write_directions([Direction(file.stem, vector, "W")], file)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = ["demo", "--checkpoint", *MODELS.values(), "--direction", *files, "--serve", "--no-compilation-cache"]
    environment = {**os.environ, "TMPDIR": str(temporary), "MPLCONFIGDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with (
        open(tmp_path / "errors", "w+") as errors,
        subprocess.Popen(
            [sys.executable, "-c", RESTYLE, *map(str, command)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout
            found = process.stdout.readline().strip()
            assert found.startswith("http://127.0.0.1:"), (tmp_path / "errors").read_text()
            yield found
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE / 1000) == 0
        finally:
            process.kill()
    assert "Traceback" not in (tmp_path / "errors").read_text()
    assert not list(temporary.glob("restyle_demo_*"))


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """The opened page. It asks no other machine for anything, and nothing goes wrong in it."""
    asked, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.installed())
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        yield page
        browser.close()
    assert asked and [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert complaints == []


def upload(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.click("#upload")
    chooser.value.set_files(file)


def shown(page: Page, where: str) -> np.ndarray:
    """u8[h, w, 3]: the picture there, once the browser has drawn it."""
    picture = page.locator(f"{where} img")
    expect(picture).to_have_js_property("complete", True)
    width, height = (picture.evaluate(f"image => image.natural{side}") for side in ("Width", "Height"))
    pixels = np.asarray(Image.open(io.BytesIO(page.request.get(picture.get_attribute("src") or "").body())))
    assert pixels.shape == (height, width, 3) and min(width, height) > 0
    return pixels


def slide(page: Page, where: str, value: float) -> None:
    page.locator(f"{where} input[type=range]").fill(f"{value:g}")


def test_a_picture_is_uploaded_inverted_and_edited(page: Page, tmp_path: Path):
    expect(page.locator("#examples img")).to_have_count(8)
    example = shown(page, "#photo")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    before = page.locator("#photo img").get_attribute("src") or ""
    upload(page, tmp_path / "mine.png")
    expect(page.locator("#photo img")).not_to_have_attribute("src", before)
    np.testing.assert_array_equal(shown(page, "#photo"), pixels)

    # Three steps are three pictures, and the last is the reconstruction.
    expect(page.locator("#steps input[type=number]")).to_have_value("5")
    slide(page, "#steps", 3)
    page.click("#invert")
    expect(page.locator("#gallery .caption-label")).to_have_count(3)
    assert "step 3: L2 0." in page.locator("#gallery .caption-label").last.inner_text()
    rebuilt = shown(page, "#rebuilt")
    assert rebuilt.shape == (16, 16, 3)
    np.testing.assert_array_equal(shown(page, "#edited"), rebuilt)

    # A slider changes the edited picture only, and its middle is the picture as it was.
    expect(page.get_by_text("smile")).to_be_visible()
    source = page.locator("#edited img").get_attribute("src") or ""
    slide(page, "#edit0", 3)
    expect(page.locator("#edited img")).not_to_have_attribute("src", source)
    assert (shown(page, "#edited") != rebuilt).any()
    np.testing.assert_array_equal(shown(page, "#rebuilt"), rebuilt)
    slide(page, "#edit0", 0)
    expect(page.locator("#edited img")).to_have_attribute("src", source)

    # What is no picture gets a message, and the picture stays.
    (tmp_path / "broken.png").write_bytes(b"none")
    upload(page, tmp_path / "broken.png")
    expect(page.get_by_text("not a picture, or of an unknown kind")).to_be_visible()
    np.testing.assert_array_equal(shown(page, "#photo"), pixels)

    # Another model makes a single step; what the first one made is gone.
    page.click("#model input")
    page.get_by_role("option", name=str(MODELS["single"])).click()
    expect(page.locator("#rebuilt img")).to_have_count(0)
    expect(page.locator("#steps input[type=range]")).to_be_disabled()
    page.locator("#examples button").first.click()
    expect(page.locator("#photo img")).to_have_attribute("src", before)
    np.testing.assert_array_equal(shown(page, "#photo"), example)
    page.click("#invert")
    expect(page.locator("#gallery .caption-label")).to_have_count(1)
    assert (shown(page, "#rebuilt") != rebuilt).any()
