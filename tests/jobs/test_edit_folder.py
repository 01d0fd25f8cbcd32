"""The editing job on real folders with a tiny model: what it writes and measures, what it continues, what it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import restyle_jax as rs
from data_pipelines.folder import ImageError, read_photo
from data_pipelines.transforms import to_model_input
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.files import write
from restyle_jax.jobs import edit_measures
from restyle_jax.jobs.edit_folder import MORPH_FRAMES, Outcome, edit_folder
from restyle_jax.jobs.edit_options import Along, EditOptions
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.model import styles, synthesise, synthesise_styles
from restyle_jax.nets.attributes import describe, readings
from restyle_jax.ops.images import to_bytes, to_float
from tests import tiny
from tests.nets.test_attributes import network

STEPS, BATCH, K = 2, 2, 6
STRENGTHS = (-2.0, 0.0, 1.5)


def photos(folder: Path, count: int = 3) -> list[str]:
    names = [f"{'deep/' if i == 1 else ''}{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return sorted(names)


def along(space: str = "W", **changes: Any) -> Direction:
    shape = {"W": tiny.STYLE_DIM, "W+": (K, tiny.STYLE_DIM), "Z": tiny.STYLE_DIM}[space]
    vector = np.random.default_rng(5).standard_normal(shape)
    return Direction("smile", vector / np.linalg.norm(vector), space, **changes)


@pytest.fixture(scope="module")
def direction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with two directions, of W and of W+."""
    path = tmp_path_factory.mktemp("direction") / "two.npz"
    write(path, [along(unit=2.0, layers=(1, 2)), dataclasses.replace(along("W+"), name="age")])
    return path


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attributes") / "best"
    save_attributes(network(), {}, path)
    return path


def options(file: Path, **changes: Any) -> EditOptions:
    request = Along(file, **{key: changes.pop(key) for key in ("component", "layers") if key in changes})
    return EditOptions(
        **{"checkpoint": tiny.checkpoint(), "request": request, "strengths": STRENGTHS, "steps": STEPS}
        | {"batch_size": BATCH, **changes}
    )


def run(inputs: Path, output: Path, asked: EditOptions) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return edit_folder([inputs], output, asked, said.append), said


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_everything_equals_the_python_interface(tmp_path: Path, direction: Path, attributes: Path):
    names = photos(tmp_path / "photos")
    output = tmp_path / "photos" / "out"  # inside the folder of photos: its pictures are no photos
    asked = options(direction, morph=(-2.0, 1.5), attributes=attributes, target="hat=cap")
    outcome, _ = run(tmp_path / "photos", output, asked)
    assert (outcome.edited, outcome.done_before, outcome.skipped) == (3, 0, {})

    model = rs.load(tiny.checkpoint())
    inputs = np.stack([to_model_input(read_photo(tmp_path / "photos" / name), tiny.SIZE, tiny.SIZE) for name in names])
    codes = np.asarray(rs.invert(model, inputs, STEPS).latents[-1])
    expected = np.asarray(apply(along(unit=2.0, layers=(1, 2)), codes, STRENGTHS))
    shown = np.stack([synthesise(model, code) for code in [codes, *expected]])
    with np.load(output / "latents.npz") as file:
        assert file.files == names
        for i, name in enumerate(names):
            np.testing.assert_allclose(file[name], expected[:, i], atol=1e-4)
            assert file[name].dtype == np.float32 and not (file[name][:, 3:] - file[name][1, 3:]).any()
            for j, folder in enumerate(("strength_-2", "strength_0", "strength_1.5")):
                assert np.abs(picture(output / folder / name) - to_bytes(shown[1 + j, i])).max() <= 1
            strip = picture(output / "strips" / name)
            assert strip.shape[1] > 5 * 16 and strip.shape[0] > 16
            with Image.open((output / "morphs" / name).with_suffix(".gif")) as gif:
                assert gif.n_frames == 2 * MORPH_FRAMES - 2 and gif.size == (16, 16) and gif.info["loop"] == 0
                first = np.asarray(gif.convert("RGB")).astype(int)
                gif.seek(MORPH_FRAMES - 1)
                last = np.asarray(gif.convert("RGB")).astype(int)
            for frame, end in ((first, shown[1, i]), (last, shown[3, i])):
                assert np.abs(frame - to_bytes(end)).mean() < 12  # 256 colours

    report = json.loads((output / "metrics.json").read_text())
    assert report == json.loads(json.dumps(outcome.report)) and report["edit"] == "smile" and report["count"] == 3
    assert report["not_measured"].keys() == {"identity"} and report["settings"]["strengths"] == "-2,0,1.5"
    net = network()
    found = [readings(net.config, describe(net, images)) for images in shown]
    made = edit_measures.SPREAD_COUNT
    from restyle_jax.metrics.generated import pictures_of_generator

    population = np.concatenate(
        list(pictures_of_generator(*model.require_generator(), made, seed=edit_measures.SPREAD_SEED, batch_size=64))
    )
    spread = readings(net.config, describe(net, to_float(population))).values.std(axis=0)
    changes = np.stack([(part.values - found[0].values) / spread for part in found[1:]])  # [strength, photo, attribute]
    hat = found[0].names.index("hat=cap")
    others = [i for i, attribute in enumerate(found[0].attributes) if attribute != "hat"]
    for j, entry in enumerate(report["mean"]):
        assert entry["strength"] == STRENGTHS[j]
        np.testing.assert_allclose(entry["attributes"]["target"], changes[j, :, hat].mean(), atol=2e-3)
        dependency = np.abs(changes[j][:, others]).mean(axis=0)
        np.testing.assert_allclose(entry["attributes"]["dependency"]["mean"], dependency.mean(), atol=2e-3)
        np.testing.assert_allclose(entry["attributes"]["dependency"]["max"], dependency.max(), atol=2e-3)
    assert report["mean"][1]["attributes"]["target"] == 0 and abs(report["mean"][2]["attributes"]["target"]) > 1e-3
