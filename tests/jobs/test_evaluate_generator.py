"""Evaluation of a generator: against its own pictures and others, with everything stated; requests that do not fit."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import restyle_jax as rs
from data_pipelines.folder import ImageError
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.checkpoints.feature_networks import load_features
from restyle_jax.cli import main
from restyle_jax.convert import reader
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.evaluate_generator import evaluate_generator
from restyle_jax.jobs.generator_options import GeneratorEvalOptions
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.metrics.generated import pictures_of_generator
from restyle_jax.metrics.sets import compare_sets, features_of_pictures
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.train.errors import TrainingError
from tests import networks, official, tiny, weight_files
from tests.nets.test_attributes import network

RESOLUTION = 32
COUNT = 6


def generator() -> Path:
    return tiny.checkpoint(resolution=RESOLUTION, encoder=False)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inception of a sixteenth of the width."""
    return weight_files.inception(tmp_path_factory.mktemp("features"), 2)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """What the generator makes for seed 0."""
    made, w_avg = rs.load(generator()).require_generator()
    return np.concatenate(list(pictures_of_generator(made, w_avg, COUNT, seed=0, batch_size=4)))


def save(folder: Path, pictures: Iterable[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for i, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def options(**changes: Any) -> GeneratorEvalOptions:
    return GeneratorEvalOptions(**{"checkpoint": generator(), "count": COUNT, "batch_size": 4, **changes})


def test_against_its_own_pictures(tmp_path: Path, features: Path, pictures: np.ndarray):
    """They are the training pictures of a folder with a test split; one file more is damaged."""
    save(tmp_path / "data" / "train", pictures)
    save(tmp_path / "data" / "test", 255 - pictures)
    (tmp_path / "data" / "train" / "bad.png").write_bytes(b"not a picture")
    asked = options(data=tmp_path / "data", features=features)
    returned = evaluate_generator(tmp_path / "out", asked)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found == json.loads(json.dumps(returned))
    assert abs(found["metrics"]["fid"]) < 1e-3 and found["metrics"]["precision"] == found["metrics"]["recall"] == 1.0
    assert found["counts"] == {"real": COUNT, "made": COUNT} and list(found["unreadable"]) == ["bad.png"]
    assert found["features"]["name"] == "Inception-v3 2015-12-05, pool3"
    assert found["features"]["sha256"] == hashlib.sha256(features.read_bytes()).hexdigest()
    assert found["resolution"] == RESOLUTION and found["settings"]["truncation_psi"] == 1.0
    assert found["definitions"].keys() == found["metrics"].keys() and found["versions"]["restyle_jax"] == rs.__version__


def test_numbers_are_those_of_the_features(tmp_path: Path, features: Path, pictures: np.ndarray):
    """Of other pictures, in incomplete batches, truncated; samples are the same for every seed."""
    others = np.random.default_rng(0).integers(0, 256, (9, RESOLUTION, RESOLUTION, 3), dtype=np.uint8)
    data = save(tmp_path / "data", others)
    asked = options(data=data, features=features, truncation_psi=0.9, seed=0)
    found = evaluate_generator(tmp_path / "out", asked)["metrics"]
    made, w_avg = rs.load(generator()).require_generator()
    fakes = pictures_of_generator(made, w_avg, COUNT, seed=0, batch_size=4, truncation_psi=0.9)
    network = load_features(features)
    chunks = [others[:4], others[4:8], others[8:]], iter(fakes)
    expected = compare_sets(*(np.concatenate(list(features_of_pictures(network, chunk))) for chunk in chunks))
    assert found == pytest.approx(dict(expected), rel=0.01)  # a few pixels round to another byte
    sheet = np.asarray(Image.open(tmp_path / "out" / "samples.png"))
    assert sheet.shape[0] > 8 * RESOLUTION and sheet.shape[1] > 8 * RESOLUTION
    with pytest.raises(OutputError, match="seed: 0 there, 3 now"):
        evaluate_generator(tmp_path / "out", dataclasses.replace(asked, seed=3))
    again = evaluate_generator(tmp_path / "out", dataclasses.replace(asked, seed=3, overwrite=True))["metrics"]
    assert again["fid"] != found["fid"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "samples.png")), sheet)


