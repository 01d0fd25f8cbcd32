"""`restyle demo` on tiny models: what the page says is what the model does; and what is refused."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import restyle_jax as rs
from restyle_jax import model as models
from restyle_jax.checkpoints import save_classifier, save_editor
from restyle_jax.checkpoints.auxiliary import save_perceptual
from restyle_jax.cli import main
from restyle_jax.demo.demo import DemoOptions, make_demo
from restyle_jax.demo.studio import ITERATIONS, LEARNING_RATE, Stopwatch, Studio
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.files import write_directions
from restyle_jax.jobs.edit_options import Towards
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.model import Model
from restyle_jax.nets import drawing, stylegan
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig, PerceptualNetwork
from restyle_jax.ops.images import to_bytes, to_float
from restyle_jax.optimise import optimise
from tests import networks, tiny
from tests.demo.pages import Page

INVERTED = ["steps", "change", "error"]
OTHERS = ["truncation", "mixing", "edits", "morph", "about"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of the encoder's size, so that nothing is resized, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a & b.png", "<i>.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"none")
    return folder


@pytest.fixture
def direction(tmp_path: Path) -> Path:
    smile = Direction("smile", np.random.default_rng(0).standard_normal(tiny.STYLE_DIM), "W")
    write_directions([smile], tmp_path / "smile.npz")
    return tmp_path / "smile.npz"


def test_the_page_shows_what_the_model_does(tmp_path: Path, photos: Path, direction: Path):
    output, checkpoint = tmp_path / "out", tiny.checkpoint()
    arguments = ["--checkpoint", checkpoint, "--input", photos, "--output", output, "--steps", 3]
    done = subprocess.run(
        [sys.executable, "-m", "restyle_jax", "demo", *map(str, arguments), "--direction", str(direction)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output / "index.html")
    assert "Skipped" in done.stderr and "broken.png" in done.stderr and "Making the demo: 100%" in done.stderr
    assert sorted(path.name for path in output.iterdir()) == [".restyle", "index.html"]
    assert not list((output / ".restyle" / "unfinished").iterdir())
    page = Page((output / "index.html").read_text(encoding="utf-8"))
    assert page.parts == [*INVERTED, *OTHERS]

    # Inversions: pictures, and the errors below them.
    model = rs.load(checkpoint)
    inputs = [np.asarray(Image.open(path)) for path in (photos / "<i>.png", photos / "a & b.png")]
    x = to_float(np.stack(inputs))
    inversion = rs.invert(model, x, 3, resize_outputs=True)
    shown = np.stack(page.pictures("steps")).reshape(2, 5, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_array_equal(shown[:, 0], inputs)
    for row in range(2):
        assert np.abs(shown[row, 2:].astype(int) - to_bytes(np.asarray(inversion.images[:, row]))).max() <= 1
    assert "<i>.png" in page.text["steps"] and "a & b.png" in page.text["steps"]
    l2 = np.square(np.asarray(inversion.images) - x).mean(axis=(2, 3, 4)).T
    found = np.array(re.findall(r"L2 (\d+\.\d+)", page.text["steps"]), float).reshape(2, 4)
    np.testing.assert_allclose(found[:, 1:], l2, atol=2e-4)
    assert len(page.pictures("change")) == 6

    # Truncation ends at the average, mixing has its sources at the edges, edits show their strengths, what is nearest first.
    resolution = 16
    truncated = np.stack(page.pictures("truncation")).reshape(4, 5, resolution, resolution, 3)
    average = to_bytes(models.synthesise(model, np.asarray(model.w_avg)[None]))[0]
    assert np.abs(truncated[:, 0].astype(int) - average).max() <= 1 and (truncated[0, 4] != truncated[1, 4]).any()
    assert len(page.pictures("mixing")) == 4 + 3 * 5
    edited = np.stack(page.pictures("edits")).reshape(2, 5, resolution, resolution, 3)
    smile = Direction("smile", np.random.default_rng(0).standard_normal(tiny.STYLE_DIM), "W")
    order = np.argsort(l2[:, -1])
    codes = np.asarray(apply(smile, inversion.latents[-1][order], np.array([-3.0, 0.0], np.float32)))
    expected = to_bytes(models.synthesise(model, codes.reshape(-1, *codes.shape[2:]))).reshape(2, 2, *edited.shape[2:])
    assert np.abs(edited[:, [0, 2]].swapaxes(0, 1).astype(int) - expected).max() <= 2
    assert "smile: <i>.png" in page.text["edits"] and "-1.5" in page.text["edits"]
    (_, morph, _), *_ = page.images["morph"]
    assert 20 <= getattr(morph, "n_frames", 1) <= 30
    for words in ("compiling", "everything", str(checkpoint), str(direction), "jaxlib", "16 px, 6 styles"):
        assert words in page.text["about"]


@pytest.fixture
def networks_on_codes(tmp_path: Path) -> dict[str, Any]:
    """The options for a classifier and a network for edits by reference that know nothing."""
    sizes = LatentClassifierConfig(6, tiny.STYLE_DIM, ("smile", "hat"), widths=(64,), embedding=16)
    save_classifier(networks.random(LatentClassifier, sizes), {}, tmp_path / "classifier")
    mover = EditTransformerConfig(6, "hair_colour", tiny.STYLE_DIM, hidden=16)
    save_editor(networks.random(EditTransformer, mover), {}, tmp_path / "editor")
    return {"labels": [Towards("hat", 1, tmp_path / "classifier")], "editor": tmp_path / "editor"}


def test_avatars_and_components_where_nothing_is_given(tmp_path: Path, networks_on_codes: dict[str, Any]):
    """And one program each inverts and draws everything; the parts of networks that are given are there."""
    options = DemoOptions(tiny.checkpoint(cars=True), steps=2, batch_size=3, **networks_on_codes)
    compiled = models._refine._cache_size(), drawing.of_styles._cache_size()
    page = Page(make_demo(tmp_path / "out", options).read_text())
    assert (models._refine._cache_size(), drawing.of_styles._cache_size()) == (compiled[0] + 1, compiled[1] + 1)
    assert page.parts == [*INVERTED, "truncation", "mixing", "edits", "labels", "references", "morph", "about"]
    assert {picture.shape for picture in page.pictures("steps")} == {(24, 32, 3)} and len(
        page.pictures("steps")
    ) == 8 * 4
    assert {picture.shape for picture in page.pictures("edits")} == {(12, 16, 3)}  # without the bars
    assert len(page.pictures("edits")) == 3 * 2 * 5 and "principal component 3" in page.text["edits"]
    assert "drawn avatars" in page.text["about"]

    labels = np.stack(page.pictures("labels")).reshape(2, 5, 12, 16, 3)
    errors = np.array(re.findall(r"L2 (\d+\.\d+)", page.text["steps"]), float).reshape(8, 3)[:, -1]
    best = [f"towards hat: avatar {i + 1}" for i in np.argsort(errors)[:2]]
    assert re.findall(r"towards hat: avatar \d", page.text["labels"]) == best
    assert (labels[:, 0] != labels[:, 4]).any()
    every = np.stack(page.pictures("edits")).reshape(3, 2, 5, 12, 16, 3)
    np.testing.assert_array_equal(labels[:, 2], every[0, :, 2])  # the pictures as they are
    assert page.text["references"].count("\nhair colour of") == 3
    own, *others = np.split(np.stack(page.pictures("references"))[3:].reshape(4, 4, 12, 16, 3), 4, 1)
    np.testing.assert_array_equal(own[:2, 0], every[0, :, 2])
    assert all((made != own).any(axis=(1, 2, 3, 4)).all() for made in others)


def test_edits_begin_where_optimisation_ends(tmp_path: Path, photos: Path, direction: Path):
    distance = networks.random(PerceptualNetwork, PerceptualConfig(tiny.SIZE, (8, 16)))
    save_perceptual(distance, {}, tmp_path / "perceptual")
    options = DemoOptions(
        tiny.checkpoint(), [photos], steps=2, directions=[direction], perceptual=tmp_path / "perceptual"
    )
    page = Page(make_demo(tmp_path / "out", options).read_text())
    assert page.parts == [*INVERTED, "optimisation", *OTHERS] and str(tmp_path / "perceptual") in page.text["about"]

    model = rs.load(tiny.checkpoint())
    x = to_float(np.stack([np.asarray(Image.open(photos / name)) for name in ("<i>.png", "a & b.png")]))
    inversion = rs.invert(model, x, 2, resize_outputs=True)
    start = inversion.latents[-1]
    done = optimise(model, x, [ITERATIONS], start=start, distance=distance, learning_rate=LEARNING_RATE)
    l2 = np.square(done.images[0] - x).mean(axis=(1, 2, 3))
    steps = np.stack(page.pictures("steps")).reshape(2, 4, tiny.SIZE, tiny.SIZE, 3)
    shown = np.stack(page.pictures("optimisation")).reshape(2, 3, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_array_equal(shown[:, :2], steps[:, [0, -1]])
    assert np.abs(shown[:, 2].astype(int) - to_bytes(done.images[0])).max() <= 1
    found = np.array(re.findall(r"L2 (\d+\.\d+)", page.text["optimisation"]), float).reshape(2, 2)
    np.testing.assert_allclose(found[:, 1], l2, atol=2e-4)
    assert f"is {l2.mean():.4f} instead of {found[:, 0].mean():.4f}" in page.text["optimisation"]
    edited = np.stack(page.pictures("edits")).reshape(2, 5, 16, 16, 3)
    order = np.argsort(np.square(np.asarray(inversion.images[-1]) - x).mean(axis=(1, 2, 3)))
    unchanged = to_bytes(models.synthesise(model, done.latents[0, order]))
    assert np.abs(edited[:, 2].astype(int) - unchanged).max() <= 1


def test_a_single_pass_encoder_and_a_single_photo(tmp_path: Path, photos: Path):
    options = DemoOptions(tiny.checkpoint(in_channels=3), [photos / "<i>.png"])
    page = Page(make_demo(tmp_path / "out", options).read_text())
    assert len(page.pictures("steps")) == 3 and "single step" in page.text["steps"]
    assert len(page.pictures("change")) == 2 and len(page.pictures("edits")) == 3 * 5
    assert "from the average picture to <i>.png" in page.text["morph"]


@pytest.mark.parametrize(("sketches", "words"), [(False, "has no encoder"), (True, "expected one for photos")])
def test_a_generator_alone(
    sketches: bool, words: str, tmp_path: Path, photos: Path, direction: Path, capsys: pytest.CaptureFixture[str]
):
    alone = tiny.checkpoint(in_channels=1) if sketches else tiny.checkpoint(encoder=False)
    output = tmp_path / "out"
    arguments = ["demo", "--checkpoint", str(alone), "--output", str(output), "--no-compilation-cache"]
    assert main([*arguments, "--input", str(photos)]) == 1
    assert words in capsys.readouterr().err and not output.exists()
    for _ in range(2):  # the second page replaces the first
        assert main([*arguments, "--direction", str(direction)]) == 0
        page = Page((output / "index.html").read_text())
        assert page.parts == OTHERS and "no encoder" in page.text[""]
        (output / "index.html").write_text("old")
    assert "seed 0" in page.text["morph"] and len(page.pictures("edits")) == 10
    assert main([*arguments, "--input", str(photos)]) == 1 and (output / "index.html").read_text() == "old"


def test_styles_with_codes_of_their_own(tmp_path: Path):
    """The components of such codes are directions of W+."""
    sizes = stylegan.GeneratorConfig(
        8, (8, 8), z_dim=8, w_dim=8, mapping_layers=2, mapping_width=16, distinct_styles=True
    )
    generator = networks.random(stylegan.Generator, sizes)
    rs.save(Model(generator, np.zeros((4, 8), np.float32)), tmp_path / "model")  # pyright: ignore[reportArgumentType]
    page = Page(make_demo(tmp_path / "out", DemoOptions(tmp_path / "model")).read_text())
    edited = np.stack(page.pictures("edits")).reshape(3, 2, 5, 8, 8, 3)
    assert (edited[:, :, 0] != edited[:, :, 4]).any(axis=(2, 3, 4)).all()


def test_what_is_refused(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]):
    start = [
        "demo",
        "--checkpoint",
        str(tiny.checkpoint()),
        "--no-compilation-cache",
        "--output",
        str(tmp_path / "out"),
    ]

    def refused(*arguments: str) -> str:
        assert main([*start, *arguments]) == 1
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "nowhere: there is no such file or folder" in refused("--input", str(tmp_path / "nowhere"))
    assert "none of the 1 photos can be read" in refused("--input", str(photos / "broken.png"))
    write_directions([Direction("wide", np.ones(7), "W")], tmp_path / "wide.npz")
    assert "wide.npz" in refused("--input", str(photos), "--direction", str(tmp_path / "wide.npz"))
    with pytest.raises(SystemExit):
        main([*start, "--steps", "0"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    assert main(start) == 1 and "did not make" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_large_pictures_become_smaller():
    model = rs.load(tiny.checkpoint(resolution=512, encoder=False))
    with CompileClock() as clock, tqdm(disable=True) as bar:
        studio = Studio(model, 2, bar, Stopwatch(clock))
        made = studio.pictures(np.zeros((3, 1)), lambda codes: np.ones((len(codes), 512, 512, 3), np.float32))
    assert len(made) == 3 and {picture.shape for picture in made} == {(256, 256, 3)} and min(map(np.min, made)) == 255
    assert studio.watch.times.keys() == {"making pictures of codes"}
