"""Training of a Style Transformer, as the residual encoder of ReStyle: what is trained, dropout, and the model that comes out."""

import dataclasses
import shutil
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig
from restyle_jax.train import optim
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder_task import encoder_task, start_model
from tests import networks, tiny

CONFIG = EncoderTraining(
    generator=tiny.checkpoint(encoder=False),
    head="style_transformer",
    trunk="resnet18",
    height=tiny.SIZE,
    width=tiny.SIZE,
    steps_per_image=2,
    batch_size=2,
    l2=100,  # the pictures of this generator are faint, and Ranger's epsilon is not small
    lpips=0,
    random_noise=False,
    learning_rate=1e-2,
)


def test_a_new_encoder_starts_from_the_mapping_network_of_the_generator():
    model = start_model(CONFIG)
    assert isinstance(model.encoder, StyleTransformer) and model.generator is not None
    assert model.encoder.config == StyleTransformerConfig(6, 6, "resnet18", tiny.STYLE_DIM, mapping_layers=2)
    mapping = flat_arrays(model.encoder.mapping)
    assert mapping and all(
        np.array_equal(mapping[path], array) for path, array in flat_arrays(model.generator.mapping).items()
    )


def test_training(tmp_path: Path):
    start = rs.load(tiny.checkpoint(encoder=False))
    narrow = StyleTransformerConfig(6, 6, "resnet18", tiny.STYLE_DIM, width=8, mapping_layers=2, hidden=64)
    encoder = networks.random(StyleTransformer, narrow)
    rs.save(dataclasses.replace(start, encoder=encoder), tmp_path / "start")
    task = encoder_task(dataclasses.replace(CONFIG, checkpoint=tmp_path / "start"))
    first = task.init(jax.random.key(0))

    step = jax.jit(task.step)
    x = jnp.repeat(jnp.repeat(rs.generate(start, [0, 1]), 2, 1), 2, 2)  # the generator can make them
    batch = {"source": x, "target": x, "index": jnp.arange(2)}
    state, losses = first, []
    for _ in range(40):
        state, metrics = step(state, task.frozen, batch)
        losses.append(float(metrics["loss"][-1]))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    _, other = step({**first, "key": jax.random.key(1)}, task.frozen, batch)
    assert other["loss"][-1] != losses[0]  # nothing else is drawn but what is dropped

    before, after = (jax.tree_util.tree_leaves_with_path(each["params"]) for each in (first, state))
    moved = {jax.tree_util.keystr(path) for (path, a), (_, b) in zip(before, after, strict=True) if (a != b).any()}
    assert moved == {jax.tree_util.keystr(path) for path, _ in before}

    task.publish(state, tmp_path / "model")
    model = rs.load(tmp_path / "model")
    assert isinstance(model.encoder, StyleTransformer) and model.generator and start.generator
    assert model.encoder.config == narrow
    np.testing.assert_array_equal(model.encoder.tokens[...], state["params"]["encoder"]["tokens"][...])
    for path, array in flat_arrays(start.generator.mapping).items():
        np.testing.assert_array_equal(flat_arrays(model.generator.mapping)[path], array)

    with pytest.raises(ValueError, match="head = 'style_transformer', but the configuration asks for 'backbone'"):
        start_model(dataclasses.replace(CONFIG, checkpoint=tmp_path / "model", head="backbone"))


@pytest.mark.parametrize("official", [True, False])
def test_a_mapping_network_that_was_trained_stays_known(official: bool, tmp_path: Path):
    """From an official file over a run that starts there to a run that starts from that one; no other model says such a thing."""
    narrow = StyleTransformerConfig(6, 6, "resnet18", tiny.STYLE_DIM, width=8, mapping_layers=2, hidden=64)
    start = dataclasses.replace(
        rs.load(tiny.checkpoint(encoder=False)),
        encoder=networks.random(StyleTransformer, narrow),
        metadata={"kind": "Style Transformer checkpoint"} if official else {},
    )
    rs.save(start, tmp_path / "0")

    def warnings_of(**files: Path | None) -> list[str]:
        """What is said when a task starts from these files and its model is loaded, of the latter."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            task = encoder_task(dataclasses.replace(CONFIG, **files))
            task.publish(task.init(jax.random.key(0)), tmp_path / "model")
            caught.clear()
            rs.load(tmp_path / "model")
        return [str(each.message) for each in caught if "mapping network" in str(each.message)]

    for _ in range(2):
        assert len(warnings_of(checkpoint=tmp_path / "0", generator=None)) == official
        shutil.rmtree(tmp_path / "0")
        (tmp_path / "model").rename(tmp_path / "0")
    assert not warnings_of(checkpoint=tmp_path / "0")  # with the generator from its own file


def test_contradictions():
    with pytest.raises(ValueError, match="progressive_start: found 5 with head style_transformer"):
        encoder_task(dataclasses.replace(CONFIG, progressive_start=5))


def test_layouts_of_the_official_tensors():
    """Which axes gradient centralisation averages: all but the output channel, but for z all."""
    axes = {"tokens": (0, 1), "coarse.self_attention.packed.kernel": (0,), "fine.linear1.kernel": (0,)}
    for path, centred in axes.items():
        assert optim.upstream_layout(path, 2) == (False, centred)
    for path in ("medium.norm1.scale", "coarse.cross_attention.packed.bias", "mapping.layers.0.bias"):
        assert optim.upstream_layout(path, 1) == (False, ())