def test_labels_are_those_of_the_data(tmp_path: Path, pictures: np.ndarray):
    """Also with features of our own, beside which something else may lie."""
    file = tmp_path / "dataset.json"
    sizes = GeneratorConfig(16, (8, 8, 8), z_dim=8, w_dim=8, mapping_layers=1, label_dim=3)
    made = rs.Model(generator=networks.random(Generator, sizes), w_avg=jnp.zeros((6, 8)))
    rs.save(made, tmp_path / "conditional")
    save_attributes(network(), {}, tmp_path / "network")
    asked = options(
        checkpoint=tmp_path / "conditional",
        data=save(tmp_path / "data", pictures[:, ::2, ::2]),
        features=tmp_path / "network",
        labels=file,
    )

    def evaluated(name: str, **changes: Any) -> dict[str, Any]:
        return evaluate_generator(tmp_path / name, dataclasses.replace(asked, **changes))

    def label(*classes: int) -> None:
        file.write_text(json.dumps({"labels": [[f"{i}.png", label] for i, label in enumerate(classes)]}))

    found = {}
    for label_of_all in (0, 1):
        label(*[label_of_all] * COUNT)
        found[label_of_all] = evaluated(f"all-{label_of_all}")
    (tmp_path / "network" / ".ipynb_checkpoints").mkdir()
    found["uniform"] = evaluated("uniform", labels=None)
    assert len({value["metrics"]["fid"] for value in found.values()}) == 3
    assert "labels of real pictures" in found[0]["made"] and "uniform labels" in found["uniform"]["made"]
    assert len({value["features"]["sha256"] for value in found.values()}) == 1
    label(0, 1, 2, 3, 0, 0)
    with pytest.raises(
        CheckpointError, match=r"dataset\.json: found class 3; expected a class of .*conditional, which has 3"
    ):
        evaluated("more classes")
    with pytest.raises(CheckpointError, match=r"--labels: found .*dataset\.json without --data"):
        evaluated("no data", data=None)
    label(0, 1)
    with pytest.raises(TrainingError, match="4 of 6 pictures have no label"):
        evaluated("few labels")


@pytest.mark.parametrize("wrong", [("--seed", str(2**63)), ("--truncation-psi", "nan")])
def test_numbers_that_cannot_be_computed_with(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["eval-generator", "--checkpoint", "a", "--output", "b", *wrong])
    assert f"argument {wrong[0]}: got '{wrong[1]}', expected" in capsys.readouterr().err


def test_requests_that_do_not_fit(tmp_path: Path, features: Path, pictures: np.ndarray):
    data = save(tmp_path / "data", pictures)

    def refused(error: type[Exception], words: str, **changes: Any) -> None:
        with pytest.raises(error, match=words):
            evaluate_generator(tmp_path / "out", options(**{"data": data, "features": features, **changes}))
        assert not (tmp_path / "out").exists()

    refused(CheckpointError, r"--features: found no file.*pt_inception-2015-12-05.*pytorch-fid", features=None)
    refused(CheckpointError, r"away\.pth: found no file here.*pytorch-fid", features=tmp_path / "away.pth")
    refused(ImageError, "--data: no real pictures", data=None)
    refused(CheckpointError, "--dtype: found bfloat16; expected float32 for --ppl", ppl=("w-end",), dtype="bfloat16")
    refused(CheckpointError, "--ppl-crop: found no --ppl; expected both", ppl_crop=True)
    refused(CheckpointError, "--lpips-linear-weights: found no --ppl", lpips_linear_weights=tmp_path / "nowhere")
    refused(ImageError, "there is no such folder", data=tmp_path / "nowhere")
    refused(CheckpointError, r"vgg16-397923af\.pth: found no path", ppl=("w-end",))
    small = weight_files.lpips(tmp_path, "vgg")
    files = {"lpips_trunk_weights": small[0], "lpips_linear_weights": small[1]}
    refused(CheckpointError, r"of 32 px, of which path lengths compare 16 px", ppl=("w-end",), ppl_crop=True, **files)
    Image.fromarray(pictures[0][:20]).save(data / "3.png")
    refused(ImageError, r"3\.png: found 32 x 20 pixels, expected 32 x 32")
    Image.fromarray(pictures[3]).save(data / "3.png")
    broken = tiny.broken(tmp_path / "broken", resolution=RESOLUTION, encoder=False)
    refused(CheckpointError, r"broken: found numbers that are not finite in 4 of 4 pictures", checkpoint=broken)
    state = weight_files.inception_state(2)
    kernel = {"Conv2d_1a_3x3.conv.weight": np.full_like(state["Conv2d_1a_3x3.conv.weight"], np.nan)}
    useless = official.write(tmp_path / "useless.pth", {**state, **kernel})
    refused(CheckpointError, r"useless\.pth: found features that are not finite", features=useless)
    few = save(tmp_path / "few", pictures[:3])
    refused(ImageError, "3 of 3 pictures can be read, expected at least 4", data=few)


