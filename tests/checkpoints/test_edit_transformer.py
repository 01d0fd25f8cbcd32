"""Networks for edits by reference on disk: our format, and whole checkpoints of the official code in both directions."""

import dataclasses
from pathlib import Path

import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints import (
    describe,
    export_editor,
    load_classifier,
    load_editor,
    save_editor,
)
from restyle_jax.checkpoints.latent_classifier import state_dict
from tests import official, tiny
from tests.checkpoints.test_latent_classifier import same
from tests.nets.test_edit_transformer import OFFICIAL, TINY, editor
from tests.nets.test_latent_classifier import network


def test_everything_comes_back(tmp_path: Path):
    save_editor(editor(), {"step": 3}, tmp_path / "saved")
    again = load_editor(tmp_path / "saved")
    assert again.config == TINY
    same(again, editor())
    assert "attribute: hat" in describe(rs.inspect(tmp_path / "saved"))
    with pytest.raises(
        rs.CheckpointError, match="found a network for edits by reference; expected a directory with a latent"
    ):
        load_classifier(tmp_path / "saved")


FOUR_HEADS = dataclasses.replace(OFFICIAL, heads=4)  # which tensors do not tell


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the official code; not to be changed."""
    file = tmp_path_factory.mktemp("official") / "edit.pt"
    export_editor(editor(FOUR_HEADS), network(), rs.load(tiny.checkpoint()), file)
    return file


def test_all_three_networks_come_back_from_an_official_checkpoint(exported: Path):
    found = load_editor(exported, attribute="hat", num_styles=4)
    assert found.config == FOUR_HEADS
    same(found, editor(FOUR_HEADS))
    same(load_classifier(exported, style_dim=8), network())
    model, before = rs.load(exported), rs.load(tiny.checkpoint())
    assert model.encoder is None
    same(model.require_generator()[0], before.require_generator()[0])
    report = rs.inspect(exported)
    assert report["kind"] == "reference-editing checkpoint (Style Transformer)" and not report["missing"]
    assert set(report["networks"]) == {"generator", "classifier", "editor"} and not report["unexpected"]
    with pytest.raises(rs.CheckpointError, match="nothing about the attribute that it was trained for"):
        load_editor(exported)


def test_the_export_has_the_keys_of_the_official_code(exported: Path):
    tree = torch.load(exported, weights_only=True)
    keys = [key for key in tree["state_dict"] if key.startswith("encoder.")]
    listed = official.entries("style_transformer/edit_transformer", "encoder.module.")
    assert keys == [key for key, *_ in listed]
    assert {key.split(".")[0] for key in tree["state_dict"]} == {"encoder", "decoder", "classifier"}
    assert all(key.split(".")[1] == "module" for key in tree["state_dict"])
    assert tree["latent_avg"].shape == (32,)


def test_what_the_official_code_cannot_be(tmp_path: Path):
    with pytest.raises(rs.CheckpointError, match="found a network of the paper form with 2 heads"):
        export_editor(editor(), network(), rs.load(tiny.checkpoint()), tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_named(exported: Path, tmp_path: Path):
    states = {key: value.numpy() for key, value in torch.load(exported, weights_only=True)["state_dict"].items()}
    editing = {key: array for key, array in states.items() if key.startswith("encoder.")}
    del editing["encoder.module.transformerlayer.norm2.bias"]
    file = official.write(tmp_path / "a.pt", {"state_dict": editing})
    with pytest.raises(rs.CheckpointError, match=r"missing     transformerlayer\.norm2\.bias \(8\)"):
        load_editor(file, attribute="hat", num_styles=4)
    with pytest.raises(rs.CheckpointError, match="found a reference-editing checkpoint"):
        load_classifier(file)
    with pytest.raises(rs.CheckpointError, match="load_classifier or load_editor"):
        rs.load(file)
    with pytest.raises(rs.CheckpointError, match=r"found a latent classifier .*expected a checkpoint with encoder"):
        load_editor(official.write(tmp_path / "b.pt", state_dict(network())), attribute="hat")
