"""The encoder task: what one training step does to its state, on small networks; and how its memory depends on N."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import restyle_jax as rs
from experiments.benchmarks.planned import shapes
from restyle_jax.checkpoints.export import restyle_tree
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.model import Model
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.train import optim
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder_task import assemble, encoder_task, start_model
from restyle_jax.train.objective import Objective
from restyle_jax.train.plan import tree_bytes
from tests import networks, tiny

STYLES, DIM, SIDE, BATCH = 6, 32, 32, 4
PLAIN = EncoderTraining(
    trunk="resnet18", height=SIDE, width=SIDE, steps_per_image=2, batch_size=BATCH, lpips=0, learning_rate=1e-3
)


def small(config: EncoderTraining, classes: int = 0):
    """(trainer, frozen, first state) with a 16-px generator, of this many classes, and an encoder of 32-px pictures."""
    encoder = EncoderConfig(config.head, "resnet18", STYLES, config.in_channels, style_dim=DIM, width=4, head_convs=1)
    generator = GeneratorConfig(16, (8, 8, 8), z_dim=DIM, w_dim=DIM, mapping_layers=2, label_dim=classes)
    model = Model(
        encoder=networks.random(Encoder, encoder),
        generator=networks.random(Generator, generator),
        w_avg=0.3 * jax.random.normal(jax.random.key(1), (STYLES, DIM)),
        geometry=config.geometry,
    )
    trainer, frozen, init = assemble(config, model, *Objective.of(config, {}))
    return trainer, frozen, init(jax.random.key(0))


def pictures(seed: int = 0, channels: int = 3) -> dict[str, jax.Array]:
    keys = jax.random.split(jax.random.key(seed))
    source, target = (
        jax.random.uniform(key, (BATCH, SIDE, SIDE, count), minval=-1)
        for key, count in zip(keys, (channels, 3), strict=True)
    )
    return {"source": source, "target": target if channels != 3 else source, "index": jnp.arange(BATCH)}


def heads(state) -> np.ndarray:
    """A kernel of every style head, [K, in, out]."""
    return np.asarray(state["params"]["encoder"]["heads"]["linear"]["kernel"][...])


def test_everything_at_once():
    """e4e's schedule and discriminator, trained generator, moving average, micro-batches."""
    config = dataclasses.replace(
        PLAIN,
        head="progressive",
        adversarial=0.1,
        delta=2e-4,
        w_norm=0.01,
        progressive_start=2,
        progressive_every=1,
        pool_size=3,
        r1_every=2,
        train_generator=True,
        ema=0.5,
        micro_batches=2,
        max_steps=4,
        decay_from=2,
    )
    trainer, frozen, first = small(config)
    step = jax.jit(trainer.step)
    states, metrics = [first], []
    for seed in range(4):
        state, found = step(states[-1], frozen, pictures(seed))
        states.append(state)
        metrics.append(found)
    assert step._cache_size() == 1  # the whole schedule is one program
    for found in metrics:
        assert all(np.isfinite(value).all() for value in jax.tree.leaves(found)), found
        assert found["loss"].shape == (2,) and found["gradient_norm"] > 0
    np.testing.assert_allclose([found["learning_rate"] for found in metrics], [1e-3, 1e-3, 1e-3, 5e-4], rtol=1e-6)
    # The loss is the weighted sum of its terms; delta has no part in stage 0.
    weights = {"l2": 1.0, "w_norm": 0.01, "adversarial": 0.1, "delta": 2e-4}
    total = sum(weight * metrics[3][name] for name, weight in weights.items())
    np.testing.assert_allclose(metrics[3]["loss"], total, rtol=1e-5)
    assert not metrics[0]["delta"].any() and metrics[3]["delta"].all()
    # R1 is due at steps 0 and 2.
    assert [bool(found["discriminator_r1"] > 0) for found in metrics] == [True, False, True, False]
    # Style i is trained from step 2 + (i - 1) on, and not touched before.
    moved = [[bool((heads(b)[i] != heads(a)[i]).any()) for i in range(STYLES)] for a, b in itertools.pairwise(states)]
    assert [row.count(True) for row in moved] == [1, 1, 2, 3]
    # N encoder passes for each of two micro-batches, and one for the discriminator.
    counts = [int(state["stats"]["trunk"]["input_layer"]["norm"]["count"][...]) for state in states]
    assert all(b - a == 1 + 2 * 2 for a, b in itertools.pairwise(counts))
    assert [int(state["discriminator"]["fake"].count) for state in states[:3]] == [0, 3, 3]
    const = [np.asarray(state["params"]["generator"]["synthesis"]["const"][...]) for state in states]
    assert (const[0] != const[1]).any()
    for a, b in itertools.pairwise(states):
        assert trainer.last_stage(b) == trainer.stage(a["step"])  # what is measured is what was trained
        expected = jax.tree.map(lambda old, new: 0.5 * old + 0.5 * new, a["ema"], b["params"])
        assert max(jax.tree.leaves(jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), expected, b["ema"]))) < 1e-6


