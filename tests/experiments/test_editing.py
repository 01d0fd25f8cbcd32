"""The comparison of methods of editing, on tiny models that know nothing: its numbers against plain formulas."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import restyle_jax as rs
from data_pipelines.avatars import AvatarSource, render
from experiments.avatars import editing_report
from experiments.avatars.editing import main
from experiments.avatars.editing_measures import equal_change, inverted
from experiments.avatars.editing_methods import BATCH, FITTED, METHODS, OWN, REFERENCE, SHARED, Target
from restyle_jax.checkpoints.attributes import load_attributes, save_attributes
from restyle_jax.checkpoints.auxiliary import (
    load_own_identity,
    load_own_perceptual,
    save_identity,
    save_perceptual,
)
from restyle_jax.checkpoints.edit_transformer import save_editor
from restyle_jax.checkpoints.latent_classifier import load_classifier, save_classifier
from restyle_jax.edit import label
from restyle_jax.edit.direction import apply
from restyle_jax.edit.files import read_directions
from restyle_jax.jobs.edit_measures import judge_of_pictures, readings_of
from restyle_jax.jobs.train_attributes import avatar_attributes
from restyle_jax.model import invert, synthesise
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig, PerceptualNetwork
from restyle_jax.ops.batches import in_batches
from restyle_jax.ops.images import to_float
from tests import networks, tiny

SIZE, K, PICTURES, CHANGE = 16, 6, 5, 0.3
SMILE, GLASSES = "smile", "glasses=none:down"
LABELS = ("smile", "hair_colour_blond")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    judge = LatentClassifierConfig(K, tiny.STYLE_DIM, LABELS, widths=(16,), embedding=4)
    mover = EditTransformerConfig(K, "smile", style_dim=tiny.STYLE_DIM, hidden=16)
    made: dict[str, tuple[Any, Any, Any]] = {
        "attributes": (save_attributes, AttributeNetwork, avatar_attributes(SIZE, (8, 8), 8)),
        "identity": (save_identity, IdentityNetwork, IdentityConfig(SIZE, (8, 8), 8)),
        "perceptual": (save_perceptual, PerceptualNetwork, PerceptualConfig(SIZE, (8, 8))),
        "classifier": (save_classifier, LatentClassifier, judge),
        "editor": (save_editor, EditTransformer, mover),
    }
    for name, (save, kind, config) in made.items():
        save(networks.random(kind, config), {}, folder / name)
    model = rs.load(tiny.checkpoint(in_channels=3))
    for layer in model.require_generator()[0].mapping.layers:
        layer.kernel[...] = 100 * layer.kernel[...]  # so that codes differ
    rs.save(model, folder / "encoder")
    shutil.copytree(folder / "encoder", folder / "copy")  # another encoder, but the same programs
    return {name: folder / name for name in (*made, "encoder", "copy")}


def asked(models: dict[str, Path], output: Path, **changes: Any) -> list[str]:
    """The command line, with two encoders, and one of the zoo that is not there."""
    encoders = [models["encoder"], models["copy"], "avatars64/none"]
    options = {
        "output": output,
        "generator": models["encoder"],
        "encoders": encoders,
        "targets": [SMILE, GLASSES],
        "pictures": PICTURES,
        "samples": 120,
        "change": CHANGE,
        **{name: path for name, path in models.items() if name not in ("encoder", "copy")},
        **changes,
    }
    line = []
    for name, value in options.items():
        line += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return line


def test_a_report(tmp_path: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]):
    report = tmp_path / "report"
    line = asked(models, report)
    results = main(line)
    tables = capsys.readouterr().out
    assert json.loads((report / "results.json").read_text()) == results
    assert list(results["encoders"]) == line[line.index("--encoders") + 1 :][:2]
    assert "avatars64/none" in results["left_out"] and "Left out: avatars64/none" in tables
    assert tables.strip() == (report / "tables.md").read_text().strip() and f"### {GLASSES} by 0.3 sd" in tables
    reached = 0
    for encoder in results["encoders"].values():
        for target in (SMILE, GLASSES):
            assert list(encoder["edits"][target]) == [*METHODS]
            for edit in encoder["edits"][target].values():
                if edit.get("reached"):
                    reached += 1
                    assert edit["change"] == pytest.approx(CHANGE, rel=0.011)
                    assert 0 <= edit["dependency"] <= edit["dependency_max"] and abs(edit["identity"]) <= 1.001
                elif "left_out" not in edit:
                    assert edit["change"] < CHANGE
        assert "does not know glasses_none" in encoder["edits"][GLASSES][OWN]["left_out"]
        assert "was trained for smile" in encoder["edits"][GLASSES][REFERENCE]["left_out"]
        assert "left_out" not in encoder["edits"][SMILE][REFERENCE]
    assert reached > 8
    found = [encoder["edits"][SMILE]["InterFaceGAN"] for encoder in results["encoders"].values()]
    others = [edit["dependency"] for edit in found if edit["reached"]]
    mean = f"{np.mean(others):.3f}" if others else ""
    assert f"| {SMILE} | InterFaceGAN | {len(others)} of 2 | {mean} |" in tables
    ElementTree.parse(report / "editability.svg")
    strips = sorted((report / "strips").rglob("*.png"))
    assert len(strips) == 4
    with Image.open(strips[0]) as strip:
        assert strip.width > strip.height / 2

    check_numbers(results, models, report)
    times = {strip: strip.stat().st_mtime_ns for strip in strips}
    command = [sys.executable, "-m", "experiments.avatars.editing", *line]  # nothing is measured again
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == tables, done.stderr
    assert {strip: strip.stat().st_mtime_ns for strip in strips} == times
    with pytest.raises(SystemExit):
        main(asked(models, report, change=2))
    assert "change: 0.3 there, 2.0 now" in capsys.readouterr().err


def called(network: Any, *pictures: jax.Array) -> jax.Array:
    return network(*pictures)


def check_numbers(results: dict[str, Any], models: dict[str, Path], report: Path) -> None:
    """A direction of W, labels and their mean, written out."""
    path = models["encoder"]
    model, encoder = rs.load(path), results["encoders"][str(path)]
    judge = judge_of_pictures(models["attributes"], model, lambda names: None, batch_size=BATCH)
    network = load_attributes(models["attributes"])
    source = AvatarSource("test", 4 * PICTURES, SIZE)
    pictures = to_float(render(source.described(4 * np.arange(PICTURES)), SIZE))
    codes = inverted(model, pictures)
    filled = invert(model, np.resize(pictures, (BATCH, *pictures.shape[1:])))  # as large as there: one program for both
    np.testing.assert_array_equal(codes, filled.latents[-1][:PICTURES])
    before = np.clip(synthesise(model, codes, batch_size=BATCH), -1, 1)
    assert encoder["reconstruction"]["l2"] == pytest.approx(np.square(before - pictures).mean(), rel=1e-4)

    smile = judge.names.index("smile")
    values = in_batches(lambda part: readings_of(network, part), before, BATCH)
    identity, perceptual = load_own_identity(models["identity"]), load_own_perceptual(models["perceptual"])
    n = np.asarray(label.directions(load_classifier(models["classifier"]), codes, "smile", 1))
    mean = n.mean(0) / np.linalg.norm(n.mean(0), axis=-1, keepdims=True)
    (boundary,) = read_directions(report / "directions" / "smile-interfacegan.npz")
    checked = 0
    for method, moved in (
        (OWN, lambda s: codes + s * n),
        (SHARED, lambda s: codes + s * mean),
        ("InterFaceGAN", lambda s: np.asarray(apply(boundary, codes, s))),
    ):
        edit = encoder["edits"][SMILE][method]
        after = np.clip(synthesise(model, moved(np.float32(edit["strength"])), batch_size=BATCH), -1, 1)
        change = (in_batches(lambda part: readings_of(network, part), after, BATCH) - values) / judge.spread
        assert edit["change"] == pytest.approx(change[:, smile].mean(), rel=2e-3, abs=1e-4)
        if not edit["reached"]:
            continue
        checked += 1
        others = np.delete(np.abs(change), smile, axis=1).mean(0)
        choices = np.delete(["=" in name for name in judge.names], smile)
        for key, expected in {
            "dependency": others.mean(),
            "dependency_max": others.max(),
            "dependency_numbers": others[~choices].mean(),
            "dependency_choices": others[choices].mean(),
            "perceptual": networks.apply(perceptual, called, after, before).mean(),
            "identity": (networks.apply(identity, called, before) * networks.apply(identity, called, after))
            .sum(1)
            .mean(),
        }.items():
            assert edit[key] == pytest.approx(float(expected), rel=2e-3, abs=1e-5), (method, key)
    assert checked > 1


def test_directions_are_kept_for_other_commands(tmp_path: Path, models: dict[str, Path]):
    """Without networks beside the required ones their methods and columns are left out."""
    report = tmp_path / "report"
    missing = {name: "avatars64/none" for name in ("identity", "perceptual", "classifier", "editor")}
    results = main(asked(models, report, **missing, encoders=[models["copy"]], targets=[SMILE], change=50))
    assert set(missing) == set(results["left_out"])
    edits = results["encoders"][str(models["copy"])]["edits"][SMILE]
    assert all(not edits[method]["reached"] and "identity" not in edits[method] for method in FITTED)
    assert all("there is no" in edits[method]["left_out"] for method in METHODS if method not in FITTED)
    assert "cannot be said" in results["claim"]["sentence"]
    for method in FITTED:
        (direction,) = read_directions(report / "directions" / f"smile-{method.lower()}.npz")
        assert direction.metadata["method"] == method.lower()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["smirk"]}, "no attribute 'smirk'"),
        ({"targets": ["smile:up"]}, "no attribute 'smile:up'"),
        ({"targets": [":down"]}, "expected a name such as smile"),
        ({"change": -1}, "expected a positive number"),
        ({"pictures": 1}, "expected at least 2"),
        ({"encoders": ["avatars64/none"]}, "no encoder to measure"),
        ({"encoders": ["runs/nothing"]}, "runs/nothing"),
        ({"encoders": [tiny.checkpoint(1)]}, "a generator that makes other pictures"),
    ],
)
def test_bad_input(
    tmp_path: Path, models: dict[str, Path], changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit) as stopped:
        main(asked(models, tmp_path / "report", **{"targets": [SMILE], **changes}))
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_a_network_of_another_kind_is_refused(tmp_path: Path, models: dict[str, Path], capsys: pytest.CaptureFixture):
    other = EditTransformer(EditTransformerConfig(4, "smile", style_dim=16, heads=1, hidden=8), rngs=nnx.Rngs(0))
    save_editor(other, {}, tmp_path / "editor")
    with pytest.raises(SystemExit):
        main(asked(models, tmp_path / "report", editor=tmp_path / "editor", targets=[SMILE]))
    assert "a network for codes of 4 x 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "reached"),
    [
        (lambda s: 0.3 * s, True),
        (lambda s: np.tanh(s), True),
        (lambda s: 0.9 * np.tanh(s), False),
        (lambda s: -s, False),
        (lambda s: np.sin(s), True),
        (lambda s: 0.5 * (s > 2) + 0.6 * (s > 2.5), True),
    ],
)
def test_strengths_of_equal_change(change: Any, reached: bool):
    asked_for: list[float] = []

    def counted(strength: float) -> float:
        asked_for.append(strength)
        return float(change(strength))

    found = equal_change(counted, 0.95, 10.0)
    assert found.reached == reached and found.change == change(found.strength) and len(asked_for) < 20
    if reached and change(2.4) != 0.5:
        assert found.change == pytest.approx(0.95, rel=0.01)
    if not reached:
        assert found.change == max(map(change, asked_for)) < 0.95


def test_the_claim():
    def edit(dependency: float, identity: float, reached: bool = True) -> dict[str, Any]:
        return {"reached": reached, "dependency": dependency, "identity": identity} if reached else {"reached": False}

    edits = {"smile": {OWN: edit(0.1, 0.9), SHARED: edit(0.2, 0.8), "InterFaceGAN": edit(0.05, 0.7)}}
    edits["yaw"] = {OWN: edit(0.3, 0.7), SHARED: edit(0.4, 0.8), "InterFaceGAN": edit(0.2, 0.9)}
    edits["age"] = {OWN: edit(9, 9, False), SHARED: edit(9, 9), "InterFaceGAN": edit(9, 9)}
    found = editing_report.claim({"psp": {"edits": edits}})
    assert found["pairs"] == 2 and found["means"][OWN] == pytest.approx({"dependency": 0.2, "identity": 0.8})
    assert found["better"] == {
        SHARED: {"dependency": 2, "identity": 1},
        "InterFaceGAN": {"dependency": 0, "identity": 1},
    }
    assert "holds in part" in found["sentence"]


def test_targets():
    target = Target.parse(GLASSES)
    assert (target.column, target.sign, target.label, target.name) == ("glasses=none", -1, "glasses_none", GLASSES)
