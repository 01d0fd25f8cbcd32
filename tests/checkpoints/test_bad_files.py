"""Files that cannot be loaded say why, completely, and leave nothing behind."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restyle_jax as rs
from tests import official

ENCODER = "ResNetBackboneEncoder"


def failure(path: Path) -> str:
    with pytest.raises(rs.CheckpointError) as caught:
        rs.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_all_wrong_tensors_at_once(tmp_path: Path):
    tree = official.checkpoint(ENCODER)
    states = tree["state_dict"]
    del states["decoder.convs.1.conv.weight"], states["decoder.noises.noise_4"], states["decoder.to_rgb1.bias"]
    states["decoder.convs.2.conv.weight"] = np.zeros((1, 128, 64, 3, 3), np.float32)
    states["decoder.stranger"] = np.zeros(3, np.float32)
    states["stray.weight"] = np.zeros((2, 1), np.float32)
    message = failure(official.write(tmp_path / "generator.pt", tree))
    for part in (
        "6 tensors",
        "missing     decoder.convs.1.conv.weight (1, 128, 128, 3, 3), "
        "for generator.synthesis.blocks.1.conv1.kernel (3, 3, 128, 128)",
        "missing     decoder.noises.noise_4 (1, 1, 16, 16)",
        "missing     decoder.to_rgb1.bias (1, 3, 1, 1)",
        "shape       decoder.convs.2.conv.weight: found (1, 128, 64, 3, 3), expected (1, 128, 128, 3, 3)",
        "unexpected  decoder.stranger (3)",
        "unexpected  stray.weight (2, 1)",
    ):
        assert part in message


def test_wrong_tensors_of_both_networks_at_once(tmp_path: Path):
    tree = official.checkpoint(ENCODER)
    del tree["state_dict"]["decoder.convs.1.conv.weight"], tree["state_dict"]["encoder.styles.3.convs.2.bias"]
    message = failure(official.write(tmp_path / "a.pt", tree))
    assert "decoder.convs.1.conv.weight" in message and "encoder.styles.3.convs.2.bias" in message


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"weights": {"a": 1}, "epoch": 3}, "entries weights, epoch"),
        ([1, 2], "a single list"),
        (np.zeros((1, 512), np.float32), "a single ndarray"),
        ({}, "no entries"),
        ({"state_dict": {"mlp.0.weight": np.zeros((2, 2), np.float32)}}, "mlp.0.weight"),
        ({"state_dict": {"encoder.linear.weight": np.zeros((2, 2), np.float32)}}, "no decoder"),
    ],
)
def test_something_else(tree: Any, named: str, tmp_path: Path):
    message = failure(official.write(tmp_path / "a.pt", tree))
    assert named in message and "expected" in message


def test_unsupported_encoders_are_named(tmp_path: Path):
    tree = official.checkpoint(ENCODER)
    states = {key: value for key, value in tree["state_dict"].items() if "styles" not in key}
    states["encoder.linear.weight"] = np.zeros((128, 128), np.float32)
    message = failure(official.write(tmp_path / "a.pt", {**tree, "state_dict": states}))
    assert "SingleStyleCodeEncoder" in message


@pytest.mark.parametrize(("styles", "data_set"), [(6, "ffhq_encode"), (7, "cars_encode")])
def test_heads_that_do_not_fit_the_generator(styles: int, data_set: str, tmp_path: Path):
    tree = official.checkpoint(ENCODER, styles=styles, opts={"dataset_type": data_set})
    message = failure(official.write(tmp_path / "a.pt", tree))
    assert f"{styles} style heads" in message and "8 styles" in message


def test_a_trunk_is_not_a_model(tmp_path: Path):
    names = {"conv1.weight": (64, 3, 7, 7), "layer1.0.conv1.weight": (64, 64, 3, 3), "fc.weight": (1000, 512)}
    tree = {name: np.zeros(shape, np.float32) for name, shape in names.items()}
    assert "load_trunk" in failure(official.write(tmp_path / "a.pt", tree))


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1000] + bytes(1000)])
def test_damaged_files(damage: Any, tmp_path: Path):
    path = official.write(tmp_path / "a.pt", official.generator())
    path.write_bytes(damage(path.read_bytes()))
    failure(path)


def test_a_flipped_bit_in_the_weights(tmp_path: Path):
    path = official.write(tmp_path / "a.pt", official.generator())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    failure(path)


def test_paths_that_are_not_files(tmp_path: Path):
    failure(tmp_path / "absent.pt")
    assert "config.json" in failure(tmp_path)


class TestOurOwn:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        path = tmp_path / "model"
        tree = {"g_ema": official.generator(resolution=8), "latent_avg": np.zeros(128, np.float32)}
        rs.save(rs.load(official.write(tmp_path / "a.pt", tree)), path)
        return path

    def change(self, directory: Path, **changes: Any) -> None:
        file = directory / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "other"}', "\x00\xff", "[" * 100_000])
    def test_config_that_is_none(self, directory: Path, text: str):
        (directory / "config.json").write_text(text, encoding="latin-1")
        with pytest.raises(rs.CheckpointError, match=r"config\.json"):
            rs.load(directory)

    @pytest.mark.parametrize(
        "changes",
        [
            {"version": 99},
            {"geometry": None},
            {"geometry": {"height": 300, "width": 256, "top": 0}},
            {"generator": {"resolution": 8}},
            {"generator": {"resolution": 8, "channels": [128, "many"]}},
            {"generator": {"resolution": 8, "channels": [128, -1]}},
            {"generator": {"resolution": 8, "channels": [128, 128], "mapping_layers": 10**12}},
            {"encoder": {"head": "none", "trunk": "resnet34", "num_styles": 4}},
            {"encoder": 3},
        ],
    )
    def test_config_that_is_impossible(self, directory: Path, changes: dict[str, Any]):
        self.change(directory, **changes)
        with pytest.raises(rs.CheckpointError, match=r"config\.json"):
            rs.load(directory)

    def test_tensors_that_do_not_fit_the_config(self, directory: Path):
        config = json.loads((directory / "config.json").read_text())
        self.change(directory, generator={**config["generator"], "mapping_layers": 9, "channels": [128, 64]})
        with pytest.raises(rs.CheckpointError) as caught:
            rs.load(directory)
        for part in (
            "missing     generator.mapping.layers.8.kernel (128, 128)",
            "shape       generator.synthesis.blocks.1.to_rgb.kernel: found (128, 3), expected (64, 3)",
        ):
            assert part in str(caught.value)

    def test_weights_without_their_config(self, directory: Path):
        (directory / "config.json").unlink()
        with pytest.raises(rs.CheckpointError, match=r"without its config\.json"):
            rs.load(directory / "weights.safetensors")

    def test_weights_that_are_missing(self, directory: Path):
        (directory / "weights.safetensors").unlink()
        with pytest.raises(rs.CheckpointError, match=r"weights\.safetensors"):
            rs.load(directory)
