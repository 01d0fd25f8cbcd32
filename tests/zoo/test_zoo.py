"""Models by name: the table, files that are there, absent, or not the published ones, and the names in commands."""

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax import zoo
from restyle_jax.checkpoints.networks import load_face, load_vgg16
from restyle_jax.cli import main
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.workdir import model_in
from restyle_jax.zoo import official as official_models
from restyle_jax.zoo.entry import checked
from tests import official, weight_files


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models."""
    monkeypatch.setenv("RESTYLE_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("entry", official_models.ENTRIES, ids=lambda entry: entry.name)
def test_entries_are_whole(entry: zoo.Entry):
    assert re.fullmatch(r"official/[a-z0-9-]+", entry.name) and zoo.find(entry.name) is entry
    assert entry.page.startswith("https://") and entry.place and entry.licence and entry.what
    assert Path(entry.file).name == entry.file and Path(entry.file).suffix in (".pt", ".pth", ".pkl")
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", entry.sha256)
    assert entry.resolution is None or entry.resolution.bit_count() == 1


def test_no_name_and_no_file_is_there_twice():
    assert len({entry.name for entry in zoo.list()}) == len({entry.file for entry in zoo.list()}) == len(zoo.list())


def test_the_folder(models: Path, monkeypatch: pytest.MonkeyPatch):
    assert zoo.folder() == models and zoo.find("official/e4e-ffhq").path == models / "e4e_ffhq_encode.pt"
    monkeypatch.delenv("RESTYLE_MODELS")
    monkeypatch.setenv("HOME", "/home/someone")
    assert zoo.folder() == Path("/home/someone/.cache/restyle_jax/models")

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(CheckpointError, match="set RESTYLE_MODELS to the folder"):
        rs.load("official/e4e-ffhq")
    assert zoo.find("avatars64/psp").here


def test_an_absent_file_is_explained(models: Path):
    with pytest.raises(CheckpointError) as caught:
        rs.load("official/restyle-psp-ffhq")
    for words in (
        str(models / "restyle_psp_ffhq_encode.pt"),
        "'ReStyle-pSp'",
        "github.com/yuval-alaluf/restyle-encoder",
        "NVIDIA Source Code License-NC",
        "RESTYLE_MODELS",
    ):
        assert words in str(caught.value)
    assert not list(models.iterdir())


def test_an_unknown_name_gets_the_nearest(models: Path):
    with pytest.raises(CheckpointError, match=r"official/restyle-psp-ffhq or .*`restyle zoo` lists"):
        rs.inspect("official/restyle-psp-fhq")


def test_other_paths_are_left_alone(models: Path, monkeypatch: pytest.MonkeyPatch):
    assert zoo.resolve("runs/official/x.pt") == Path("runs/official/x.pt")
    monkeypatch.chdir(models)
    own = models / "official" / "psp-ffhq"
    own.mkdir(parents=True)
    assert zoo.resolve("official/psp-ffhq") == Path("official/psp-ffhq")  # what is there comes first


def test_a_checkpoint_by_its_name(models: Path):
    tree = official.checkpoint("ResNetBackboneEncoder", resolution=8)
    file = official.write(models / "restyle_psp_cars_encode.pt", tree)
    assert (
        rs.inspect("official/restyle-psp-cars")["path"] == str(file) == str(model_in(Path("official/restyle-psp-cars")))
    )
    by_name, by_path = rs.load("official/restyle-psp-cars"), rs.load(file)
    assert by_name.w_avg is not None and by_path.w_avg is not None
    np.testing.assert_array_equal(by_name.w_avg, by_path.w_avg)
    assert by_name.metadata == by_path.metadata


@pytest.mark.parametrize("digits", [8, 64])
def test_a_checksum_is_compared(models: Path, digits: int):
    (models / "some.pt").write_bytes(b"weights")
    known = hashlib.sha256(b"weights").hexdigest()[:digits]
    entry = dataclasses.replace(
        zoo.find("official/psp-ffhq"), name="official/some", file="some.pt", sha256=known, size=7
    )
    assert checked(entry) == models / "some.pt"
    (models / "some.pt").write_bytes(b"weights\n")
    with pytest.raises(
        CheckpointError, match=f"the SHA-256 [0-9a-f]{{64}} and 8 bytes; expected {known} .* of 7 bytes"
    ):
        checked(entry)


def test_weights_of_losses_by_name(models: Path):
    weight_files.face(models).rename(models / "model_ir_se50.pth")
    with pytest.raises(
        CheckpointError, match=r"model_ir_se50.pth: found the SHA-256 .* expected a035c768.*give its path"
    ):
        load_face("official/ir-se50")
    load_face(models / "model_ir_se50.pth")  # a path is not compared
    with pytest.raises(CheckpointError, match=r"vgg16-397923af.pth.*torchvision's VGG16.*download.pytorch.org"):
        load_vgg16("official/vgg16")


def test_the_command(models: Path, capsys: pytest.CaptureFixture[str]):
    (models / "ffhq.pkl").touch()
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(zoo.list()) + 2 and str(models) in lines[-1]
    here = [line.split()[0] for line in lines if " yes " in line]
    shipped = [entry.name for entry in zoo.list() if entry.shipped]
    assert here == [*shipped, "official/stylegan2-ada-ffhq"]
    assert main(["zoo", "official/ir-se50"]) == 0
    said = capsys.readouterr().out
    assert "175367323" in said and "a035c768" in said and "MIT" in said and "it is not there" in said
    assert main(["zoo", "official/resnet34"]) == 0 and "begins with 333f7ec4" in capsys.readouterr().out
    assert main(["zoo", "resnet"]) == 1 and "official/resnet" in capsys.readouterr().err
    assert main(["zoo", str(models / "ffhq.pkl")]) == 1
    said = capsys.readouterr().err
    assert "found a file, whose path is no name" in said and "`restyle inspect` says what a file is" in said
    arguments = ["generate", "--checkpoint", "official/e4e-ffhq", "--output", str(models / "out"), "--seeds", "0"]
    assert main([*arguments, "--no-compilation-cache"]) == 1 and "e4e_ffhq_encode.pt" in capsys.readouterr().err
    assert not (models / "out").exists()
