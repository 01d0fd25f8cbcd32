"""Training on codes: latent classifiers and edits by reference, from files to networks that do what they should."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.avatars import AvatarSource
from restyle_jax.checkpoints import load_classifier, load_editor
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.edit import label, reference
from restyle_jax.jobs.experiment import train
from restyle_jax.train.code_config import LatentClassifierTraining, ReferenceEditTraining
from restyle_jax.train.errors import TrainingError
from tests.train import runs

COUNT, STYLES, DIM = 400, 3, 16
ATTRIBUTES = ("Bangs", "Hat")
MEAN = 2 * np.random.default_rng(7).standard_normal((STYLES, DIM))


def codes(count: int, seed: int) -> np.ndarray:
    """Codes around a mean that differs from style to style, as those of photos."""
    spread = np.random.default_rng(seed).standard_normal((count, STYLES, DIM))
    return (spread + MEAN).astype(np.float32)


def has(values: np.ndarray) -> np.ndarray:
    """bool[N, 2]: each attribute shows in one number of one style."""
    return np.stack([values[:, 0, 1] > MEAN[0, 1], values[:, 2, 3] > MEAN[2, 3]], 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codes with attributes, see `codes`, in the forms that users have. Not to be changed."""
    folder = tmp_path_factory.mktemp("codes")
    values = codes(COUNT, seed=0)
    names = [f"{number:06}.jpg" for number in range(COUNT)]
    steps: dict[str, Any] = {
        name: np.stack([np.zeros_like(code), code]) for name, code in zip(names, values, strict=True)
    }
    np.savez(folder / "latents.npz", **steps)
    signs = np.where(has(values), 1, -1)
    lines = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, signs.tolist(), strict=True)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(COUNT), " ".join(ATTRIBUTES), *lines]))
    return folder


def classifier_config(data: Path, **fields: Any) -> LatentClassifierTraining:
    usual = LatentClassifierTraining(
        data=data / "latents.npz",
        labels=data / "list_attr_celeba.txt",
        batch_size=32,
        max_steps=120,
        decay_at=100,
        eval_every=60,
        save_every=60,
        log_every=20,
        widths=(24, 16),
        embedding=4,
        learning_rate=5e-3,
    )
    return dataclasses.replace(usual, **fields)


def editor_config(data: Path, classifier: Path, **fields: Any) -> ReferenceEditTraining:
    usual = ReferenceEditTraining(
        data=data / "latents.npz",
        classifier=classifier,
        attribute="Hat",
        batch_size=32,
        test_batch_size=8,
        max_steps=225,
        eval_every=75,
        save_every=75,
        log_every=25,
        heads=2,
        hidden=16,
        learning_rate=1e-2,
        l2=0.1,
    )
    return dataclasses.replace(usual, **fields)


