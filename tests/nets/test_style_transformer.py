"""The Style Transformer: what must hold for any weights. Parity is in tests/parity."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.nets.structure import structure
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig
from tests import networks, recipe

TINY = StyleTransformerConfig(6, trunk="resnet18", style_dim=32, width=8, tokens=8, mapping_layers=2, hidden=16)


def make(dtype: jax.typing.DTypeLike = jnp.float32, **fields: Any) -> StyleTransformer:
    config = dataclasses.replace(TINY, **fields)
    return networks.random(StyleTransformer, config, dtype=dtype)


def encode(encoder: StyleTransformer, x: jax.Array) -> jax.Array:
    return encoder(x)


def image(batch: int = 2, channels: int = 3) -> jax.Array:
    return jnp.asarray(recipe.latent("image", (batch, 24, 32, channels)))


def test_styles():
    encoder, x = make(), image()
    found = networks.apply(encoder, encode, x)
    assert found.shape == (2, 6, 32) and found.dtype == jnp.float32
    changed = networks.apply(encoder, encode, x.at[1].set(0))
    np.testing.assert_allclose(changed[0], found[0], atol=1e-5)
    assert np.abs(changed[1] - found[1]).max() > 0.01

    low = networks.apply(make(jnp.bfloat16), encode, x)
    assert low.dtype == jnp.float32 and 0 < np.abs(found - low).max() < 0.2

    # Tokens beyond the styles are attended to by the others.
    encoder.tokens[...] = encoder.tokens[...].at[-1].set(jnp.arange(32.0))
    assert np.abs(networks.apply(encoder, encode, x) - found).max() > 1e-3


@pytest.mark.parametrize("trunk", ["irse50", "resnet50"])
def test_sizes(trunk: Any):
    config = StyleTransformerConfig(14, trunk=trunk, style_dim=64, width=16)
    x = jax.ShapeDtypeStruct((2, 192, 256, 3), jnp.float32)
    encoder = structure(StyleTransformer, config)
    assert encoder.tokens.shape == (14, 64)
    memories = jax.eval_shape(lambda x: StyleTransformer(config, rngs=nnx.Rngs(0)).memories(x), x)
    assert [memory.shape for memory in memories] == [(2, count, 64) for count in (192, 768, 3072)]


def test_bad_input():
    encoder = structure(StyleTransformer, TINY)
    with pytest.raises(ValueError, match="takes 3 channels, but the image has 6"):
        encoder(image(channels=6))
    with pytest.raises(ValueError, match="no progressive stage"):
        encoder(image(), 3)
    for fields in ({"trunk": "vgg"}, {"tokens": 5}, {"mapping_layers": 0}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            dataclasses.replace(TINY, **fields)
