"""Files that cannot be loaded say why, completely, and leave nothing behind."""

import functools
import json
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints import describe
from tests import official

ENCODER = "ResNetBackboneEncoder"
CLAMPS = (-1, 0, float("nan"), float("inf"), True)
DEEP: Any = functools.reduce(lambda inner, _: [inner], range(200), None)


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
    ("kind", "first", "shape", "damaged"),
    [
        *((ENCODER, "encoder.conv1.weight", "(2, 6, 7, 7)", found) for found in (None, (2, 0, 7, 7), (0,), (6, 7, 7))),
        ("GradualStyleEncoder", "encoder.input_layer.0.weight", "(16, 3, 3, 3)", None),
        ("StyleTransformer", "encoder.module.input_layer.0.weight", "(16, 3, 3, 3)", (0,)),
    ],
)
def test_a_first_convolution_that_is_none_hides_nothing(
    kind: str, first: str, shape: str, damaged: tuple[int, ...] | None, tmp_path: Path
):
    tree = (
        official.style_transformer(resolution=8)
        if kind == "StyleTransformer"
        else official.checkpoint(kind, resolution=8, narrow=32 if kind == ENCODER else 4)
    )
    other = next(key for key in tree["state_dict"] if "decoder" in key and "convs.1.conv.weight" in key)
    states = official.without(tree["state_dict"], first, other)
    if damaged is not None:
        states[first] = np.zeros(damaged, np.float32)
    path = official.write(tmp_path / "a.pt", {**tree, "state_dict": states})
    names = [name.replace(".module", "") for name in (first, other)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = failure(path)
    assert "2 tensors" in message and all(name in message for name in names) and shape in message
    report = rs.inspect(path)
    assert names[1] in report["missing"]
    assert names[0] in report["missing"] if damaged is None else report["misshapen"][0].startswith(names[0])


def test_what_is_missing_is_named_where_sizes_are_unknown(tmp_path: Path):
    tree = official.checkpoint(ENCODER, resolution=8, narrow=32)
    states = {key: None if "linear.weight" in key else value for key, value in tree["state_dict"].items()}
    states = {key: value for key, value in states.items() if not key.endswith("linear.bias")}
    message = failure(official.write(tmp_path / "a.pt", {**tree, "state_dict": {**states, "encoder.odd": np.zeros(1)}}))
    for part in (
        "too few to tell its size (missing: styles.0.linear.bias, styles.1.linear.bias",
        "unexpected: odd; misshapen: styles.0.linear.weight: found (NoneType), expected a linear (o i)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"weights": {"a": 1}, "epoch": 3}, "entries weights, epoch"),
        ([1, 2], "a single list"),
        (np.zeros((1, 512), np.float32), "a single ndarray"),
        ({}, "no entries"),
        ({"state_dict": {"mlp.0.weight": np.zeros((2, 2), np.float32)}}, "mlp.0.weight"),
        (
            {"state_dict": {"encoder.linear.weight": np.zeros((2, 2), np.float32)}},
            "no decoder.* tensors; expected both networks of a ReStyle, pSp, e4e or Style Transformer checkpoint",
        ),
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


def test_paths_that_must_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "is_dir", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert "cannot be read (Permission denied)" in failure(tmp_path / "a.pt")


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
            {"generator": {"resolution": 8, "channels": [128, 128], "mapping_layers": 65536}},
            *({"generator": {"resolution": 8, "channels": [128, 128], "conv_clamp": clamp}} for clamp in CLAMPS),
            {"metadata": {"opts": DEEP}},
            {"strange": DEEP},
            {"encoder": {"head": "none", "trunk": "resnet34", "num_styles": 4}},
            {"encoder": 3},
        ],
    )
    def test_config_that_is_impossible(self, directory: Path, changes: dict[str, Any]):
        self.change(directory, **changes)
        with pytest.raises(rs.CheckpointError, match=r"config\.json"):
            rs.load(directory)

    def test_an_unreadable_config(self, directory: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError(13, "Permission denied")))
        with pytest.raises(
            rs.CheckpointError, match=r"config\.json: found that it cannot be read \(Permission denied\)"
        ):
            rs.load(directory)

    @pytest.mark.parametrize(
        "tree",
        [[np.zeros(3)], np.zeros(3), "text", None, {"generator.a": 3}, {1: np.zeros(2)}],
        ids=lambda tree: str(tree),
    )
    def test_weights_of_another_kind(self, directory: Path, tree: Any):
        official.write(directory / "weights.safetensors", tree)
        for look in (rs.load, rs.inspect):
            with pytest.raises(rs.CheckpointError, match=r"weights\.safetensors: found a file of the kind torch-zip"):
                look(directory)

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
        report = rs.inspect(directory)
        assert report["missing"] == [f"generator.mapping.layers.8.{name}" for name in ("bias", "kernel")]
        fault = "generator.synthesis.blocks.1.to_rgb.kernel: found (128, 3), expected (64, 3)"
        assert fault in report["misshapen"] and f"  misshapen: {fault}" in describe(report)
        self.change(directory, generator=None)
        report = rs.inspect(directory)
        assert "generator.synthesis.const" in report["unexpected"] and "w_avg" in report["unexpected"]

    def test_weights_without_their_config(self, directory: Path):
        (directory / "config.json").unlink()
        with pytest.raises(rs.CheckpointError, match=r"without its config\.json"):
            rs.load(directory / "weights.safetensors")

    def test_weights_that_are_missing(self, directory: Path):
        (directory / "weights.safetensors").unlink()
        with pytest.raises(rs.CheckpointError, match=r"weights\.safetensors"):
            rs.load(directory)