def test_codes_of_a_conditional_generator_are_judged_with_labels():
    """The same z becomes one code for each class that is drawn."""
    config = dataclasses.replace(PLAIN, adversarial=0.1, pool_size=2 * BATCH)
    trainer, frozen, state = small(config, classes=3)
    z = jnp.ones((BATCH, DIM))
    state, _ = jax.jit(trainer.discriminate)(state, frozen, pictures()["source"], z, jax.random.key(0))
    real = np.asarray(state["discriminator"]["real"].codes[:BATCH])
    _, generator = trainer.networks(state["params"], state["stats"], frozen)
    expected = np.asarray(generator.mapping(z[:3], jnp.eye(3)))
    distances = np.abs(real[:, None] - expected).max(-1)
    assert distances.min(1).max() < 1e-5 and len({*distances.argmin(1)}) > 1


@pytest.mark.parametrize("head", ["progressive", "fpn_progressive"])
def test_what_is_published_gives_what_was_measured(head: Any, tmp_path: Path):
    """A file has no progressive stage, and the styles beyond it were neither trained nor looked at."""
    generator = tiny.checkpoint(encoder=False)
    sizes = {"trunk_width": 8, "head_width": 8, "progressive_start": 1, "progressive_every": 1, "generator": generator}
    task = encoder_task(dataclasses.replace(PLAIN, head=head, **sizes))
    state = {**task.init(jax.random.key(0)), "step": jnp.int32(3)}
    assert task.evaluate
    measured = task.evaluate(state, task.frozen, pictures())["l2"]
    whole = task.evaluate({**state, "step": jnp.int32(99)}, task.frozen, pictures())["l2"]
    assert np.abs(whole / measured - 1).max() > 5e-4
    task.publish(state, tmp_path / "best")
    x = pictures()["source"]
    made = rs.invert(rs.load(tmp_path / "best"), x, steps=2, resize_outputs=True).images
    np.testing.assert_allclose(np.square(made - x).mean((2, 3, 4)).T, measured, rtol=5e-5)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_number_of_steps_is_drawn_once_for_a_batch(parts: int):
    trainer, frozen, state = small(dataclasses.replace(PLAIN, random_steps=True, micro_batches=parts))
    step = jax.jit(trainer.step)
    made, expected = [], []
    for seed in range(6):
        key = jax.random.key(seed)
        after, _ = step({**state, "key": key}, frozen, pictures())
        made.append(int(after["stats"]["trunk"]["input_layer"]["norm"]["count"][...]))  # encoder passes
        of_gradient = jax.random.split(key, 4)[3]
        first = of_gradient if parts == 1 else jax.random.split(of_gradient, parts)[0]
        expected.append(parts * int(jax.random.randint(jax.random.split(first)[0], (), 1, 3)))
    assert made == expected and {*made} == {parts, 2 * parts}


def test_the_learning_rate_falls_to_nothing():
    falling, constant = (dataclasses.replace(PLAIN, optimizer="adam", max_steps=4, decay_from=at) for at in (2, None))
    trainer, _, state = small(falling)
    other_trainer, _, other = small(constant)
    update, other_update = jax.jit(trainer.update), jax.jit(other_trainer.update)
    gradient = jax.tree.map(jnp.ones_like, state["params"])
    moves = []
    for step in range(5):
        before = heads(state)
        state = update({**state, "step": jnp.int32(step)}, gradient)
        other = other_update({**other, "step": jnp.int32(step)}, gradient)
        moves.append(np.abs(heads(state) - before).max())
        if step < 3:  # the first step of the fall still has the whole rate
            np.testing.assert_array_equal(heads(state), heads(other))
    np.testing.assert_allclose(moves, [1e-3, 1e-3, 1e-3, 5e-4, 0], atol=1e-6)


def test_a_training_that_ends_before_its_learning_rate_falls():
    rate = optim.learning_rate(dataclasses.replace(PLAIN, max_steps=4, decay_from=10))
    assert callable(rate) and [float(rate(step)) for step in range(5)] == [np.float32(1e-3)] * 5


