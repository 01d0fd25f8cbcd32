"""What the training of a generator starts from: settings and checkpoints."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

import restyle_jax
from restyle_jax.augment.filters import FILTER_REACH
from restyle_jax.checkpoints import load_trained_generator
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.metrics import sets
from restyle_jax.train import checks
from restyle_jax.train.stylegan_config import FILTERED, problems
from restyle_jax.train.stylegan_task import assemble
from tests import networks, official
from tests.train.generators import CONFIG, differ


def transfer_file(folder: Path, **roles: Any) -> Path:
    states = {"g": official.generator(32, seed=1), "g_ema": official.generator(32, seed=2)}
    states |= {"d": official.discriminator(seed=3), "latent_avg": np.linspace(-1, 1, 128, dtype=np.float32)}
    return official.write(folder / "trained.pt", {**states, **roles})


@pytest.mark.parametrize("kind", ["rosinality", "nvlabs"])
def test_training_goes_on_from_a_published_checkpoint(kind: str, tmp_path: Path):
    """All three networks of a file: what was trained is trained, its average averaged further."""
    file = transfer_file(tmp_path) if kind == "rosinality" else networks.GOLDEN / "nvlabs_ada" / "snapshot_64.pkl"
    resolution = 32 if kind == "rosinality" else 64
    trainer, frozen, init = assemble(dataclasses.replace(CONFIG, checkpoint=file, resolution=resolution))
    state = init(jax.random.key(0))
    averaged = restyle_jax.load(file)
    assert averaged.generator and averaged.discriminator and averaged.w_avg is not None
    trained = load_trained_generator(file)
    for found, wanted in (
        (state["params"]["generator"], nnx.state(trained, nnx.Param)),
        (state["ema"], nnx.state(averaged.generator, nnx.Param)),
        (state["params"]["discriminator"], nnx.state(averaged.discriminator)),
    ):
        assert not differ(found, wanted)
    assert differ(state["ema"], state["params"]["generator"])
    # The average makes the pictures that it made, with its own stored noise.
    assert not differ(nnx.state(trainer.generator_of(state["ema"], frozen)), nnx.state(averaged.generator))
    np.testing.assert_array_equal(state["w_avg"], averaged.w_avg[0])


def test_what_is_no_size_comes_from_the_settings_and_not_from_the_checkpoint(tmp_path: Path):
    """The limit of activations in low precision, and the groups of the minibatch statistic."""
    config = dataclasses.replace(CONFIG, checkpoint=transfer_file(tmp_path), resolution=32, dtype="bfloat16")
    trainer, frozen, init = assemble(config)
    state = jax.eval_shape(init, jax.random.key(0))
    generator, judge = trainer.networks(state["params"], frozen)
    assert (generator.config.conv_clamp, judge.config.conv_clamp, judge.config.stddev_group) == (256, 256, 2)
    assert generator.synthesis.dtype == judge.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("changes", "roles", "words"),
    [
        ({"resolution": 64}, {}, "found networks for 32 px; expected 64 px"),
        ({}, {"d": None}, "found no discriminator (D); expected a generator (G) and a discriminator (D) of StyleGAN2"),
        ({}, {"d": None, "g": None}, "found no discriminator (D); expected"),
        ({}, {"g": None, "g_ema": None}, "found no generator (G); expected"),
        (
            {},
            {"g": official.generator(32, narrow=2)},
            "found a generator (g) and its average (g_ema) of different sizes",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], roles: dict[str, Any], words: str):
    file = transfer_file(tmp_path, **roles)
    config = dataclasses.replace(CONFIG, **{"resolution": 32, "checkpoint": file, **changes})
    with pytest.raises(CheckpointError) as caught:
        assemble(config)
    assert words in str(caught.value).replace(", expected", "; expected"), caught.value


def test_a_checkpoint_of_stylegan(tmp_path: Path):
    file = official.write(tmp_path / "stylegan.pth", official.stylegan("narrow_genforce"))
    with pytest.raises(CheckpointError, match="found a generator of StyleGAN; expected a generator"):
        assemble(dataclasses.replace(CONFIG, checkpoint=file))


def test_labels_that_a_checkpoint_does_not_have(tmp_path: Path):
    config = dataclasses.replace(CONFIG, resolution=32, checkpoint=transfer_file(tmp_path))
    with pytest.raises(CheckpointError, match="classes"):
        assemble(config, np.arange(5))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolution": 48}, "resolution: found 48, expected a power of two"),
        ({"channel_base": 7}, "channel_base: found 7, expected 8 (resolution) or more"),
        ({"augment": "bgcf"}, "augment: found bgcf at 8 px, expected operations without filters"),
        ({"snapshot_pictures": 3}, "snapshot_pictures: found 3, expected 4 or more"),
        ({"seed": 2**63}, "seed: found 9223372036854775808, expected 9223372036854775807 or less"),
        ({"style_mixing": 1.5}, "style_mixing: found 1.5"),
        ({"augment_p": 0.5}, "augment_p: found 0.5 with augment none"),
        ({"batch_size": 10}, "stddev_group and stddev_block: 10 pictures"),
        ({"micro_batches": 3}, "8 pictures do not divide into 3 equal parts"),
        ({"micro_batches": 0}, "micro_batches: found 0, expected 1 or more"),
        ({"batch_size": 0}, "batch_size: found 0, expected 1 or more"),
        ({"stddev_group": 0}, "stddev_group: found 0, expected 1 or more"),
        ({"ada_kimg": 0.0}, "ada_kimg: found 0.0"),
        ({"test_data": Path("here")}, "test_data: found here"),
        ({"avatars": None, "avatar_style": "comic"}, "avatar_style: found comic without avatars"),
        ({"avatar_style": "oil"}, "avatar_style: found 'oil', expected one of painted, comic"),
        ({"augment": "all"}, "augment: found 'all', expected one of none, blit"),
    ],
)
def test_impossible_settings_are_named(changes: dict[str, Any], words: str):
    found = problems(dataclasses.replace(CONFIG, **changes))
    assert len(found) == 1 and words in found[0]
    assert problems(CONFIG) == []


def test_limits_are_those_of_the_code_that_is_not_imported_for_them():
    assert checks.AT_LEAST["snapshot_pictures"] == sets.SMALLEST
    assert FILTERED // 2 <= FILTER_REACH < FILTERED
    jax.random.key(checks.AT_MOST["seed"])
