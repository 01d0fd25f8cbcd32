"""Descriptions of networks: the same as those of networks with arrays, kept, and left alone."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from restyle_jax.checkpoints.modules import NETWORKS, Blueprint, flat_arrays, structure
from restyle_jax.nets import stylegan, stylegan2
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.edit_transformer import EditTransformerConfig
from restyle_jax.nets.encoders import EncoderConfig
from restyle_jax.nets.identity import IdentityConfig
from restyle_jax.nets.latent_classifier import LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig
from restyle_jax.nets.style_transformer import StyleTransformerConfig

CONFIGS = (
    stylegan.GeneratorConfig(8, (4, 4), z_dim=8, w_dim=8, mapping_layers=1),
    stylegan2.GeneratorConfig(8, (4, 4), z_dim=8, w_dim=8, mapping_layers=1),
    EncoderConfig("fpn", "irse50", 4, style_dim=32, width=16, head_convs=1),
    StyleTransformerConfig(3, trunk="resnet18", style_dim=32, width=4, hidden=5),
    DiscriminatorConfig(8, (4, 4)),
    AttributeConfig(16, (("tone", 0.0, 1.0),), ("light",), (("hat", ("none", "cap")),), (8, 8), 8),
    LatentClassifierConfig(4, 8, ("smile",), widths=(8,), embedding=4),
    EditTransformerConfig(4, "smile", style_dim=8, heads=1, hidden=8),
    IdentityConfig(16, (8, 8), 8),
    PerceptualConfig(16, (8, 8)),
)


def test_every_network_is_here():
    assert {type(config) for config in CONFIGS} == set(NETWORKS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{type(config).__module__.rpartition('.')[2]}")
def test_a_description_is_that_of_the_network(config: Any):
    kind = NETWORKS[type(config)]
    graph, state = nnx.split(nnx.eval_shape(lambda: kind(config, rngs=nnx.Rngs(0))))
    found = Blueprint.of(kind, config)
    assert found.graph == graph
    described, expected = jax.tree.leaves_with_path(found.state), jax.tree.leaves_with_path(state)
    assert [(path, leaf.shape, leaf.dtype) for path, leaf in described] == [
        (path, leaf.shape, leaf.dtype) for path, leaf in expected
    ]


def test_a_description_is_kept_and_left_alone():
    config = CONFIGS[1]
    assert structure(stylegan2.Generator, config) is structure(stylegan2.Generator, config)
    filled = []
    for value in (1, 2):
        targets = Blueprint.of(stylegan2.Generator, config).targets
        assert all(isinstance(target, jax.ShapeDtypeStruct) for target in targets.values())
        arrays = {name: np.full(target.shape, value, target.dtype) for name, target in targets.items()}
        filled.append(Blueprint.of(stylegan2.Generator, config).fill(arrays))
        assert not arrays
    for value, network in zip((1, 2), filled, strict=True):
        assert all((array == value).all() for array in flat_arrays(network).values())


def test_sizes_that_make_no_network():
    with pytest.raises(ValueError, match=r"z_dim=0.* is not a network: float division by zero"):
        Blueprint.of(stylegan2.Generator, stylegan2.GeneratorConfig(8, (4, 4), z_dim=0, w_dim=0))
