"""Training of an identity network: what is measured, a whole run of a tiny network, and its report."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.avatars import identity_accuracy
from experiments.avatars.identity import config as published
from restyle_jax.checkpoints.auxiliary import load_identity
from restyle_jax.jobs.experiment import read_experiment, train
from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.identity import recognition
from restyle_jax.train.identity_config import IdentityTraining, problems
from tests.train import runs

ROOT = Path(__file__).parents[2]
CONFIG = IdentityTraining(
    batch_size=16,
    test_batch_size=16,
    max_steps=60,
    warmup=5,
    pictures=128,
    test_pictures=24,
    resolution=16,
    widths=(8, 16),
    num_features=12,
    learning_rate=1e-2,
    log_every=10,
    image_every=60,
    eval_every=30,
    save_every=60,
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CONFIG; not to be changed."""
    workdir = tmp_path_factory.mktemp("identity")
    said: list[str] = []
    outcome = train(CONFIG, workdir, say=said.append)
    assert outcome.step == 60 and outcome.best and said[-1].startswith("Trained 60 steps; the best network, of step")
    return workdir


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_recognition_is_what_it_says():
    """One picture after the other, in numpy. Pairs 0 and 3 show the same identity; pair 4 does not count."""
    features = unit(np.random.default_rng(0).standard_normal((2, 5, 3)) + np.array([1, 0, 0]))
    identity, known, temperature = np.array([7, 8, 9, 7, 8]), np.array([True, True, True, True, False]), 0.5
    found = recognition(jnp.asarray(features), jnp.asarray(identity), jnp.asarray(known), temperature)
    expected: dict[str, list[float]] = {"loss": [], "nearest": [], "above": []}
    for pair in range(5):
        values = []
        for side in range(2):
            own = features[side, pair]
            partner = float(own @ features[1 - side, pair])
            others = [float(own @ features[s, p]) for s in range(2) for p in range(4) if identity[p] != identity[pair]]
            below = np.array(others) < partner
            total = np.exp(np.array([partner, *others]) / temperature).sum()
            values.append((np.log(total) - partner / temperature, below.all(), below.mean()))
        for name, value in zip(expected, np.mean(values, axis=0), strict=True):
            expected[name].append(value)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


def test_recognition_at_its_ends():
    identity, known = jnp.arange(4), jnp.ones(4, bool)
    sure = jnp.stack([jnp.eye(4)] * 2)
    found = recognition(sure, identity, known, 0.1)
    np.testing.assert_allclose(found["loss"], np.log1p(6 * np.exp(-10)), rtol=1e-3)
    assert found["nearest"].min() == found["above"].min() == 1
    blind = recognition(jnp.ones((2, 4, 4)) / 2, identity, known, 0.1)
    np.testing.assert_allclose(blind["loss"], np.log(7), rtol=1e-5)
    assert blind["nearest"].max() == blind["above"].max() == 0


def test_the_loss_falls_and_test_faces_are_told_apart(done: Path):
    losses = [line["loss"] for line in runs.lines(done, "train")]
    assert len(losses) == 6 and losses[-1] < 0.6 * losses[0]
    tests = runs.lines(done, "test")
    assert [line["step"] for line in tests] == [30, 60]
    assert {"loss/1", "nearest/1", "above/1"} < tests[0].keys() and tests[-1]["above/1"] > 0.75


def test_what_is_published_is_measured(done: Path):
    network = load_identity(done / "best")
    assert isinstance(network, IdentityNetwork) and network.config == IdentityConfig(16, (8, 16), 12)
    assert json.loads((done / "latest" / "config.json").read_text())["metadata"]["step"] == 60
    lines = [line.rsplit(maxsplit=4) for line in identity_accuracy.report(network, 40)]
    numbers = {name.strip(): [float(value) for value in values] for name, *values in lines[1:]}
    assert list(numbers) == ["trained", "not trained", "pixels"]
    area, accuracy, same, other = numbers["trained"]
    assert area > max(0.75, numbers["not trained"][0], numbers["pixels"][0]) and accuracy > 0.65 and same > other


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "temperature: found 0.0, expected more than 0"),
        ({"warmup": 60}, "warmup: found 60, expected less than the 60 steps"),
        ({"pictures": 7}, "7 pictures: expected at least 8"),
        ({"num_features": 0}, "num_features: found 0, expected 1 or more"),
        ({"widths": (12,)}, "widths"),
    ],
)
def test_impossible_settings_say_what_is_wrong(wrong: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=re.escape(message)):
        train(dataclasses.replace(CONFIG, **wrong), tmp_path / "run", say=lambda _: None)
    assert not (tmp_path / "run").exists()


def test_the_published_setting_is_possible():
    config = read_experiment(ROOT / "experiments" / "avatars" / "identity.py", {"temperature": 0.2})
    assert config == dataclasses.replace(published, temperature=0.2) and not problems(published)
