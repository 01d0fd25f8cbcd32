"""Identity and perceptual networks on disk: everything comes back, and where published files are read, so are these."""

import json
from pathlib import Path

import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints import describe
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import (
    load_identity,
    load_own_identity,
    load_own_perceptual,
    load_perceptual,
    save_identity,
    save_perceptual,
)
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from tests import tiny
from tests.nets.test_small_networks import identity, perceptual


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders `face` and `distance`; not to be changed."""
    folder = tmp_path_factory.mktemp("auxiliary")
    save_identity(identity(), {"step": 7}, folder / "face")
    save_perceptual(perceptual(), {"from": Path("a")}, folder / "distance")
    return folder


def test_everything_comes_back(saved: Path):
    found_again = load_own_identity(saved / "face"), load_own_perceptual(saved / "distance")
    for network, again in zip((identity(), perceptual()), found_again, strict=True):
        assert type(again) is type(network) and again.config == network.config and again.size == 16
        expected, found = flat_arrays(network), flat_arrays(again)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
    assert json.loads((saved / "distance" / "config.json").read_text())["metadata"] == {"from": "a"}


def test_folders_take_the_place_of_published_files(saved: Path):
    assert isinstance(load_identity(saved / "face"), IdentityNetwork)
    assert isinstance(load_perceptual("vgg", saved / "distance", None), PerceptualNetwork)
    with pytest.raises(rs.CheckpointError, match=r"model_ir_se50\.pth"):
        load_identity(saved / "nothing")
    with pytest.raises(rs.CheckpointError, match="alexnet"):
        load_perceptual("alex", None, None)


def test_other_kinds_are_told_apart(saved: Path):
    with pytest.raises(rs.CheckpointError, match="found an identity network") as caught:
        load_perceptual("alex", saved / "face", None)
    assert "a perceptual network" in str(caught.value) and "avatars/perceptual.py" in str(caught.value)
    with pytest.raises(rs.CheckpointError, match=r"found a model \(generator, encoder\)") as caught:
        load_identity(tiny.checkpoint())
    assert "avatars/identity.py" in str(caught.value)
    with pytest.raises(rs.CheckpointError, match="found a perceptual network"):
        load_attributes(saved / "distance")
    for folder, what in (("face", "an identity network"), ("distance", "a perceptual network")):
        with pytest.raises(rs.CheckpointError, match=f"found {what}"):
            rs.load(saved / folder)


def test_reports_say_what_is_there(saved: Path):
    report = rs.inspect(saved / "face")
    assert report["step"] == 7 and report["networks"]["identity"]["features"] == 12
    assert "widths: 8, 16" in describe(report)
    assert rs.inspect(saved / "distance")["networks"]["perceptual"]["resolution"] == 16


def test_damage_is_named(tmp_path: Path):
    save_identity(identity(), {}, tmp_path / "face")
    file = tmp_path / "face" / "config.json"
    config = json.loads(file.read_text())
    config["identity"]["widths"] = [8, 12]
    file.write_text(json.dumps(config))
    with pytest.raises(rs.CheckpointError, match=r"an impossible identity .*multiples of 8"):
        load_identity(tmp_path / "face")
    config["identity"]["widths"] = [8, 24]
    file.write_text(json.dumps(config))
    with pytest.raises(rs.CheckpointError, match="shape"):
        load_identity(tmp_path / "face")
