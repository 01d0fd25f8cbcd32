"""Descriptions of networks are those of networks with arrays."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from restyle_jax.checkpoints.modules import NETWORKS, Blueprint
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


def test_types_are_those_of_the_moment():
    """Not those of a float64 computation before."""
    kind, config = stylegan2.Generator, CONFIGS[1]
    with jax.enable_x64(True):
        wide = Blueprint.of(kind, config)
    assert jnp.dtype("float64") in {target.dtype for target in wide.targets.values()}
    assert {target.dtype for target in Blueprint.of(kind, config).targets.values()} == {jnp.dtype("float32")}


def test_sizes_that_make_no_network():
    with pytest.raises(ValueError, match=r"z_dim=0.* is not a network: float division by zero"):
        Blueprint.of(stylegan2.Generator, stylegan2.GeneratorConfig(8, (4, 4), z_dim=0, w_dim=0))
