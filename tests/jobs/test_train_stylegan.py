"""Training runs of generators: from folders and avatars, continued exactly, and complaints about what they are given."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import restyle_jax
from data_pipelines.drawing import processes
from data_pipelines.drawing.styles import STYLES
from data_pipelines.prepare import prepare
from data_pipelines.source import open_split
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.train_stylegan import train_stylegan
from restyle_jax.jobs.training_data import read_labels
from restyle_jax.train import fields
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.stylegan_config import StyleGANTraining
from tests.nets.test_attributes import network
from tests.train import runs

SIZE = 8
CONFIG = StyleGANTraining(
    resolution=SIZE,
    channel_base=64,
    channel_max=8,
    w_dim=8,
    mapping_layers=1,
    path_length=0.0,
    batch_size=4,
    avatars=12,
    max_steps=6,
    log_every=2,
    image_every=3,
    eval_every=3,
    save_every=3,
    workers=1,
)


def pictures(folder: Path, count: int = 6, size: int = SIZE) -> Path:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = random.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def labelled(folder: Path, labels: dict[str, Any]) -> Path:
    file = folder / "dataset.json"
    file.write_text(json.dumps({"labels": list(labels.items())}))
    return file


def ignore(_: str) -> None: ...


def of_folder(folder: Path, **changes: Any) -> StyleGANTraining:
    return dataclasses.replace(CONFIG, data=folder, avatars=None, **changes)


def test_a_run_that_is_continued_is_the_uninterrupted_one(tmp_path: Path):
    """Real data, a checkpoint in the middle, the published model, and sheets of pictures."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train_stylegan(CONFIG, whole, say=ignore).step == 6
    train_stylegan(dataclasses.replace(CONFIG, max_steps=3), parts, say=ignore)
    said: list[str] = []
    train_stylegan(CONFIG, parts, say=said.append)
    assert any(line.startswith("continuing after step 3") for line in said)
    runs.assert_same(runs.arrays(whole, 6), runs.arrays(parts, 6))
    assert sorted(path.name for path in (parts / "images").iterdir()) == [
        f"{sheet}_{step:08d}.png" for sheet in ("samples", "truncation") for step in (3, 6)
    ]
    model = restyle_jax.load(parts / "latest")
    assert model.generator and model.discriminator and model.metadata["pictures"] == 24
    assert restyle_jax.generate(model, [0, 1]).shape == (2, SIZE, SIZE, 3)


def test_conditional_on_classes_of_a_folder_with_grey_and_transparent_pictures(tmp_path: Path):
    folder = pictures(tmp_path / "data")
    Image.new("L", (SIZE, SIZE), 90).save(folder / "0.png")
    Image.new("RGBA", (SIZE, SIZE), (9, 8, 7, 128)).save(folder / "1.png")
    labels = labelled(tmp_path, {f"{index}.png": index % 2 for index in range(6)})
    said: list[str] = []
    config = of_folder(folder, labels=labels, max_steps=2)
    assert train_stylegan(config, tmp_path / "run", say=said.append).step == 2
    assert "2 of 6 pictures are not RGB (1 of mode L, 1 of mode RGBA): they are converted when they are read" in said
    generator = restyle_jax.load(tmp_path / "run" / "latest").generator
    assert generator and generator.config.label_dim == 2


def test_what_is_not_finite_stops_the_run(tmp_path: Path):
    """With the name of the term and of the pictures, and the checkpoint before it intact."""
    train_stylegan(dataclasses.replace(CONFIG, max_steps=3), tmp_path / "run", say=ignore)
    before = runs.arrays(tmp_path / "run", 3)
    wild = dataclasses.replace(CONFIG, learning_rate=1e30, save_every=50)
    with pytest.raises(TrainingError) as caught:
        train_stylegan(wild, tmp_path / "wild", say=ignore)
    assert "discriminator_loss = nan" in str(caught.value) or "generator_loss = nan" in str(caught.value), caught.value
    assert "Pictures of the batch: 000000000" in str(caught.value)
    runs.assert_same(runs.arrays(tmp_path / "run", 3), before)


def test_snapshots_of_a_run_are_scored_by_one_network(tmp_path: Path):
    """That of the folder of its training; one that was not recorded, as by earlier versions, may be any. Checkpoints of other
    generators are refused."""
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    save_attributes(network(), {}, tmp_path / "run" / "best")
    other = network()
    other.head.kernel[...] *= 2
    save_attributes(other, {}, tmp_path / "other")
    changes: Any = {"features": tmp_path / "run", "snapshot_pictures": 4, "max_steps": 3, "r1": 0.0}
    config = dataclasses.replace(CONFIG, **changes)
    workdir = tmp_path / "generator"
    outcome = train_stylegan(config, workdir, say=ignore)
    assert outcome.best and outcome.best[1] == 3
    another = dataclasses.replace(config, features=tmp_path / "other")
    with pytest.raises(TrainingError, match="the weights of the network that scores"):
        train_stylegan(another, workdir, say=ignore)
    change_record(workdir, 3, lambda record: record.pop("scorer"))
    assert train_stylegan(another, workdir, say=ignore) == outcome
    change_record(workdir, 3, lambda record: record["sums"].pop())
    with pytest.raises(
        TrainingError, match=r"the checkpoint of step 3 has \d+ arrays, expected the \d+ that this version"
    ):
        train_stylegan(another, workdir, say=ignore)
    assert (workdir / "checkpoints" / "3").is_dir()


