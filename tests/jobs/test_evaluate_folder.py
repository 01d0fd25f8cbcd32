"""Evaluation of a test set: numbers against an independent computation, no picture left out, everything stated."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import restyle_jax as rs
from data_pipelines.folder import ImageError
from data_pipelines.transforms import to_model_input
from restyle_jax.checkpoints.networks import load_lpips
from restyle_jax.cli import main
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.evaluate_folder import EvalOptions, evaluate_folder
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.jobs.requirements import preparation
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.perceptual import LPIPS
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.ops.images import to_bytes, to_float
from restyle_jax.train.config import EncoderTraining
from tests import networks, tiny, weight_files
from tests.data_pipelines.made_up import pairs

SIZE = (48, 40)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos and one that is damaged."""
    folder = tmp_path_factory.mktemp("data") / "test"
    folder.mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(SIZE).save(folder / f"{i}.png")
    (folder / "bad.jpg").write_bytes(b"not a picture")
    return folder.parent


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def saved_metrics(output: Path) -> dict[str, Any]:
    return json.loads((output / "metrics.json").read_text())


def _distance(network: LPIPS, y: jax.Array, x: jax.Array) -> jax.Array:
    return network(y, x)


def test_numbers_of_every_picture_and_step(tmp_path: Path, photos: Path, weights: Path) -> None:
    trunk, linear = weight_files.lpips(weights)
    options = EvalOptions(
        tiny.checkpoint(),
        photos,
        steps=3,
        batch_size=2,
        lpips_net="alex",
        lpips_trunk_weights=trunk,
        lpips_linear_weights=linear,
    )
    said: list[str] = []
    evaluate_folder(tmp_path / "out", options, said.append)
    metrics = saved_metrics(tmp_path / "out")
    assert metrics["count"] == 5 and list(metrics["unreadable"]) == ["bad.jpg"]
    assert set(metrics["images"]) == {f"{i}.png" for i in range(5)}
    assert "--identity-weights" in metrics["left_out"]["id"] and any("--identity-weights" in line for line in said)
    assert metrics["settings"]["lpips_net"] == "alex" and set(metrics["definitions"]) == set(metrics["mean"])

    pictures = np.stack(
        [to_model_input(Image.open(photos / "test" / f"{i}.png"), tiny.SIZE, tiny.SIZE) for i in range(5)]
    )
    images = np.asarray(rs.invert(rs.load(tiny.checkpoint()), pictures, 3, resize_outputs=True).images)
    network = load_lpips("alex", trunk, linear)
    distances = networks.apply(
        network, _distance, images.reshape(-1, *images.shape[2:]), np.tile(pictures, (3, 1, 1, 1))
    )
    distances = np.asarray(distances).reshape(3, 5)
    for i in range(5):
        found = metrics["images"][f"{i}.png"]
        for step in range(3):
            for name, y in (("", images[step, i]), ("_uint8", to_float(to_bytes(images[step, i])))):
                error = np.square(y.astype(np.float64) - pictures[i]).mean()
                # A pixel whose value lies between two bytes may round to the other one.
                assert found[f"l2{name}"][step] == pytest.approx(error, rel=1e-3 if name else 1e-5)
                assert found[f"psnr{name}"][step] == pytest.approx(20 * np.log10(2) - 10 * np.log10(error), abs=0.01)
            assert found["lpips"][step] == pytest.approx(float(distances[step, i]), rel=1e-4)
    for name, means in metrics["mean"].items():
        assert means == pytest.approx(np.mean([image[name] for image in metrics["images"].values()], axis=0))


