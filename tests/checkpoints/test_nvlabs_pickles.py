"""Network pickles of NVlabs beyond the plain snapshot: conditional ones, single networks, and what is refused by name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.stylegan_task import assemble
from tests import networks, recipe
from tests.convert import pickles

CONDITIONAL = "nvlabs_ada/paper256_64_cond"


def record(class_name: str, state: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> pickles.Reduce:
    """A persistent object whose modules nest as the dotted names say."""
    children = dict.fromkeys(name.partition(".")[0] for name in (*state, *attributes) if "." in name)

    def below(names: Mapping[str, Any], child: str) -> dict[str, Any]:
        return {name.removeprefix(f"{child}."): item for name, item in names.items() if name.startswith(f"{child}.")}

    return pickles.network(
        class_name,
        _parameters={name: tensor(array) for name, array in state.items() if "." not in name},
        _buffers={},
        _modules={name: record("Module", below(state, name), below(attributes, name)) for name in children},
        **{name: value for name, value in attributes.items() if "." not in name},
    )


def tensor(array: np.ndarray) -> pickles.Reduce:
    strides = tuple(stride // array.itemsize for stride in np.zeros(array.shape, np.float32).strides)
    return pickles.tensor(pickles.embedded(array.astype("<f4").tobytes()), array.shape, strides)


def generator(changes: Mapping[str, Any] | None = None, **state: np.ndarray) -> pickles.Reduce:
    attributes = {"img_channels": 3, "synthesis.b4.conv1.conv_clamp": 256, "mapping.fc0.bias_gain": 0.01}
    weights = recipe.build(networks.manifest(f"{CONDITIONAL}_G"))
    return record("Generator", {**weights, **state}, {**attributes, **(changes or {})})


def discriminator(changes: Mapping[str, Any]) -> pickles.Reduce:
    return record("Discriminator", recipe.build(networks.manifest(f"{CONDITIONAL}_D")), changes)


def write(path: Path, tree: Any) -> Path:
    path.write_bytes(pickles.dump(tree))
    return path


def test_conditional_networks(tmp_path: Path):
    weights = recipe.build(networks.manifest(f"{CONDITIONAL}_D"))
    tree = {"G": None, "D": discriminator({"b4.mbstd.group_size": None}), "G_ema": generator()}
    model = rs.load(write(tmp_path / "a.pkl", tree))
    config = model.require_generator()[0].config
    assert (config.label_dim, config.z_dim, config.w_dim, config.mapping_layers) == (3, 64, 64, 8)
    assert model.discriminator is not None and model.discriminator.config.label_dim == 3
    assert model.discriminator.config.stddev_group > 10_000  # the whole batch
    embedding = flat_arrays(model.discriminator)["mapping.embed.kernel"]
    np.testing.assert_array_equal(embedding, weights["mapping.embed.weight"].T)
    with pytest.raises(rs.CheckpointError, match="conditional on 3 labels"):
        rs.export_torch(model, tmp_path / "a.pt", format="rosinality")


def test_a_network_alone(tmp_path: Path):
    model = rs.load(write(tmp_path / "a.pkl", generator()))
    assert model.require_generator()[0].config.conv_clamp == 256


def test_a_discriminator_of_another_architecture_is_left_out(tmp_path: Path):
    """As in NVlabs' file of CIFAR-10, whose generator is like all others."""
    original = discriminator({"b8.architecture": "orig"})
    file = write(tmp_path / "a.pkl", {"G": None, "D": original, "G_ema": generator()})
    reason = "D (architecture='orig' in place of 'resnet')"
    with pytest.warns(UserWarning, match=re.escape(f"{file} has a network that is left out: {reason}")):
        model = rs.load(file)
    assert model.generator is not None and model.discriminator is None
    report = rs.inspect(file)
    assert report["ignored"] == ["G", reason] and list(report["networks"]) == ["generator"]
    config = StyleGANTraining(checkpoint=file, resolution=64)
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(rs.CheckpointError, match=r"found no discriminator \(D\); expected a generator \(G\)"),
    ):
        assemble(config)

    with pytest.raises(rs.CheckpointError, match=r"architecture='orig' in place of 'resnet' \(the discriminator"):
        rs.load(write(tmp_path / "alone.pkl", original))
    worse = {"D": original, "G_ema": generator({"synthesis.b8.architecture": "orig"})}
    with pytest.raises(rs.CheckpointError, match=r"architecture='orig' in place of 'skip' \(the generator"):
        rs.load(write(tmp_path / "worse.pkl", worse))


@pytest.mark.parametrize(
    ("changes", "state", "named"),
    [
        ({"synthesis.b8.architecture": "resnet"}, {}, "architecture='resnet'"),
        ({"img_channels": 1}, {}, "img_channels=1"),
        ({"mapping.fc0.bias_gain": 1}, {}, "lr_multiplier=1"),
        ({"synthesis.b8.conv0.activation": "relu"}, {}, "activation='relu'"),
        ({"synthesis.b4.conv1.conv_clamp": "much"}, {}, "conv_clamp='much'"),
        ({"synthesis.b4.conv1.conv_clamp": float("nan")}, {}, "conv_clamp=nan in place of a number above 0"),
        ({"synthesis.b4.conv1.conv_clamp": True}, {}, "conv_clamp=True in place of a number above 0"),
        ({}, {"synthesis.L0_36_512.weight": np.zeros((2, 2))}, "a StyleGAN3 network"),
        ({}, {"synthesis.b8.conv0.resample_filter": np.eye(4, dtype=np.float32)}, "is not the standard filter"),
    ],
)
def test_other_architectures(changes: dict[str, Any], state: dict[str, np.ndarray], named: str, tmp_path: Path):
    with pytest.raises(rs.CheckpointError) as caught:
        rs.load(write(tmp_path / "a.pkl", {"G_ema": generator(changes, **state)}))
    assert named in str(caught.value)