@pytest.fixture(scope="module")
def classified(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    workdir = tmp_path_factory.mktemp("classifier")
    said: list[str] = []
    outcome = train(classifier_config(data), workdir, say=said.append)
    assert outcome.step == 120 and outcome.best and said[-1].startswith("Trained 120 steps; the best network, of step")
    return workdir


def test_a_classifier_learns_what_is_in_codes(data: Path, classified: Path):
    losses = [line["loss"] for line in runs.lines(classified, "train")]
    assert losses[-1] < 0.3 < 0.5 < losses[0]
    rates = [line["learning_rate"] for line in runs.lines(classified, "train")]
    assert rates[0] == pytest.approx(5e-3) and rates[-1] == pytest.approx(5e-4)
    first, last = runs.lines(classified, "test")
    assert last["accuracy"] > 0.85 and last["average_precision"] > 0.9 and last["calibration_error"] < 0.25
    for name in ("accuracy", "average_precision", "calibration_error"):
        assert last[name] == pytest.approx(np.mean([last[f"{name}/{attribute}"] for attribute in ATTRIBUTES]))
    assert first["step"] == 60 and first.keys() == last.keys()


def test_what_is_published_is_the_classifier_that_was_judged(data: Path, classified: Path):
    network = load_classifier(classified / "latest")
    config = network.config
    assert (config.attributes, config.num_styles, config.style_dim) == (ATTRIBUTES, STYLES, DIM)
    assert json.loads((classified / "latest" / "config.json").read_text())["metadata"]["step"] == 120
    with np.load(data / "latents.npz") as file:
        held_out = np.stack([file[name][-1] for name in sorted(file.files)[-40:]])
    right = (np.asarray(network(jnp.asarray(held_out)).logits) > 0) == has(held_out)
    assert right.mean() == pytest.approx(runs.lines(classified, "test")[-1]["accuracy"])


def test_its_directions_are_those_of_the_attributes(data: Path, classified: Path):
    network = load_classifier(classified / "best")
    w = codes(20, seed=1)
    moved = np.asarray(label.edit(network, w, "Hat", 1, 1.0, method=label.Method(normalise="global")) - w)
    assert moved[:, 2, 3].mean() > 0.7


def test_a_run_continues_to_the_same_network(data: Path, classified: Path, tmp_path: Path):
    again = Path(shutil.copytree(classified, tmp_path / "run"))
    shutil.rmtree(again / "checkpoints" / "120")
    shutil.rmtree(again / "latest")
    said: list[str] = []
    assert train(classifier_config(data), again, say=said.append).step == 120
    assert "continuing after step 60 of 120, batch 60" in said
    whole, continued = (flat_arrays(load_classifier(folder / "latest")) for folder in (classified, again))
    runs.assert_same(whole, continued)


def test_an_editor_takes_the_attribute_over_and_keeps_the_others(data: Path, classified: Path, tmp_path: Path):
    said: list[str] = []
    outcome = train(editor_config(data, classified), tmp_path, say=said.append)
    assert outcome.step == 225 and said[-1].startswith("Trained 225 steps; the best network")
    train_lines, test_lines = runs.lines(tmp_path, "train"), runs.lines(tmp_path, "test")
    assert train_lines[-1]["loss"] < 0.8 * train_lines[0]["loss"] and len(test_lines) == 3
    assert {"loss/1", "l2/1", "l2_ref/1", "l2_src/1"} < test_lines[0].keys()
    editor, judge = load_editor(tmp_path / "best"), load_classifier(classified / "best")
    assert (editor.config.attribute, editor.config.form, editor.config.num_styles) == ("Hat", "paper", STYLES)
    w = codes(60, seed=2)
    edited = jnp.stack([reference.edit(editor, w[i : i + 1], w[30 + i : 31 + i])[0, 0] for i in range(30)])
    source, target, result = (np.asarray(judge(jnp.asarray(codes_)).embeddings) for codes_ in (w[:30], w[30:], edited))
    assert np.square(result - target)[:, 1].mean() < 0.7 * np.square(source - target)[:, 1].mean()
    assert np.square(result - source)[:, 0].mean() < np.square(target - source)[:, 0].mean()


def test_avatars_need_no_labels(tmp_path: Path):
    source = AvatarSource("train", 30, 64)
    random = np.random.default_rng(0)
    steps: dict[str, Any] = {source.name(i): random.standard_normal((1, STYLES, DIM), np.float32) for i in range(30)}
    np.savez(tmp_path / "latents.npz", **steps)
    config = classifier_config(tmp_path, labels=None, batch_size=8, max_steps=2, eval_every=2, save_every=2)
    train(config, tmp_path / "run", say=lambda _: None)
    assert "hat_beanie" in load_classifier(tmp_path / "run" / "latest").config.attributes
    (line,) = runs.lines(tmp_path / "run", "test")
    assert (
        "accuracy/smile" in line and np.isfinite([value for value in line.values() if isinstance(value, float)]).all()
    )


def test_a_dry_run_writes_nothing(data: Path, tmp_path: Path):
    said: list[str] = []
    train(classifier_config(data), tmp_path / "run", dry_run=True, say=said.append)
    assert any("planned memory" in line for line in said) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": None}, "data: found none, expected the latents.npz of `restyle invert`"),
        (
            {"data": Path("nothing.npz")},
            "--data: nothing.npz: there is no such file or folder. Expected the latents.npz",
        ),
        ({"test_share": 1.0}, "test_share: found 1.0, expected a part between 0 and 1"),
        ({"micro_batches": 2}, "micro_batches: found 2"),
        ({"test_data": Path("photos")}, "test_data: found photos"),
        ({"labels": None}, "000000.jpg, 000001.jpg, 000002.jpg and others of 400 photos are not named as avatars are"),
        (
            {"labels": Path("nothing.txt")},
            "--labels: nothing.txt: there is no such file or folder. Expected a list of labels",
        ),
        ({"embedding": 0, "decay_at": 0}, "embedding: found 0, expected 1 or more; decay_at: found 0, expected 1"),
    ],
)
def test_impossible_classifiers_say_what_is_wrong(wrong: dict[str, Any], message: str, data: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match=re.escape(message)):
        train(dataclasses.replace(classifier_config(data), **wrong), tmp_path / "run", say=lambda _: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 7}, "batch_size: found 7, expected an even number"),
        ({"attribute": "Beard"}, "attribute 'Beard' is unknown to the classifier; it knows Bangs, Hat"),
        ({"attribute": ""}, "attribute: found none"),
        ({"classifier": None}, "classifier: found none, expected a latent classifier"),
        (
            {"data": Path("a.npz"), "classifier": Path("nowhere")},
            "missing; nothing was started.\n  --data: a.npz: there is no such file or folder. Expected the latents.npz that "
            "`restyle invert` writes.\n  --classifier: nowhere: there is no such file or folder",
        ),
        ({"heads": 3}, "multiple of the number of heads"),
        ({"dropout": 1.0}, "dropout: found 1.0"),
        ({"form": "code"}, "form: found 'code', expected one of paper, official"),
    ],
)
def test_impossible_editors_say_what_is_wrong(
    wrong: dict[str, Any], message: str, data: Path, classified: Path, tmp_path: Path
):
    with pytest.raises(TrainingError, match=re.escape(message)):
        train(dataclasses.replace(editor_config(data, classified), **wrong), tmp_path / "run", say=lambda _: None)
    assert not (tmp_path / "run").exists()


def test_labels_and_classifiers_that_do_not_fit_name_both_sides(data: Path, classified: Path, tmp_path: Path):
    (tmp_path / "labels.csv").write_text("photo,Bangs\nme.jpg,1\n")
    with pytest.raises(
        TrainingError, match=r"no labels for 360 of 360 photos .*such as 000000\.jpg.*names 1 photos, such as me\.jpg"
    ):
        train(classifier_config(data, labels=tmp_path / "labels.csv"), tmp_path / "run")
    longer: dict[str, Any] = {name: np.zeros((1, STYLES + 1, DIM), np.float32) for name in "abcd"}
    np.savez(tmp_path / "latents.npz", **longer)
    with pytest.raises(TrainingError, match=r"classifier for codes of 3 x 16 numbers, but .*latents\.npz has 4 x 16"):
        train(editor_config(tmp_path, classified), tmp_path / "run")
