"""The training step of StyleGAN2: the schedule, the averages, many devices and parts of a batch."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from restyle_jax.augment.control import observe
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.stylegan_task import assemble, stylegan_task
from tests.train.generators import BATCH, CONFIG, SIZE, STYLES, batch, differ, flat, made, steps


@pytest.fixture(scope="module")
def history() -> list[tuple[Any, dict[str, Any]]]:
    return steps(6)


def test_both_networks_learn_and_every_term_is_finite(history: list[Any]):
    first = made()[2]
    for _, metrics in history:
        assert all(np.isfinite(value) for value in metrics.values()), metrics
        assert metrics["loss"] == pytest.approx(metrics["generator_loss"] + metrics["discriminator_loss"])
    for role in ("generator", "discriminator"):
        assert differ(first["params"][role], history[0][0]["params"][role])
    assert int(history[-1][0]["step"]) == 6


def test_lazy_terms_are_measured_when_due(history: list[Any]):
    """R1 at steps 0, 16, ...; path lengths at steps 0, 4, ...: in between, the last values are shown."""
    r1 = [float(metrics["r1"]) for _, metrics in history]
    lengths = [float(metrics["path_length"]) for _, metrics in history]
    assert r1[0] > 0 and set(r1) == {r1[0]}
    assert lengths[0] > 0 and len(set(lengths[:4])) == 1 and lengths[4] != lengths[0]
    means = [metrics["path_mean"] for _, metrics in history]
    assert means[0] == pytest.approx(0.01 * lengths[0], rel=1e-5)
    assert means[4] == pytest.approx(means[0] + 0.01 * (lengths[4] - means[0]), rel=1e-5)


def test_a_term_of_weight_zero_is_left_out():
    config = dataclasses.replace(CONFIG, r1=0.0, path_length=0.0)
    trainer, frozen, init = assemble(config)
    program = str(jax.make_jaxpr(trainer.step)(init(jax.random.key(0)), frozen, batch()))
    full = str(jax.make_jaxpr(made()[0].step)(made()[2], made()[1], batch()))
    assert program.count("conv_general_dilated") < 0.6 * full.count("conv_general_dilated")
    optimizer = trainer.optimizer("generator")
    plain = optax.adam(config.learning_rate, 0.0, 0.99)
    updates = [o.update({"x": jnp.ones(2)}, o.init({"x": jnp.ones(2)}))[0]["x"] for o in (optimizer, plain)]
    np.testing.assert_array_equal(*updates)


@pytest.mark.parametrize(("role", "every"), [("generator", 4), ("discriminator", 16)])
def test_adam_is_corrected_for_laziness(role: str, every: int):
    """k + 1 updates do what k did: the rate times c and the decay to the power of c, c = k / (k + 1)."""
    c = every / (every + 1)
    optimizer = made()[0].optimizer(role)
    params = {"x": jnp.zeros(3)}
    moments = optimizer.init(params)
    second = np.zeros(3)
    for number in range(3):
        gradient = np.array([1.0, -2.0, 0.5]) * (number + 1)
        updates, moments = optimizer.update({"x": jnp.array(gradient)}, moments, params)
        second = 0.99**c * second + (1 - 0.99**c) * gradient**2
        corrected = second / (1 - 0.99 ** (c * (number + 1)))
        np.testing.assert_allclose(updates["x"], -0.002 * c * gradient / (np.sqrt(corrected) + 1e-8), rtol=2e-5)


def test_the_averaged_generator_has_its_half_life():
    """After `ema_kimg` thousand pictures one half is left of what the average was before."""
    trainer = made()[0]
    count = round(1000 * CONFIG.ema_kimg / BATCH * 1.0)
    left = np.prod([np.float64(trainer.ema_decay(jnp.int32(step))) for step in range(100, 100 + count)])
    assert left == pytest.approx(0.5 ** (count * BATCH / 100), rel=1e-5)
    ramp = assemble(dataclasses.replace(CONFIG, ema_ramp=0.05))[0]
    assert float(ramp.ema_decay(jnp.int32(0))) == 0
    assert float(ramp.ema_decay(jnp.int32(10))) == pytest.approx(0.5 ** (1 / (0.05 * 10)), rel=1e-5)
    assert float(ramp.ema_decay(jnp.int32(10**6))) == pytest.approx(0.5 ** (BATCH / 100), rel=1e-5)
    going_on = dataclasses.replace(ramp, config=dataclasses.replace(ramp.config, checkpoint=Path("averaged")))
    assert float(going_on.ema_decay(jnp.int32(0))) == pytest.approx(0.5 ** (BATCH / 100), rel=1e-5)


def test_averages_follow_the_generator(history: list[Any]):
    trainer = made()[0]
    before, after = history[0][0], history[1][0]
    decay = float(trainer.ema_decay(jnp.int32(1)))
    expected = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, before["ema"], after["params"]["generator"])
    for found, wanted in zip(jax.tree.leaves(after["ema"]), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    # In the first step w_avg moves from zero by 0.5 percent towards the mean of the batch.
    trainer, frozen, state, _ = made()
    key = jax.random.split(jax.random.split(state["key"], 5)[1], 3)[0]
    first = trainer.codes(trainer.networks(state["params"], frozen)[0], frozen, BATCH, key).first
    np.testing.assert_allclose(history[0][0]["w_avg"], 0.005 * first.mean(0), rtol=1e-3, atol=1e-6)


def test_style_mixing_changes_codes_at_one_style():
    _, frozen, state, _ = made()
    crossings = set()
    for probability in (0.0, 1.0):
        trainer = assemble(dataclasses.replace(CONFIG, style_mixing=probability))[0]
        generator = trainer.networks(state["params"], frozen)[0]
        for seed in range(12):
            w, _, first = trainer.codes(generator, frozen, BATCH, jax.random.key(seed))
            assert w.shape == (BATCH, STYLES, CONFIG.w_dim)
            same = [bool((w[:, i] == first).all()) for i in range(STYLES)]
            assert same == sorted(same, reverse=True) and same[0], "the second code takes the last styles"
            assert len({tuple(np.asarray(w[0, i])) for i in range(STYLES)}) == (1 if all(same) else 2)
            assert all(same) == (probability == 0)
            crossings.add(sum(same))
    assert crossings == {1, 2, 3, 4}


def test_micro_batches_sum_up_to_the_batch():
    trainer = assemble(dataclasses.replace(CONFIG, micro_batches=4))[0]

    def loss(params: Any, rows: jax.Array, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        del key
        value = jnp.square(rows * params["x"]).mean()
        return value, {"value": value}

    params: Any = {"x": jnp.float32(2)}
    rows = jnp.arange(8.0)
    gradient, means = trainer.gradient(loss, params, rows, jax.random.key(0))
    assert gradient["x"] == pytest.approx(float(2 * 2 * jnp.square(rows).mean()))
    assert means["value"] == pytest.approx(float(loss(params, rows, jax.random.key(0))[0]))


def test_classes_augmentation_and_low_precision_in_parts_of_a_batch():
    """All together take a step. Labels of generated pictures come in the proportions of the data."""
    config = dataclasses.replace(CONFIG, micro_batches=2, augment="color", dtype="bfloat16")
    (state, metrics), *_ = steps(1, config, classes=3)
    trainer, frozen, *_ = made(config, 3)
    assert trainer.sizes.label_dim == 3 and trainer.sizes.conv_clamp == 256
    generator, judge = trainer.networks(state["params"], frozen)
    assert (generator.config.mapping_layers, judge.config.mapping_layers) == (CONFIG.mapping_layers, 8)
    assert all(np.isfinite(value) for value in metrics.values())
    assert float(state["control"].count) == 2 * BATCH  # R1 looks at the pictures once more
    labels = trainer.codes(trainer.generator_of(state["ema"], frozen), frozen, 512, jax.random.key(1)).labels
    assert labels is not None
    np.testing.assert_allclose(labels.mean(0), 1 / 3, atol=0.08)
    shown = jax.eval_shape(trainer.show, state, frozen, batch())
    assert shown["samples"].shape == (4, 8, SIZE, SIZE, 3)


def test_augmentation_is_adapted_every_fourth_step():
    """By 4 B / (1000 kimg), towards more where real pictures are recognised more often than asked for."""
    config = dataclasses.replace(CONFIG, augment="color", ada_target=0.2, ada_kimg=1.0)
    trainer = assemble(config)[0]
    control = observe(trainer.control(), jnp.float32(0.5), 2 * BATCH)
    after = [trainer.controlled({"step": jnp.int32(step), "control": control})["control"] for step in range(5)]
    assert [float(c.p) for c in after] == pytest.approx([0, 0, 0, 4 * BATCH / 1000, 0])
    assert [float(c.count) for c in after] == [16, 16, 16, 0, 16]


def test_augmentation_of_fixed_strength():
    trainer, _, init = assemble(dataclasses.replace(CONFIG, augment="color", augment_p=0.3))
    state = init(jax.random.key(0))
    assert float(state["control"].p) == pytest.approx(0.3)
    assert trainer.controlled({**state, "step": jnp.int32(3)})["control"] is state["control"]


def test_sheets_show_truncation(history: list[Any]):
    trainer, frozen, *_ = made()
    state = history[-1][0]
    shown = jax.jit(trainer.show)(state, frozen, batch())
    columns = stylegan_task(CONFIG).sheets["truncation"].columns
    assert shown["truncation"].shape[:2] == (4, len(columns)) and columns[0] == "data"
    np.testing.assert_array_equal(shown["truncation"][:, 0], batch()["target"][:4])
    mean = trainer.generator_of(state["ema"], frozen).synthesis(
        jnp.broadcast_to(state["w_avg"], (1, STYLES, CONFIG.w_dim))
    )
    for row in shown["truncation"]:
        np.testing.assert_allclose(row[columns.index("psi 0")], mean[0], atol=1e-4)
    np.testing.assert_allclose(shown["truncation"][:, -1], shown["samples"][:, 0], atol=1e-4)


def test_scores_that_cannot_be_computed_end_the_run():
    def score(*_: Any) -> dict[str, float]:
        raise ValueError("some features are not finite")

    task = stylegan_task(CONFIG, score=score)
    assert task.score
    with pytest.raises(TrainingError, match="evaluation after step 0: some features are not finite"):
        task.score(made()[2])


def test_four_devices_take_the_same_steps(tmp_path: Path, history: list[Any]):
    """The same program over four devices, in another process. Groups of the minibatch statistic lie in blocks of four."""
    program = """