def test_identity_of_faces(tmp_path: Path, photos: Path, weights: Path) -> None:
    """Of a model that always makes the same picture, because its encoder changes nothing, and of that very picture."""
    sizes = EncoderConfig("backbone", "resnet18", 4, style_dim=16, width=4)
    generator = GeneratorConfig(8, (8, 8), z_dim=16, w_dim=16, mapping_layers=1)

    def scaled(network: Any, factor: float) -> Any:
        graph, state = nnx.split(network)
        return nnx.merge(graph, jax.tree.map(lambda leaf: leaf * factor, state))

    model = rs.Model(
        encoder=scaled(networks.random(Encoder, sizes), 0),
        generator=scaled(networks.random(Generator, generator), 0.5),  # within [-1, 1]
        w_avg=jnp.ones((4, 16)),
    )
    rs.save(model, tmp_path / "model")
    (tmp_path / "data").mkdir()
    Image.fromarray(to_bytes(model.average.y[0])).save(tmp_path / "data" / "made.png")
    Image.open(photos / "test" / "0.png").save(tmp_path / "data" / "other.png")
    options = EvalOptions(
        tmp_path / "model", tmp_path / "data", steps=1, batch_size=2, identity_weights=weight_files.face(weights)
    )
    found = evaluate_folder(tmp_path / "out", options)["images"]
    assert abs(np.asarray(model.average.y)).max() < 1
    assert found["made.png"]["id"][0] > 0.9995 > 0.99 > found["other.png"]["id"][0]
    assert found["made.png"]["psnr"][0] > 45 > 20 > found["other.png"]["psnr"][0]
    assert found["made.png"]["psnr_uint8"][0] > 100  # equal, byte for byte


def single_pass(data: Path, **changes: Any) -> EvalOptions:
    return EvalOptions(**{"checkpoint": tiny.checkpoint(in_channels=3), "data": data, "batch_size": 2, **changes})


def test_a_plain_folder_a_single_pass_and_other_settings(tmp_path: Path, photos: Path, weights: Path) -> None:
    metrics = evaluate_folder(tmp_path / "out", single_pass(photos / "test"))
    assert metrics["count"] == 5 and len(metrics["mean"]["l2"]) == 1
    changed = single_pass(photos / "test", task="frontalise")
    with pytest.raises(OutputError, match="task: inversion there, frontalise now"):
        evaluate_folder(tmp_path / "out", changed)
    assert saved_metrics(tmp_path / "out")["settings"]["task"] == "inversion"
    evaluate_folder(tmp_path / "out", dataclasses.replace(changed, overwrite=True))
    assert saved_metrics(tmp_path / "out")["settings"]["task"] == "frontalise"
    small = single_pass(photos, identity_weights=weight_files.face(weights))
    assert "these pictures have 32 x 32" in evaluate_folder(tmp_path / "small", small)["left_out"]["id"]


def test_pictures_reduced_by_one_factor(tmp_path: Path, photos: Path) -> None:
    """The factors of training do not all fit a small model, and a test wants one anyway."""
    options = single_pass(photos, task="super_resolution")
    said = r"resize_factors \(1, 2, 4, 8, 16, 32\): expected factors from 1 to 20 .* --resize-factors names others"
    with pytest.raises(ImageError, match=said):
        evaluate_folder(tmp_path / "out", options)
    errors = []
    for factor in (1, 8):
        chosen = dataclasses.replace(options, resize_factors=(factor,), overwrite=True)
        errors.append(evaluate_folder(tmp_path / "out", chosen)["mean"]["l2"])
        assert saved_metrics(tmp_path / "out")["settings"]["resize_factors"] == f"{factor}"
    assert errors[0] != errors[1]
    with pytest.raises(OutputError, match="resize_factors: 8 there, 2,4 now"):
        evaluate_folder(tmp_path / "out", dataclasses.replace(options, resize_factors=(2, 4)))


def test_label_maps_are_resized_as_in_training(tmp_path: Path) -> None:
    pairs(tmp_path / "data", 2)
    errors = []
    for resize in ("nearest", "bilinear"):
        options = single_pass(tmp_path / "data", task="segmentation", label_resize=resize, overwrite=True)
        metrics = evaluate_folder(tmp_path / "out", options)
        errors.append(metrics["mean"]["l2"])
        assert metrics["settings"]["label_resize"] == resize and metrics["settings"]["resize_factors"] is None
        config = EncoderTraining(task="segmentation", in_channels=3, label_resize=resize)
        assert preparation(config).label_resize == resize
    assert errors[0] != errors[1]
    refining = dataclasses.replace(options, checkpoint=tiny.checkpoint())
    with pytest.raises(CheckpointError, match=r"inputs of 6 channels \(a photo and its reconstruction\)"):
        evaluate_folder(tmp_path / "out", refining)


