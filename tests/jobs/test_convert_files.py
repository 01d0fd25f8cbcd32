"""`restyle convert` and `export` for latent classifiers and networks for edits by reference, both ways, and what they refuse."""

from pathlib import Path

import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints import load_classifier, load_editor, save_classifier, save_editor
from restyle_jax.cli import main
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from tests import networks, tiny
from tests.checkpoints.test_latent_classifier import same

K, D = 6, tiny.STYLE_DIM
CLASSIFIER = LatentClassifierConfig(K, D, ("smile", "hat"), widths=(8,), embedding=4)
EDITOR = EditTransformerConfig(K, "hat", style_dim=D, hidden=16, form="official")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both in our format; not to be changed."""
    folder = tmp_path_factory.mktemp("ours")
    save_classifier(networks.random(LatentClassifier, CLASSIFIER), {}, folder / "judge")
    save_editor(networks.random(EditTransformer, EDITOR), {}, folder / "editor")
    return {"judge": folder / "judge", "mover": folder / "editor"}


@pytest.fixture(scope="module")
def official(ours: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of reference editing, written by the command."""
    file = tmp_path_factory.mktemp("official") / "edit.pt"
    beside = ["--classifier", str(ours["judge"]), "--generator", str(tiny.checkpoint())]
    assert main(["export", str(ours["mover"]), str(file), *beside]) == 0
    return file


def test_a_classifier_there_and_back(ours: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file, again = tmp_path / "judge.pt", tmp_path / "again"
    assert main(["export", str(ours["judge"]), str(file)]) == 0
    assert "fcs.0.weight" in torch.load(file, weights_only=True)["state_dict"]
    assert main(["convert", str(file), str(again), "--style-dim", str(D)]) == 0
    found = load_classifier(again)
    assert found.config.attributes == ("attribute_0", "attribute_1") and found.config.num_styles == K
    same(found, load_classifier(ours["judge"]))
    capsys.readouterr()
    assert main(["inspect", str(again)]) == 0
    assert "classifier: " in capsys.readouterr().out
    assert main(["convert", str(file), str(tmp_path / "none")]) == 1
    assert "--style-dim" in capsys.readouterr().err


def test_all_networks_of_an_official_checkpoint(ours: dict[str, Path], official: Path, tmp_path: Path):
    wanted = ["convert", str(official)]
    assert main([*wanted, str(tmp_path / "editor"), "--network", "editor", "--attribute", "hat"]) == 0
    found = load_editor(tmp_path / "editor")
    assert found.config == EDITOR  # K is that of the generator in the file
    same(found, load_editor(ours["mover"]))
    assert main([*wanted, str(tmp_path / "judge"), "--network", "classifier"]) == 0
    same(load_classifier(tmp_path / "judge"), load_classifier(ours["judge"]))
    assert main([*wanted, str(tmp_path / "model")]) == 0
    same(rs.load(tmp_path / "model").require_generator()[0], rs.load(tiny.checkpoint()).require_generator()[0])
    assert rs.inspect(tmp_path / "judge")["networks"].keys() == {"classifier"}


def test_a_folder_of_ours_is_converted_to_a_copy(ours: dict[str, Path], tmp_path: Path):
    assert main(["convert", str(ours["mover"]), str(tmp_path / "copy")]) == 0
    same(load_editor(tmp_path / "copy"), load_editor(ours["mover"]))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["convert", "official", "--network", "editor"], "nothing about the attribute that it was trained for"),
        (["convert", "official", "--attribute", "hat"], "--attribute is for a network for edits by reference"),
        (["convert", "official", "--style-dim", "8"], "--style-dim is for a latent classifier, and this is a model"),
        (["convert", "judge", "--network", "editor"], "choose --network classifier"),
        (["export", "judge", "--format", "restyle"], "--format is for a model"),
        (["export", "judge", "--generator", "tiny"], "--generator is for a network for edits by reference"),
        (["export", "mover"], "Add --classifier FILE and --generator CKPT"),
        (["export", "mover", "--classifier", "judge", "--generator", "judge"], "found a latent classifier"),
        (["export", "mover", "--classifier", "judge", "--generator", "larger"], f"codes of {K} x {D}; expected"),
        (["export", "mover", "--classifier", "tiny", "--generator", "tiny"], "expected a directory with a latent"),
    ],
)
def test_what_is_refused(
    command: list[str],
    message: str,
    ours: dict[str, Path],
    official: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    known = {**ours, "official": official, "tiny": tiny.checkpoint(), "larger": tiny.checkpoint(resolution=32)}
    name, source, *options = [str(known.get(word, word)) for word in command]
    assert main([name, source, str(tmp_path / "out"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
