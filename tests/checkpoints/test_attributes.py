"""Attribute networks on disk: everything comes back; damage and directories of another kind are named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import restyle_jax as rs
from restyle_jax.checkpoints import describe
from restyle_jax.checkpoints.attributes import load_attributes, save_attributes
from restyle_jax.checkpoints.feature_networks import load_features
from restyle_jax.checkpoints.modules import flat_arrays
from tests import tiny
from tests.nets.test_attributes import TINY, network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_attributes(network(), {"step": 7, "from": Path("a")}, tmp_path / "deep" / "saved")
    return tmp_path / "deep" / "saved"


def test_everything_comes_back(saved: Path):
    again = load_attributes(saved)
    assert again.config == TINY and hash(again.config) == hash(TINY)
    expected, found = flat_arrays(network()), flat_arrays(again)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert json.loads((saved / "config.json").read_text())["metadata"] == {"step": 7, "from": "a"}
    assert load_attributes(saved / "weights.safetensors").config == TINY


def test_its_features_compare_pictures_of_any_size(saved: Path):
    """Those of its own size as they are, others resized."""
    features = load_features(saved)
    assert features.name == f"attribute network of {TINY.resolution} px"
    pictures = np.random.default_rng(0).integers(0, 256, (2, TINY.resolution, TINY.resolution, 3), np.uint8)
    expected = network().features(jnp.asarray(pictures, jnp.float32) / 127.5 - 1)
    np.testing.assert_allclose(features(pictures), expected, rtol=1e-4, atol=1e-5)
    larger = pictures.repeat(2, axis=1).repeat(2, axis=2)
    assert features(larger).shape == expected.shape


def test_only_our_directories_are_replaced(saved: Path):
    save_attributes(network(), {"step": 8}, saved)
    assert json.loads((saved / "config.json").read_text())["metadata"] == {"step": 8}
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(rs.CheckpointError, match=r"notes\.txt"):
        save_attributes(network(), {}, saved)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda fields: fields.pop("resolution"), "an impossible attributes"),
        (lambda fields: fields.update(resolution=18), "expected a multiple of 4"),
        (lambda fields: fields.update(resolution="16"), "an impossible attributes"),
        (lambda fields: fields.update(widths=[8, 16.5]), "an impossible attributes"),
        (lambda fields: fields.update(widths=[8, 2**20]), "attributes.widths"),
        (lambda fields: fields.update(scalars=[["yaw", -35.0]]), "an impossible attributes"),
        (lambda fields: fields.update(scalars=[[1, -35.0, 35.0]]), "attributes.scalars"),
        (lambda fields: fields.update(choices=[["hat", ["a", 1]]]), "attributes.choices"),
        (lambda fields: fields.update(angles=[3]), "attributes.angles"),
        (lambda fields: fields.update(angles=None), "an impossible attributes"),
        (lambda fields: fields.update(unknown=1), "unknown"),
        (lambda fields: fields.update(widths=[8, 24]), "shape"),
        (lambda fields: fields.update(angles=[]), "head.bias: found"),
    ],
)
def test_damaged_configs_are_named(saved: Path, change: Callable[[dict[str, Any]], Any], named: str):
    file = saved / "config.json"
    config = json.loads(file.read_text())
    change(config["attributes"])
    file.write_text(json.dumps(config))
    with pytest.raises(rs.CheckpointError, match=named) as caught:
        load_attributes(saved)
    assert str(caught.value).startswith(f"{saved}/")


def test_damaged_weights_are_named(saved: Path):
    file = saved / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(rs.CheckpointError, match="weights"):
        load_attributes(saved)
    file.write_bytes(whole)
    arrays = load_file(file)
    save_file(
        {name: array for name, array in arrays.items() if "norm1" not in name} | {"w_avg": arrays.popitem()[1]}, file
    )
    with pytest.raises(rs.CheckpointError) as caught:
        load_attributes(saved)
    assert "missing     attributes.blocks.0.norm1.scale" in str(caught.value) and "unexpected  w_avg" in str(
        caught.value
    )


def test_other_kinds_are_told_apart(saved: Path, tmp_path: Path):
    with pytest.raises(rs.CheckpointError, match=r"found a model \(generator, encoder\)") as caught:
        load_attributes(tiny.checkpoint())
    assert "avatars/attributes.py" in str(caught.value)
    with pytest.raises(rs.CheckpointError, match="found an attribute network"):
        rs.load(saved)
    report = rs.inspect(saved)
    assert report["networks"]["attributes"]["choices"] == ["hat", "freckles"] and report["step"] == 7
    assert "scalars: yaw, smile" in describe(report)
    with pytest.raises(rs.CheckpointError, match="no directory"):
        load_attributes(tmp_path / "nothing")
    with pytest.raises(rs.CheckpointError, match="a directory without"):
        load_attributes(tmp_path)
