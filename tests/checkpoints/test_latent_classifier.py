"""Latent classifiers on disk: our format, and official files in both directions; damage and other kinds are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints import describe
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.latent_classifier import export_classifier, load_classifier, save_classifier, state_dict
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.report import report_on
from restyle_jax.nets.latent_classifier import CELEBA_ATTRIBUTES
from tests import official, tiny
from tests.nets.test_latent_classifier import TINY, network

ATTRIBUTES = ("attribute_0", "attribute_1", "attribute_2")


def same(a: object, b: object) -> None:
    first, second = flat_arrays(a), flat_arrays(b)  # pyright: ignore[reportArgumentType]
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_everything_comes_back(tmp_path: Path):
    save_classifier(network(), {"step": 3}, tmp_path / "saved")
    again = load_classifier(tmp_path / "saved")
    assert again.config == TINY
    same(again, network())
    report = rs.inspect(tmp_path / "saved")
    assert report["step"] == 3 and report["networks"]["classifier"]["attributes"] == ["smile", "hat", "age"]
    assert "attributes: smile, hat, age" in describe(report)
    with pytest.raises(rs.CheckpointError, match="found a latent classifier; expected a generator"):
        rs.load(tmp_path / "saved")
    with pytest.raises(
        rs.CheckpointError, match="found a latent classifier; expected a directory with an attribute network"
    ):
        load_attributes(tmp_path / "saved")
    with pytest.raises(rs.CheckpointError, match=r"found a model .*expected a directory with a latent classifier"):
        load_classifier(tiny.checkpoint())


@pytest.mark.parametrize("prefix", ["", "module.", "classifier.module.", "classifier."])
def test_official_files_of_any_size(prefix: str, tmp_path: Path):
    """Sizes come from the tensors; names do not exist in such files."""
    states = {prefix + key: array for key, array in state_dict(network()).items()}
    file = official.write(tmp_path / "classifier.pt", {"state_dict": states, "opts": {"label_nc": 3}})
    found = load_classifier(file, style_dim=8)
    assert found.config.attributes == ATTRIBUTES
    assert (found.config.num_styles, found.config.widths, found.config.embedding) == (4, (24, 16), 6)
    same(found, network())
    with pytest.raises(
        rs.CheckpointError, match=r"a latent classifier of 32 numbers; expected a multiple of style_dim = 512"
    ):
        load_classifier(file)


def test_export_is_what_torch_reads_and_we_read_back(tmp_path: Path):
    file = tmp_path / "deep" / "classifier.pt"
    with pytest.warns(UserWarning, match="does not keep the names"):
        export_classifier(network(), file)
    states = torch.load(file, weights_only=True)["state_dict"]
    assert list(states)[:4] == ["fcs.0.weight", "fcs.0.bias", "fcs.1.weight", "fcs.1.bias"]
    assert list(states)[4:6] == ["indep_fcs.0.weight", "indep_fcs.0.bias"] and list(states)[-1] == "output_fcs.2.bias"
    assert states["fcs.0.weight"].shape == (24, 32) and states["output_fcs.2.weight"].shape == (1, 6)
    same(load_classifier(file, style_dim=8), network())
    with pytest.raises(rs.CheckpointError, match="something that already exists"):
        export_classifier(network(), file)
    with pytest.warns(UserWarning):
        export_classifier(network(), file, overwrite=True)


def test_inspection_of_an_official_file():
    entries = official.entries("style_transformer/classifier", "classifier.module.")
    states = {key: np.broadcast_to(np.float32(0), shape) for key, shape, *_ in entries}
    report = report_on({"state_dict": states}, "torch-zip", "a.pt")
    assert json.loads(json.dumps(report)) == report
    found = report["networks"]["classifier"]
    assert report["kind"] == "latent classifier (Style Transformer)" and found["parameters"] == 20_583_464
    assert (found["num_styles"], found["style_dim"], found["widths"], found["embedding"]) == (18, 512, [2048, 512], 32)
    assert found["attributes"] == list(CELEBA_ATTRIBUTES)
    narrow = {**states, "classifier.module.fcs.0.weight": np.zeros((2048, 10 * 128), np.float32)}
    found = report_on({"state_dict": narrow}, "torch-zip", "a.pt")["networks"]["classifier"]
    assert found["embedding"] == 32 and "num_styles" not in found and "style_dim" not in found  # 5 x 256 as well
    del states["classifier.module.output_fcs.3.bias"]
    assert report_on({"state_dict": states}, "torch-zip", "a.pt")["missing"] == ["classifier.output_fcs.3.bias"]


def test_damaged_files_are_named(tmp_path: Path):
    whole = state_dict(network())
    states = {**official.without(whole, "fcs.1.bias", "indep_fcs.2.weight"), "fcs.0.extra": np.zeros(2, np.float32)}
    states["output_fcs.1.weight"] = np.zeros((2, 6), np.float32)
    with pytest.raises(rs.CheckpointError) as caught:
        load_classifier(official.write(tmp_path / "a.pt", {"state_dict": states}), style_dim=8)
    for line in (
        "missing     fcs.1.bias (16)",
        "missing     indep_fcs.2.weight",
        "unexpected  fcs.0.extra",
        "shape       output",
    ):
        assert line in str(caught.value)
    few = official.write(tmp_path / "b.pt", {"fcs.0.weight": whole["fcs.0.weight"]})
    with pytest.raises(rs.CheckpointError, match="too few to tell its size"):
        load_classifier(few, style_dim=8)
    with pytest.raises(rs.CheckpointError, match="load_classifier or load_editor"):
        rs.load(official.write(tmp_path / "c.pt", whole))
    other = official.write(tmp_path / "d.pt", official.checkpoint("BackboneEncoder"))
    with pytest.raises(
        rs.CheckpointError, match=r"found a ReStyle, pSp or e4e checkpoint; expected a latent classifier"
    ):
        load_classifier(other)
