"""Networks trained here in place of the published ones: as losses of an encoder, and as metrics of its evaluation."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from restyle_jax.checkpoints.auxiliary import save_identity, save_perceptual
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.evaluate_folder import EvalOptions, evaluate_folder
from restyle_jax.jobs.requirements import require
from restyle_jax.nets.identity import IdentityConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig
from restyle_jax.refine import Estimate
from restyle_jax.train.checks import problems
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.objective import Objective
from tests import tiny
from tests.nets.test_small_networks import identity, perceptual

SIZE = tiny.SIZE
FACE, DISTANCE = identity(IdentityConfig(SIZE, (8, 16), 12)), perceptual(PerceptualConfig(SIZE, (8, 16)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, a run of an identity network with its best one, and a perceptual network; not to be changed."""
    folder = tmp_path_factory.mktemp("own")
    save_identity(FACE, {}, folder / "run" / "best")
    (folder / "run" / "checkpoints").mkdir()
    save_perceptual(DISTANCE, {}, folder / "distance")
    (folder / "photos").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((SIZE, SIZE)).save(folder / "photos" / f"{i}.png")
    return folder


@pytest.fixture
def config(folder: Path) -> EncoderTraining:
    return EncoderTraining(
        checkpoint=tiny.checkpoint(),
        data=folder / "photos",
        test_data=folder / "photos",
        height=SIZE,
        width=SIZE,
        lpips_trunk_weights=folder / "distance",
        identity=0.1,
        identity_weights=folder / "run" / "best",
    )


def test_the_losses_of_an_encoder_are_theirs(config: EncoderTraining):
    assert not problems(config) and len(require(config).train) == 3
    objective, states = Objective.load(config)
    random = np.random.default_rng(0)
    target, y = (jnp.asarray(random.uniform(-1, 1, (2, SIZE, SIZE, 3)), jnp.float32) for _ in range(2))
    w = jnp.zeros((2, 6, tiny.STYLE_DIM))

    @jax.jit
    def terms(states, y):
        return objective.terms(states, None, Estimate(w, y), objective.aim(states, target, target), w[0], None)

    found = terms(states, y)
    np.testing.assert_allclose(found["lpips"], DISTANCE(y, target), rtol=1e-3)
    np.testing.assert_allclose(found["identity"], 1 - (FACE(y) * FACE(target)).sum(-1), rtol=1e-3, atol=1e-5)
    gradient = jax.grad(lambda y: (terms(states, y)["lpips"] + terms(states, y)["identity"]).sum())(y)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize(("paired", "task"), [(False, "inversion"), (True, "inversion"), (True, "segmentation")])
def test_the_improvement_over_the_source(config: EncoderTraining, paired: bool, task: Any):
    """cos(y_hat, y) - cos(y, x), where the source x of an inversion is the target y unless the data are pairs; y stands for label
    maps, also of three classes."""
    objective, states = Objective.load(config)
    objective = dataclasses.replace(objective, paired=paired, config=dataclasses.replace(config, task=task))
    target, source, y = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, 2, SIZE, SIZE, 3)), jnp.float32)
    w = jnp.zeros((2, 6, tiny.STYLE_DIM))
    found = objective.terms(states, None, Estimate(w, y), objective.aim(states, target, source), w[0], None)
    expected = (FACE(target) * (FACE(y) - FACE(source if paired and task == "inversion" else target))).sum(-1)
    np.testing.assert_allclose(found["identity_improvement"], expected, rtol=1e-3, atol=1e-5)


def test_what_does_not_fit_is_said_before_training(config: EncoderTraining, folder: Path):
    larger = dataclasses.replace(config, height=64, width=64)
    with pytest.raises(CheckpointError, match="found a network for pictures of 32 x 32") as caught:
        Objective.load(larger)
    assert "expected one for 64 x 64" in str(caught.value)
    swapped = dataclasses.replace(config, identity_weights=folder / "distance")
    with pytest.raises(CheckpointError, match="found a perceptual network"):
        Objective.load(swapped)
    published = dataclasses.replace(config, identity_weights=folder / "model_ir_se50.pth")
    assert [line for line in problems(published) if "cuts out the face of 256 x 256" in line]
    with pytest.raises(TrainingError) as missing:
        require(dataclasses.replace(config, lpips_trunk_weights=folder / "no", identity_weights=None))
    assert "--lpips-linear-weights" in str(missing.value) and "--identity-weights" in str(missing.value)


def test_an_evaluation_measures_with_them(tmp_path: Path, folder: Path):
    options = EvalOptions(
        tiny.checkpoint(),
        folder / "photos",
        steps=1,
        batch_size=3,
        lpips_trunk_weights=folder / "distance",
        identity_weights=folder / "run" / "best",
    )
    metrics = evaluate_folder(tmp_path / "out", options, lambda _: None)
    assert metrics["left_out"] == {}
    assert "perceptual network" in metrics["definitions"]["lpips"]
    assert "identity network" in json.loads((tmp_path / "out" / "metrics.json").read_text())["definitions"]["id"]
    found = [metrics["images"][f"{i}.png"] for i in range(3)]
    assert all(image["lpips"][0] > 0 and -1 <= image["id"][0] <= 1 for image in found)


def test_metrics_of_another_size_are_left_out(tmp_path: Path, folder: Path):
    save_perceptual(perceptual(), {}, tmp_path / "small")
    options = EvalOptions(
        tiny.checkpoint(), folder / "photos", steps=1, batch_size=3, lpips_trunk_weights=tmp_path / "small"
    )
    metrics = evaluate_folder(tmp_path / "out", options, lambda _: None)
    assert "its network takes pictures of 16 x 16, and these pictures have 32 x 32" in metrics["left_out"]["lpips"]
    assert "lpips" not in metrics["mean"]