def change_record(workdir: Path, step: int, change: Callable[[dict[str, Any]], Any]) -> None:
    file = workdir / "checkpoints" / str(step) / "record" / "metadata"
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"avatars": 3}, "avatars: found 3 pictures, expected at least the 4 of a batch"),
        (
            {"avatars": 3, "batch_size": 2, "features": Path("avatars64/attributes")},
            "avatars: found 3 pictures, expected at least 4",
        ),
        ({"avatars": None}, "--data and --avatars: found neither"),
        ({"data": Path(__file__).parent}, "--data and --avatars: found both"),
        ({"avatars": None, "data": Path("nowhere")}, "--data: nowhere: there is no such file or folder"),
        ({"checkpoint": Path("nowhere.pt")}, "--checkpoint: nowhere.pt: there is no such file"),
        (
            {"features": Path("f.pt"), "labels": Path("l.json"), "avatars": None},
            "or the number of avatars to draw.\n  --features: f.pt: there is no such file or folder. Expected a feature network "
            "of snapshots, see `restyle eval-generator --help`.\n  --labels: l.json: there is no such file",
        ),
    ],
)
def test_missing_data(tmp_path: Path, changes: dict[str, Any], words: str):
    with pytest.raises(TrainingError) as caught:
        train_stylegan(dataclasses.replace(CONFIG, **changes), tmp_path / "run", say=ignore)
    assert words in str(caught.value) and not (tmp_path / "run").exists()


def test_a_style_of_avatars_belongs_to_a_run(tmp_path: Path):
    assert fields.choices(fields.hints(StyleGANTraining)["avatar_style"]) == STYLES
    comic = dataclasses.replace(CONFIG, avatar_style="comic", max_steps=1)
    assert train_stylegan(comic, tmp_path / "run", say=ignore).step == 1
    with pytest.raises(TrainingError, match="training data: 12 avatars, sha256"):
        train_stylegan(dataclasses.replace(comic, avatar_style="painted"), tmp_path / "run", say=ignore)


def test_a_checkpoint_may_be_a_name_of_the_zoo(tmp_path: Path):
    shipped = dataclasses.replace(CONFIG, checkpoint=Path("avatars64/stylegan2"))
    with pytest.raises(CheckpointError, match="networks for 64 px"):
        train_stylegan(shipped, tmp_path / "run", say=ignore)


def test_pictures_of_other_sizes(tmp_path: Path):
    folder = pictures(tmp_path / "data")
    Image.new("RGB", (16, SIZE)).save(folder / "wide.png")
    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(TrainingError) as caught:
        train_stylegan(of_folder(folder), tmp_path / "run", say=ignore)
    assert "found 6 of 8 x 8, 1 of 16 x 8, expected all of 8 x 8" in str(caught.value)
    assert "The first that differ: wide.png" in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "found no labels ('labels')"),
        ('{"labels": null}', "found no labels"),
        ("labels", "found no labels (Expecting value"),
        ('{"labels": [["0.png", -1], ["1.png", 0]]}', "found class -1 for 0.png"),
        ('{"labels": [["0.png", "dog"], ["1.png", 0]]}', "found class 'dog' for 0.png"),
        ('{"labels": [["0.png", 0], ["1.png", 7]]}', "found class 7 for 1.png"),
        ('{"labels": [["0.png", 0], ["1.png", 1], ["0.png", 1]]}', "found 0.png with class 0 and with class 1"),
        ('{"labels": [["a/0.png", 0], ["1.png", 1]]}', "1 of 2 pictures have no label, such as 0.png"),
    ],
)
def test_labels_that_do_not_match(tmp_path: Path, text: str, words: str):
    source = open_split(pictures(tmp_path / "data", 2), "train")
    file = tmp_path / "labels.json"
    file.write_text(text)
    with pytest.raises(TrainingError) as caught:
        read_labels(file, source)
    assert words in str(caught.value) and str(file) in str(caught.value)


def test_a_damaged_record_is_named_instead_of_a_label_that_is_missing(tmp_path: Path):
    (tmp_path / "in").mkdir()
    prepare("folder", pictures(tmp_path / "in" / "train").parent, tmp_path / "data")
    (file,) = (tmp_path / "data").glob("*.array_record*")
    content = bytearray(file.read_bytes())
    start = content.index((tmp_path / "in" / "train" / "4.png").read_bytes()[20:])
    content[start : start + 8] = bytes(8)
    file.write_bytes(content)
    labels = labelled(tmp_path, {f"{index}.png": index for index in range(6)})
    with pytest.raises(TrainingError, match="record 4 of train is damaged"):
        read_labels(labels, open_split(tmp_path / "data", "train"))


def test_a_process_that_cannot_draw_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "cores", lambda: 2)
    monkeypatch.setattr(processes.sys, "executable", "false")
    with pytest.raises(TrainingError, match=r"drawing\.processes train 8 .* failed"):
        train_stylegan(dataclasses.replace(CONFIG, avatars=2000), tmp_path / "run", say=ignore)


def test_a_dry_run_writes_nothing(tmp_path: Path):
    said: list[str] = []
    assert train_stylegan(CONFIG, tmp_path / "run", dry_run=True, say=said.append).step == 0
    assert any(line.startswith("planned memory of each device") for line in said) and not (tmp_path / "run").exists()