def test_frozen_statistics_stay_and_are_trained_with():
    """What training sees is then what inversion sees, at each refinement step."""
    config = dataclasses.replace(PLAIN, random_noise=False, adversarial=0.1)
    trainer, frozen, state = small(config)
    fixed = dataclasses.replace(trainer, config=dataclasses.replace(config, freeze_batch_norm=True))
    batch = pictures()
    after, found = jax.jit(fixed.step)(state, frozen, batch)
    for path, before in flat_arrays(state["stats"]).items():
        np.testing.assert_array_equal(flat_arrays(after["stats"])[path], before)
    expected = jax.jit(trainer.evaluate)(state, frozen, batch)
    np.testing.assert_allclose(found["l2"], expected["l2"].mean(0), rtol=1e-5)
    _, other = jax.jit(trainer.step)(state, frozen, batch)
    assert np.abs(other["l2"] - expected["l2"].mean(0)).max() > 1e-3


def test_micro_batches_average_the_gradients_of_their_parts():
    config = dataclasses.replace(PLAIN, random_noise=False)
    trainer, frozen, state = small(config)
    batch = pictures()
    split = dataclasses.replace(trainer, config=dataclasses.replace(config, micro_batches=2, optimizer=plain_descent))
    split = dataclasses.replace(split, optimizer=optim.build(split.config))
    state = {**state, "optimizer": split.optimizer.init(state["params"])}
    after, found = jax.jit(split.step)(state, frozen, batch)
    assert "gradient_norm" in found and "learning_rate" not in found  # which an optimizer of one's own does not tell
    gradient = jax.jit(trainer.gradient)
    first, stats, _ = gradient(state, frozen, batch["source"][::2], batch["target"][::2], jax.random.key(0))
    second, _, _ = gradient(
        {**state, "stats": stats}, frozen, batch["source"][1::2], batch["target"][1::2], jax.random.key(0)
    )
    expected = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, state["params"], first, second)
    differences = jax.tree.map(
        lambda a, b, p: float(jnp.abs(a - b).max() / (jnp.abs(b - p).max() + 1e-4)),
        after["params"],
        expected,
        state["params"],
    )
    assert max(jax.tree.leaves(differences)) < 1e-3


def plain_descent():
    return optax.sgd(0.1)


def test_evaluation_is_by_picture_and_leaves_the_state_alone():
    trainer, frozen, state = small(PLAIN)
    before = jax.tree.map(np.asarray, state["stats"])
    terms = jax.jit(trainer.evaluate)(state, frozen, pictures())
    assert {name: value.shape for name, value in terms.items()} == {"l2": (BATCH, 2), "loss": (BATCH, 2)}
    lonely = {key: value[1:2] for key, value in pictures().items()}
    np.testing.assert_allclose(trainer.evaluate(state, frozen, lonely)["l2"][0], terms["l2"][1], rtol=1e-4)
    shown = jax.jit(trainer.show)(state, frozen, pictures())
    assert shown.shape == (BATCH, 4, SIDE, SIDE, 3)
    np.testing.assert_array_equal(shown[:, 0], pictures()["source"])
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), before, state["stats"]))


@pytest.mark.parametrize("channels", [1, 5])
def test_a_single_pass_encoder_translates_sketches_and_label_maps(channels: int):
    trainer, frozen, state = small(dataclasses.replace(PLAIN, task="sketch", in_channels=channels, steps_per_image=5))
    batch = pictures(channels=channels)
    terms = trainer.evaluate(state, frozen, batch)
    assert terms["l2"].shape == (BATCH, 1)  # one pass, whatever steps_per_image says
    assert trainer.show(state, frozen, batch).shape == (BATCH, 3, SIDE, SIDE, 3)


def test_a_trained_task_publishes_a_model(tmp_path):
    config = dataclasses.replace(PLAIN, checkpoint=tiny.checkpoint())
    task = encoder_task(config)
    state = task.init(jax.random.key(0))
    assert task.sheets["steps"].columns == ("input", "step 1", "step 2", "target")
    task.publish(state, tmp_path / "model")
    model, start = rs.load(tmp_path / "model"), rs.load(tiny.checkpoint())
    x = np.asarray(pictures()["source"])
    np.testing.assert_array_equal(rs.invert(model, x, steps=2).latents, rs.invert(start, x, steps=2).latents)
    assert model.geometry == config.geometry and model.metadata["step"] == 0


