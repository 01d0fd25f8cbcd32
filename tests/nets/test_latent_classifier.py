"""The latent classifier: parity with the official code, sizes, gradients of its stacked heads, and what it refuses."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.convert.tables import editing
from restyle_jax.nets.latent_classifier import CELEBA_ATTRIBUTES, LatentClassifier, LatentClassifierConfig, Reading
from restyle_jax.nets.structure import structure
from tests import networks, recipe

TINY = LatentClassifierConfig(4, 8, ("smile", "hat", "age"), (24, 16), 6)


@functools.cache
def official_weights() -> dict[str, np.ndarray]:
    """The state dict of the goldens."""
    return recipe.build(networks.manifest("style_transformer/classifier"))


def official(dtype: jax.typing.DTypeLike = jnp.float32) -> LatentClassifier:
    """The network of the goldens."""
    config, table = LatentClassifierConfig(18), editing.latent_classifier(2, 40)
    return networks.filled(structure(LatentClassifier, config, dtype=dtype), table, official_weights())


def network(config: LatentClassifierConfig = TINY, dtype: jax.typing.DTypeLike = jnp.float32) -> LatentClassifier:
    """With random weights, of which logits of some units come."""
    net = networks.random(LatentClassifier, config, dtype=dtype)
    for layer in (*net.layers, net.embed):
        layer.kernel[...] = layer.kernel[...] / np.float32(np.sqrt(layer.kernel.shape[-2]))
    return net


def codes(count: int, config: LatentClassifierConfig = TINY) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, config.num_styles, config.style_dim)).astype(np.float32)


def reading(net: LatentClassifier, w: jax.Array) -> Reading:
    return net(w)


def test_parity_with_official_code():
    found = networks.apply(official(), reading, networks.latent("stf_classifier/w", (3, 18, 512)))
    networks.assert_parity({"pre": found.logits, "feat": found.embeddings}, "style_transformer/classifier", 5e-5)


def test_the_official_size():
    graph = nnx.eval_shape(lambda: network(LatentClassifierConfig(18)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(graph))) == 20_583_464
    assert len(CELEBA_ATTRIBUTES) == 40 and list(CELEBA_ATTRIBUTES) == sorted(CELEBA_ATTRIBUTES)
    named = {
        name: LatentClassifierConfig(18).index(name) for name in ("Bangs", "Eyeglasses", "Male", "Smiling", "Young")
    }
    assert named == {"Bangs": 5, "Eyeglasses": 15, "Male": 20, "Smiling": 31, "Young": 39}


def slopes_of_one_logit(net: LatentClassifier, w: jax.Array) -> nnx.State:
    graph, state = nnx.split(net)
    return jax.grad(lambda state: nnx.merge(graph, state)(w).logits[:, 1].sum())(state)


def test_every_attribute_has_layers_of_its_own():
    """One attribute after the other, with plain matrix products."""
    net, w = network(), codes(5)
    found = networks.apply(net, reading, w)
    assert found.logits.shape == (5, 3) and found.embeddings.shape == (5, 3, 6)
    x = w.reshape(5, -1)
    for layer in net.layers:
        x = x @ np.asarray(layer.kernel[...]) + flat_arrays(layer)["bias"]
        x = np.where(x > 0, x, 0.2 * x)
    for k in range(3):
        kernels = [np.asarray(part[k]) for heads in (net.embed, net.read) for part in (heads.kernel, heads.bias)]
        embedding = x @ kernels[0] + kernels[1]
        np.testing.assert_allclose(found.embeddings[:, k], embedding, atol=1e-5)
        np.testing.assert_allclose(found.logits[:, k], (embedding @ kernels[2] + kernels[3])[:, 0], atol=1e-5)
    # Only its own layers get a gradient from one logit.
    slopes = networks.apply(net, slopes_of_one_logit, w)
    for heads in ("embed", "read"):
        used = np.abs(np.asarray(slopes[heads]["kernel"].get_value())).max((1, 2)) > 0
        assert used.tolist() == [False, True, False]


def test_initial_weights_follow_torch():
    net = LatentClassifier(LatentClassifierConfig(4, 8, ("a", "b"), (64, 32), 16), rngs=nnx.Rngs(0))
    for array, fan_in in (
        (net.embed.kernel, 32),
        (net.read.bias, 16),
        (net.layers[0].kernel, 32),
    ):
        assert np.abs(array[...]).max() <= fan_in**-0.5
    spread = np.asarray(net.layers[0].kernel[...]).std() * np.sqrt(3 * 32)
    assert spread == pytest.approx(1, abs=0.05)


def test_bfloat16_is_close_and_its_outputs_are_float32():
    w = codes(3)
    low, full = (networks.apply(network(dtype=dtype), reading, w) for dtype in (jnp.bfloat16, jnp.float32))
    assert low.logits.dtype == low.embeddings.dtype == jnp.float32
    np.testing.assert_allclose(low.logits, full.logits, atol=0.1)


@pytest.mark.parametrize("shape", [(2, 5, 8), (2, 4, 9), (4, 8)])
def test_codes_of_another_generator_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"classifier reads \[B, 4, 8\]"):
        network()(jnp.zeros(shape))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attributes": ()}, "at least one"),
        ({"attributes": ("a", "a")}, "different names"),
        ({"widths": ()}, "one shared layer"),
        ({"embedding": 0}, "positive"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        LatentClassifierConfig(4, **fields)
    with pytest.raises(ValueError, match="'beard' is unknown to the classifier; it knows smile, hat, age"):
        TINY.index("beard")