def test_path_lengths_alone(tmp_path: Path):
    """They are of pictures that are not rounded; their networks are named with the hashes of their files."""
    trunk, linear = weight_files.lpips(tmp_path, "vgg")
    files = {"lpips_trunk_weights": trunk, "lpips_linear_weights": linear}
    asked = options(ppl=("w-end",), ppl_count=3, batch_size=2, **files)
    found = evaluate_generator(tmp_path / "out", asked)
    assert found["metrics"].keys() == found["definitions"].keys() == {"ppl_w_end"}
    text = found["definitions"]["ppl_w_end"]
    assert "straight lines in w, t = 0; whole pictures, made by the averaged generator" in text
    assert "[-1, 1], neither clipped nor rounded" in text and "uniform labels if it has classes" in text
    assert found["made"] is None and found["features"] is None and found["counts"] == {"paths": 3}
    assert {name: (file["file"], file["sha256"]) for name, file in found["lpips"].items()} == {
        name: (str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in files.items()
    }
    assert "LPIPS v0.1 for vgg" in found["lpips"]["lpips_linear_weights"]["name"]
    broken = {name: np.full_like(value, np.nan) for name, value in reader.read(linear).tree.items()}
    official.write(linear, broken)
    with pytest.raises(OutputError, match="lpips_linear_weights: "):
        evaluate_generator(tmp_path / "out", asked)
    with pytest.raises(
        CheckpointError, match=r"found numbers that are not finite in 3 of 3 path lengths by .*vgg\.pth"
    ):
        evaluate_generator(tmp_path / "other", asked)


def test_the_sheet_takes_no_larger_batches_than_it_has_pictures(
    tmp_path: Path, pictures: np.ndarray, caplog: pytest.LogCaptureFixture
):
    save_attributes(network(), {}, tmp_path / "network")
    with jax.log_compiles(), caplog.at_level("WARNING"):
        asked = options(data=save(tmp_path / "data", pictures), features=tmp_path / "network", batch_size=1000)
        evaluate_generator(tmp_path / "out", asked)
    assert "int32[64]" in caplog.text and "int32[1000]" not in caplog.text


def test_the_command(tmp_path: Path, features: Path, pictures: np.ndarray):
    """In a process of its own, as users run it, with path lengths as well."""
    data = save(tmp_path / "data", pictures)
    trunk, linear = weight_files.lpips(tmp_path, "vgg")
    arguments = ["--checkpoint", generator(), "--data", data, "--output", tmp_path / "out", "--features", features]
    arguments += ["--count", COUNT, "--ppl", "w-end", "--ppl-count", 3, "--batch-size", 2]
    arguments += ["--lpips-trunk-weights", trunk, "--lpips-linear-weights", linear]
    done = subprocess.run(
        [sys.executable, "-m", "restyle_jax", "eval-generator", *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Real pictures: 100%" in done.stderr and "Path length w-end: 100%" in done.stderr
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["metrics"].keys() == {"fid", "kid", "precision", "recall", "ppl_w_end"} == found["definitions"].keys()
    assert found["metrics"]["ppl_w_end"] > 0 and found["counts"]["paths"] == 3
    assert "straight lines in w, t = 0; whole pictures" in found["definitions"]["ppl_w_end"]
    assert found["made"].endswith("rounded to bytes (halves upwards)") and found["lpips"]
    assert "ppl_w_end" in done.stdout and "6 real and 6 made pictures" in done.stdout