@pytest.mark.parametrize(
    ("task", "channels", "data_set", "label_nc"),
    [
        ("inversion", 6, "ffhq_encode", 0),
        ("sketch", 1, "celebs_sketch_to_face", 1),
        ("segmentation", 19, "celebs_seg_to_face", 19),
        ("segmentation", 3, "celebs_seg_to_face", 3),
        ("super_resolution", 3, "celebs_super_resolution", 0),
        ("frontalise", 3, "ffhq_frontalize", 0),
    ],
)
def test_a_published_model_keeps_its_task_for_the_official_options(task, channels, data_set, label_nc, tmp_path):
    start = tiny.checkpoint(in_channels=channels)
    trained = encoder_task(dataclasses.replace(PLAIN, checkpoint=start, task=task, in_channels=channels))
    trained.publish(trained.init(jax.random.key(0)), tmp_path / "model")
    model = rs.load(tmp_path / "model")
    expected = {"dataset_type": data_set, "label_nc": label_nc, "input_nc": channels}
    assert restyle_tree(model)["opts"].items() >= expected.items()
    original = {"dataset_type": "mine", "label_nc": 7, "lr": 1e-4}
    stated = dataclasses.replace(model, metadata={**model.metadata, "opts": original})
    assert restyle_tree(stated)["opts"].items() >= {**original, "label_nc": label_nc}.items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identity": 0.1, "moco": 0.5}, "identity and moco: found 0.1 and 0.5"),
        ({"l2": 0}, "expected a loss that compares pictures"),
        ({"identity": 0.1}, "with pictures of 32 x 32"),
        ({"delta": 1.0}, "without progressive_start"),
        ({"progressive_start": 5}, "found 5 with head backbone"),
        ({"freeze_batch_norm": True, "checkpoint": None}, "freeze_batch_norm: found true without checkpoint"),
        ({"trunk": "irse50"}, "trunk = 'resnet18', but the configuration asks for 'irse50'"),
        (
            {"height": 20, "width": 20},
            "width: found 20 with a generator of 16 x 16 pixels, expected a part or a multiple of 16",
        ),
        ({"height": 64, "width": 64}, "larger than the encoder takes"),
        ({"checkpoint": None}, "expected a checkpoint with the StyleGAN2 generator"),
    ],
)
def test_contradictions_are_named(changes: dict, message: str):
    config = dataclasses.replace(PLAIN, **{"checkpoint": tiny.checkpoint(), **changes})
    with pytest.raises((ValueError, CheckpointError), match=message):
        encoder_task(config)


def test_a_single_pass_starts_a_refining_encoder():
    """Its first step, which sees the average as well, gives what the single pass gave."""
    single = tiny.checkpoint(in_channels=3)
    config = dataclasses.replace(PLAIN, checkpoint=single, extra_channels="zero")
    model = start_model(config)
    x = pictures()["source"]
    found, expected = (rs.invert(which, x, steps=1).latents for which in (model, rs.load(single)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(rs.invert(start_model(dataclasses.replace(config, seed=1)), x, steps=1).latents - found).max() < 1e-4
    drawn = [rs.invert(start_model(dataclasses.replace(config, extra_channels="normal", seed=i)), x, 1) for i in (0, 1)]
    assert np.abs(drawn[0].latents - drawn[1].latents).max() > 1e-2
    with pytest.raises(ValueError, match="in_channels = 6, but the configuration asks for 3"):
        start_model(dataclasses.replace(config, checkpoint=tiny.checkpoint(), in_channels=3))


def test_a_generator_of_another_size_than_the_encoder_is_refused():
    config = dataclasses.replace(
        PLAIN, checkpoint=tiny.checkpoint(), generator=tiny.checkpoint(resolution=32, encoder=False)
    )
    with pytest.raises(ValueError, match=r"num_styles = 6, but the generator asks for 8"):
        start_model(config)


def test_memory_does_not_grow_with_the_number_of_steps():
    """The compiler's plan of the published step: IR-SE50, LPIPS, Ranger, a 256-px generator, batch 8.

    N = 10 needs what N = 1 needs, and the sum of the gradients: while that waits for the next step, the pictures of that
    step are in memory, too. Nothing else, such as a second copy of the weights, is added.
    """
    config = EncoderTraining()
    planned = {}
    for count in (1, 10):
        trainer, state, frozen = shapes(
            dataclasses.replace(config, steps_per_image=count), GeneratorConfig.rosinality(256)
        )
        picture = jax.ShapeDtypeStruct((config.batch_size, 256, 256, 3), jnp.float32)
        step = jax.jit(trainer.step, donate_argnums=0).lower(state, frozen, {"source": picture, "target": picture})
        quickly = {"xla_backend_optimization_level": 0}  # concerns the machine code only, which is not run
        planned[count] = step.compile(compiler_options=quickly).memory_analysis().temp_size_in_bytes
    print(planned, tree_bytes(state["params"]))
    assert planned[10] <= 1.05 * (planned[1] + tree_bytes(state["params"]))