import sys
import restyle_jax
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_default_matmul_precision", "highest")
import numpy as np
from restyle_jax.train import sharding
from tests.train import generators as t
(trainer, frozen, state, _), mesh = t.made(), sharding.data_mesh()
state, frozen = (sharding.replicate(tree, mesh) for tree in (state, frozen))
rows = [sharding.place_batch({name: np.asarray(x) for name, x in t.batch(i).items()}, mesh) for i in range(2)]
lowered = jax.jit(trainer.step, out_shardings=sharding.replicated(mesh)).lower(state, frozen, rows[0])
step = lowered.compile()
for batch in rows:
    state, metrics = step(state, frozen, batch)
share = step.cost_analysis()["flops"] / lowered.cost_analysis()["flops"]
np.savez(sys.argv[1], devices=jax.device_count(), share=share, **t.flat(state), **metrics)
"""
    file = tmp_path / "four.npz"
    subprocess.run([sys.executable, "-c", program, str(file)], cwd=Path(__file__).parents[2], check=True)
    four = dict(np.load(file))
    assert four.pop("devices") == 4
    assert four.pop("share") < 0.4, "every device makes its own pictures only, but for the updates"
    state, metrics = history[1]
    one = {**flat(state), **metrics}
    assert one.keys() == four.keys()
    for name, value in one.items():
        np.testing.assert_allclose(four[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
