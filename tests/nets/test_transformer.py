"""The decoder layer against the official one, in both forms, and what the official one cannot do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.convert import engine
from restyle_jax.convert.tables import style_transformer as tables
from restyle_jax.nets.structure import structure
from restyle_jax.nets.transformer import DecoderLayer, DecoderLayerConfig, attention_weights, dropout
from tests import networks, recipe

BOUND = 5e-5  # of the standard deviation of the reference
SMALL = DecoderLayerConfig(dim=8, heads=2, hidden=12)


def tokens(name: str, count: int) -> jax.Array:
    return networks.latent(f"stf_decoder_layer/{name}", (count, 2, 512)).swapaxes(0, 1)


def small(config: DecoderLayerConfig = SMALL, dtype: jax.typing.DTypeLike = jnp.float32) -> DecoderLayer:
    return networks.random(DecoderLayer, config, dtype=dtype)


def decode(layer: DecoderLayer, *arguments: jax.Array) -> jax.Array:
    return layer(*arguments)


def decode_placed(
    layer: DecoderLayer, x: jax.Array, memory: jax.Array, positions: jax.Array, memory_positions: jax.Array
) -> jax.Array:
    return layer(x, memory, positions=positions, memory_positions=memory_positions)


def decode_dropping(layer: DecoderLayer, x: jax.Array, memory: jax.Array, key: jax.Array) -> jax.Array:
    return layer(x, memory, key=key)


def inputs() -> tuple[jax.Array, jax.Array]:
    return networks.latent("tokens", (2, 3, 8)), networks.latent("memory", (2, 5, 8))


@pytest.mark.parametrize("norm_first", [False, True])
def test_parity_with_torch(norm_first: bool):
    name = "style_transformer/decoder_layer" + ("_prenorm" if norm_first else "")
    config = DecoderLayerConfig(norm_first=norm_first)
    source = recipe.build(networks.manifest(name))
    layer = networks.filled(structure(DecoderLayer, config), tables.decoder_layer(), source)
    arguments = (tokens("tgt", 18), tokens("mem", 64))

    found = networks.apply(layer, decode, *arguments)
    placed = networks.apply(layer, decode_placed, *arguments, tokens("qpos", 18), tokens("pos", 64))
    networks.assert_parity({"out": found.swapaxes(0, 1), "out_pos": placed.swapaxes(0, 1)}, name, BOUND)

    arrays = flat_arrays(layer)
    assert sum(array.size for array in arrays.values()) == 3_154_432
    written = engine.write(tables.decoder_layer(), arrays)
    assert list(written) == list(source)
    assert all(np.array_equal(written[key], source[key]) for key in source)


def test_attention_of_the_paper_divides_each_key_among_the_queries():
    scores = networks.latent("scores", (2, 3, 5))
    shares = np.exp(scores) / np.exp(scores).sum(-2, keepdims=True)
    expected = shares / shares.sum(-1, keepdims=True)
    np.testing.assert_allclose(attention_weights(scores, "queries"), expected, rtol=1e-5)
    np.testing.assert_allclose(attention_weights(scores, "keys").sum(-1), 1, rtol=1e-6)

    # A query that loses every token gets nothing, and no division by zero.
    lost = jnp.array([[500.0, 500.0], [0.0, 0.0]])
    np.testing.assert_array_equal(attention_weights(lost, "queries"), [[0.5, 0.5], [0, 0]])

    layer = small(dataclasses.replace(SMALL, cross_attention="queries"))
    assert layer.cross_attention.heads == 1 and layer.self_attention.heads == 2
    assert networks.apply(layer, decode, *inputs()).shape == (2, 3, 8)


def test_tokens_are_a_set_and_pictures_are_independent():
    layer, (x, memory) = small(), inputs()
    found = networks.apply(layer, decode, x, memory)
    turned = networks.apply(layer, decode, x[:, ::-1], memory[:, ::-1])[:, ::-1]
    exchanged = networks.apply(layer, decode, x[::-1], memory)
    np.testing.assert_allclose(turned, found, atol=1e-5)
    other = networks.apply(layer, decode, x, memory.at[1].set(0))
    np.testing.assert_allclose(other[0], found[0], atol=1e-5)
    assert np.abs(other[1] - found[1]).max() > 0.01 and np.abs(exchanged - found[::-1]).max() > 0.01


def test_dropout_follows_its_key():
    layer, (x, memory) = small(), inputs()
    keys = [jax.random.key(seed) for seed in (1, 1, 2)]
    first, again, other = (networks.apply(layer, decode_dropping, x, memory, key) for key in keys)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first - networks.apply(layer, decode, x, memory)).max() > 0.01
    off = small(dataclasses.replace(SMALL, dropout=0.0))
    whole = networks.apply(off, decode, x, memory)
    np.testing.assert_allclose(networks.apply(off, decode_dropping, x, memory, keys[0]), whole, atol=1e-6)

    drop = dropout(0.25, jax.random.key(0))
    one, two = drop(jnp.ones(10_000)), drop(jnp.ones(10_000))
    assert set(np.unique(one)) == {0, np.float32(4 / 3)}
    assert abs(float(one.mean()) - 1) < 0.03 and abs(float((one * two).mean()) - 1) < 0.03  # independent masks


def test_gradients():
    config = dataclasses.replace(SMALL, cross_attention="queries")
    with jax.enable_x64(True):
        graph, state = nnx.split(small(config, jnp.float64))
        random = np.random.default_rng(0)
        draw = jax.tree.map(lambda leaf: jnp.asarray(random.normal(0, 0.5, leaf.shape)), (state, *inputs()))

        def loss(state: nnx.State, x: jax.Array, memory: jax.Array) -> jax.Array:
            key = jax.random.key(0)
            return (nnx.merge(graph, state, copy=True)(x, memory, key=key) * jnp.sin(jnp.arange(8.0))).sum()

        way = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), draw)
        along = jax.jit(
            jax.value_and_grad(lambda size: loss(*jax.tree.map(lambda leaf, d: leaf + size * d, draw, way)))
        )
        reverse = along(0.0)[1]
        np.testing.assert_allclose(reverse, (along(1e-6)[0] - along(-1e-6)[0]) / 2e-6, rtol=1e-6)


def test_bfloat16():
    layer, low = small(), small(dtype=jnp.bfloat16)
    found = networks.apply(low, decode, *inputs())
    assert found.dtype == jnp.bfloat16 and low.linear1.kernel.dtype == jnp.float32
    assert np.abs(found.astype(jnp.float32) - networks.apply(layer, decode, *inputs())).max() < 0.15


def test_bad_input():
    for fields in ({"heads": 3}, {"hidden": 0}, {"dropout": 1.0}, {"cross_attention": "both"}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            dataclasses.replace(SMALL, **fields)
    x, memory = inputs()
    with pytest.raises(ValueError, match=r"memory have shape \(2, 5, 7\), expected \[B, tokens, 8\]"):
        small()(x, memory[..., :7])
    with pytest.raises(ValueError, match="tokens have shape"):
        small()(x[0], memory)
