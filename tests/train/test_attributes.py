"""Training of an attribute network on avatars: what is known about the pictures, the loss, whole runs of a tiny network."""

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
from data_pipelines.drawing import processes
from data_pipelines.drawing.factors import FACTORS
from experiments.avatars import attribute_accuracy
from experiments.avatars.attributes import config as published
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.jobs.train_attributes import avatar_attributes, train_attributes
from restyle_jax.nets.attributes import Attributes
from restyle_jax.train.attribute_config import AttributeTraining
from restyle_jax.train.attributes import errors, table
from restyle_jax.train.avatar_config import problems
from restyle_jax.train.errors import TrainingError
from tests.train import runs

CONFIG = AttributeTraining(
    batch_size=8,
    test_batch_size=8,
    max_steps=60,
    warmup=5,
    pictures=32,
    test_pictures=12,
    resolution=16,
    widths=(8, 16),
    num_features=24,
    learning_rate=1e-2,
    log_every=10,
    image_every=60,
    eval_every=30,
    save_every=30,
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CONFIG; not to be changed."""
    workdir = tmp_path_factory.mktemp("attributes")
    said: list[str] = []
    outcome = train_attributes(CONFIG, workdir, say=said.append)
    assert outcome.step == 60 and outcome.best and said[-1].startswith("Trained 60 steps; the best network, of step")
    return workdir


def test_every_factor_is_an_output():
    config = avatar_attributes(64, published.widths, published.num_features)
    names = {name for name, *_ in config.scalars} | set(config.angles) | {name for name, _ in config.choices}
    assert names == set(FACTORS)
    assert config.angles == ("light_direction", "background_hue", "clothes_hue")
    assert dict(config.choices)["hat"] == ("none", "beanie", "cap", "brim")


def test_the_table_says_what_is_in_the_pictures():
    config = avatar_attributes(64, published.widths, published.num_features)
    described = AvatarSource("test", 50, 64).described(np.arange(50))
    known = table(config, described)
    assert {name: rows.dtype.name for name, rows in known.items()} == {
        **{"scalars": "float32", "angles": "float32", "choices": "int32"}
    }
    assert 0 <= known["scalars"].min() < 0.1 and 0.9 < known["scalars"].max() <= 1
    yaw = [name for name, *_ in config.scalars].index("yaw")
    np.testing.assert_allclose(known["scalars"][:, yaw] * 70 - 35, described["yaw"], atol=1e-4)
    hue = known["angles"][:, config.angles.index("clothes_hue")]
    np.testing.assert_allclose(np.rad2deg(np.arctan2(hue[:, 1], hue[:, 0])) % 360, described["clothes_hue"], atol=1e-3)
    hat = [name for name, _ in config.choices].index("hat")
    np.testing.assert_array_equal(known["choices"][:, hat], described["hat"])


def test_the_table_refuses_what_does_not_fit():
    config = avatar_attributes(64, published.widths, published.num_features)
    described = AvatarSource("test", 3, 64).described(np.arange(3))
    with pytest.raises(ValueError, match="hat beyond the range"):
        table(config, described | {"hat": np.full(3, 4)})
    with pytest.raises(ValueError, match="smile, hat missing"):
        table(config, {name: value for name, value in described.items() if name not in ("smile", "hat")})


def test_errors_are_0_for_who_knows_and_1_for_who_does_not_look():
    config = avatar_attributes(64, published.widths, published.num_features)
    known = table(config, AvatarSource("train", 4000, 64).described(np.arange(4000)))
    sizes = [len(values) for _, values in config.choices]
    sure = {
        name: 50 * jnp.eye(size)[known["choices"][:, i]]
        for i, ((name, _), size) in enumerate(zip(config.choices, sizes, strict=True))
    }
    knowing = Attributes(jnp.asarray(known["scalars"]), jnp.asarray(known["angles"]), sure)
    for part in errors(config, knowing, known):
        np.testing.assert_allclose(part, 0, atol=1e-6)
    blind = Attributes(
        jnp.full_like(knowing.scalars, 0.5),
        jnp.zeros_like(knowing.angles),
        {name: jnp.zeros_like(logits) for name, logits in sure.items()},
    )
    numbers, choices = errors(config, blind, known)
    assert numbers.shape == (4000, 39) and choices.shape == (4000, 12)
    # Identities have four pictures each, so that 1000 values are drawn of a factor.
    np.testing.assert_allclose(numbers.mean(0), 1, atol=5 * np.sqrt(0.8 / 1000))
    np.testing.assert_allclose(choices, 1, atol=1e-6)


def test_the_loss_falls(done: Path):
    losses = [line["loss"] for line in runs.lines(done, "train")]
    assert len(losses) == 6 and losses[-1] < 0.4 < losses[0] < 1
    tests = runs.lines(done, "test")
    assert [line["step"] for line in tests] == [30, 60]
    assert {"loss/1", "explained/1", "accuracy/1"} < tests[0].keys()


def test_what_is_published_describes_test_pictures_as_well_as_was_logged(done: Path):
    network = load_attributes(done / "latest")
    assert network.config == avatar_attributes(16, (8, 16), 24)
    metadata = json.loads((done / "latest" / "config.json").read_text())["metadata"]
    assert metadata["step"] == 60
    lines = attribute_accuracy.report(network, 12)
    explained, accuracy = (float(line.split()[1]) for line in lines if line.startswith("mean"))
    logged = runs.lines(done, "test")[-1]
    assert explained == pytest.approx(logged["explained/1"], abs=1e-3)
    assert accuracy == pytest.approx(logged["accuracy/1"], abs=1e-3)
    assert {line.split()[0] for line in lines if line} >= set(FACTORS)


def test_a_run_continues_to_the_same_network(done: Path, tmp_path: Path):
    again = Path(shutil.copytree(done, tmp_path / "run"))
    shutil.rmtree(again / "checkpoints" / "60")
    shutil.rmtree(again / "latest")
    said: list[str] = []
    assert train_attributes(CONFIG, again, say=said.append).step == 60
    assert "continuing after step 30 of 60, batch 30" in said
    whole, continued = (flat_arrays(load_attributes(folder / "latest")) for folder in (done, again))
    runs.assert_same(whole, continued)


def test_other_pictures_are_another_run(done: Path):
    with pytest.raises(TrainingError, match="training data: 32 avatars"):
        train_attributes(dataclasses.replace(CONFIG, pictures=31), done, say=lambda _: None)


def test_a_process_that_cannot_draw_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "cores", lambda: 2)
    monkeypatch.setattr(processes.sys, "executable", "false")
    with pytest.raises(TrainingError, match=r"drawing\.processes train 16 .* failed"):
        train_attributes(dataclasses.replace(CONFIG, pictures=2000), tmp_path / "run", say=lambda _: None)


def test_a_dry_run_writes_nothing(tmp_path: Path):
    said: list[str] = []
    train_attributes(CONFIG, tmp_path / "run", dry_run=True, say=said.append)
    assert any("planned memory" in line for line in said) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pictures": 0, "warmup": -1}, "pictures: found 0, expected 1 or more; warmup: found -1, expected 0 or more"),
        ({"resolution": 64.5}, "resolution: found 64.5, expected a whole number"),
        ({"warmup": 60}, "warmup: found 60, expected less than the 60 steps"),
        ({"micro_batches": 2}, "micro_batches: found 2, expected 1"),
        ({"data": Path("photos")}, "data: found photos, expected none"),
        ({"resolution": 18}, "resolution 18: expected a multiple of 4"),
        ({"resolution": 4}, "resolution 4: expected 8 to 4096"),
        ({"widths": (12,)}, "widths"),
    ],
)
def test_impossible_settings_say_what_is_wrong(wrong: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=re.escape(message)):
        train_attributes(dataclasses.replace(CONFIG, **wrong), tmp_path / "run", say=lambda _: None)
    assert not (tmp_path / "run").exists()


def test_the_published_setting_is_possible():
    assert isinstance(published, AttributeTraining) and not problems(published)