def test_the_task_is_that_of_the_model(tmp_path: Path) -> None:
    """Three channels may be a photo's, or those of three classes."""
    pairs(tmp_path / "data", 2)
    model = rs.load(tiny.checkpoint(in_channels=3))
    rs.save(dataclasses.replace(model, metadata={"task": "segmentation"}), tmp_path / "model")
    options = single_pass(tmp_path / "data", checkpoint=tmp_path / "model")
    found = evaluate_folder(tmp_path / "out", options)
    assert found["settings"]["task"] == "segmentation"
    mixed = evaluate_folder(tmp_path / "mixed", dataclasses.replace(options, label_resize="bilinear"))
    assert mixed["settings"]["label_resize"] == "bilinear" and mixed["mean"] != found["mean"]
    same = single_pass(tmp_path / "data", task="segmentation")
    assert evaluate_folder(tmp_path / "same", same)["mean"] == found["mean"]
    assert evaluate_folder(tmp_path / "photos", dataclasses.replace(same, task=None))["mean"] != found["mean"]
    sketches = single_pass(tmp_path / "data", checkpoint=tiny.checkpoint(in_channels=1), task="segmentation")
    with pytest.raises(CheckpointError, match=r"found an encoder for inputs of 1 channels.*expected one for task segm"):
        evaluate_folder(tmp_path / "sketches", sketches)


def test_reconstructions_that_diverge(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tiny.broken(tmp_path / "broken")
    command = ["eval", "--checkpoint", str(broken), "--data", str(photos), "--output", str(tmp_path / "out")]
    assert main([*command, "--steps", "2", "--no-compilation-cache"]) == 1
    said = capsys.readouterr()
    assert "Means over 0 picture(s)" in said.out
    assert "1 picture(s) could not be read and the reconstruction of 5 diverged" in said.err
    metrics = saved_metrics(tmp_path / "out")
    assert metrics["diverged"] == [f"{i}.png" for i in range(5)] and metrics["mean"]["l2"] == [None, None]


def test_options_of_other_tasks(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--checkpoint", str(tiny.checkpoint()), "--data", str(photos), "--output", str(tmp_path / "out")]
    assert main([*command, "--resize-factors", "8"]) == 1
    assert "--resize-factors is for --task super_resolution, this is inversion: leave it" in capsys.readouterr().err
    assert main([*command, "--task", "super_resolution", "--label-resize", "bilinear"]) == 1
    assert "--label-resize is for --task segmentation, this is super_resolution: leave" in capsys.readouterr().err
    for wrong in ("8,", "0", "2;4"):
        with pytest.raises(SystemExit):
            main([*command, "--resize-factors", wrong])
        assert "expected a whole number of at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    command[2] = str(tiny.checkpoint(in_channels=3))
    arguments = [*command, "--task", "super_resolution", "--resize-factors", "2,4", "--no-compilation-cache"]
    assert main(arguments) == 1 and "1 picture(s) could not be read" in capsys.readouterr().err
    assert saved_metrics(tmp_path / "out")["settings"]["resize_factors"] == "2,4"


def test_requests_that_do_not_fit(tmp_path: Path, photos: Path, weights: Path) -> None:
    def refused(error: type[Exception], words: str, **changes: Any) -> None:
        with pytest.raises(error, match=words):
            evaluate_folder(tmp_path / "out", single_pass(**{"data": photos, **changes}))
        assert not (tmp_path / "out").exists()

    (tmp_path / "empty").mkdir()
    refused(ImageError, "no photos found", data=tmp_path / "empty")
    refused(ImageError, "needs pairs", task="sketch", checkpoint=tiny.checkpoint(in_channels=1))
    refused(CheckpointError, "an encoder for inputs of 1 channels", checkpoint=tiny.checkpoint(in_channels=1))
    refused(CheckpointError, r"alex\.pth", lpips_trunk_weights=weight_files.lpips(weights)[0])
    refused(CheckpointError, "no file here", identity_weights=tmp_path / "nowhere.pth")
    refused(CheckpointError, "has no encoder", checkpoint=tiny.checkpoint(encoder=False))
    (tmp_path / "bad").mkdir()
    for i in range(2):
        (tmp_path / "bad" / f"{i}.png").write_bytes(b"x")
    with pytest.raises(ImageError, match="none of the 2 test pictures can be read"):
        evaluate_folder(tmp_path / "bad_out", single_pass(tmp_path / "bad"))
