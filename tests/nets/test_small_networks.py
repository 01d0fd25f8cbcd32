"""The identity and the perceptual network: what they compute, what they cost, their gradients, what they refuse."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.nets.small_perceptual import PerceptualConfig, PerceptualNetwork, on_trunk
from tests import networks
from tests.nets.test_attributes import network as attribute_network
from tests.nets.test_attributes import pictures

FACE = IdentityConfig(16, widths=(8, 16), features=12)
DISTANCE = PerceptualConfig(16, widths=(8, 16))


def identity(config: IdentityConfig = FACE, dtype: Any = jnp.float32) -> IdentityNetwork:
    return networks.random(IdentityNetwork, config, dtype=dtype)


def perceptual(config: PerceptualConfig = DISTANCE, dtype: Any = jnp.float32) -> PerceptualNetwork:
    found = networks.random(PerceptualNetwork, config, dtype=dtype)
    for part in found.weights:
        part[...] = jnp.abs(part[...])
    return found


def embed(network: IdentityNetwork, x: jax.Array) -> jax.Array:
    return network(x)


def seen(network: PerceptualNetwork, y: jax.Array, x: jax.Array) -> Any:
    a, b = network.features(y), network.features(x)
    return network(y, x), network(x, y), network.distances(a, b), network.differences(a, b), network.trunk.maps(y), a


def distance(network: PerceptualNetwork, y: jax.Array, x: jax.Array) -> jax.Array:
    return network(y, x)


def slope(network: Any, x: jax.Array, direction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The derivative of a loss along a direction in float64: by its gradient, and by differences."""

    def loss(x: jax.Array) -> jax.Array:
        return network(x)[0] @ network(x)[1] if isinstance(network, IdentityNetwork) else network(x[:1], x[1:])[0]

    step = 1e-6
    return (jax.grad(loss)(x) * direction).sum(), (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)


def test_faces_are_unit_vectors_of_their_own_picture():
    network, images = identity(), pictures(4)
    together = np.asarray(networks.apply(network, embed, images))
    assert together.shape == (4, 12) and together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together[2:], networks.apply(network, embed, images[2:]), atol=1e-5)
    assert np.abs(together @ together.T - np.eye(4)).max() < 1


def test_the_distance_is_that_of_lpips():
    """By its definition, in numpy, from the maps of the trunk."""
    network, images = perceptual(), pictures(6)
    found, swapped, layers, differences, maps, features = networks.apply(network, seen, images[:3], images[3:])
    other = networks.apply(network, seen, images[3:], images[3:])[4]
    assert [x.shape for x in maps] == [(3, 8, 8, 8), (3, 4, 4, 16)] and all(x.dtype == jnp.float32 for x in maps)
    expected = np.zeros((3, 2))
    for layer, (p, q, weight) in enumerate(zip(maps, other, network.weights, strict=True)):
        p, q = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (np.float64(p), np.float64(q)))
        expected[:, layer] = (np.square(p - q) * np.float64(weight[...])).sum(-1).mean((1, 2))
    np.testing.assert_allclose(layers, expected, rtol=1e-4)
    np.testing.assert_allclose(found, expected.sum(1), rtol=1e-4)
    np.testing.assert_allclose(found, swapped, rtol=1e-6)
    weights = np.concatenate([weight[...] for weight in network.weights])
    np.testing.assert_allclose(differences @ weights, found, rtol=1e-4)
    assert [x.shape for x in features] == [x.shape for x in maps]
    np.testing.assert_array_equal(networks.apply(network, distance, images[:3], images[:3].copy()), 0)


@pytest.mark.parametrize("make", [identity, perceptual])
def test_gradients_are_slopes(make: Any):
    with jax.enable_x64():
        network = make(dtype=jnp.float64)
        direction = np.random.default_rng(3).standard_normal((2, 16, 16, 3))
        by_gradient, by_differences = jax.jit(lambda x, d: slope(network, x, d))(pictures(2).astype(float), direction)
    assert float(by_gradient) == pytest.approx(float(by_differences), rel=1e-5)


def test_a_face_of_64_px_costs_35_million_operations_at_most():
    graph, state = networks.nnx.split(identity(IdentityConfig(64)))
    lowered = jax.jit(lambda state, x: networks.nnx.merge(graph, state, copy=True)(x)).lower(state, pictures(1, 64))
    cost: Any = lowered.cost_analysis()
    assert cost["flops"] < 36e6
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) * 4 < 2e6  # bytes on disk


def test_the_trunk_of_an_attribute_network_is_shared():
    attributes, weights = attribute_network(), np.arange(24, dtype=np.float32)
    network = on_trunk(attributes, weights)
    assert network.config == PerceptualConfig(16, (8, 16)) and network.size == 16
    assert network.trunk.blocks[0].conv1.kernel is attributes.blocks[0].conv1.kernel
    np.testing.assert_array_equal(np.concatenate([part[...] for part in network.weights]), weights)
    for wrong in (np.ones(23), np.full(24, np.nan), weights - 1):
        with pytest.raises(ValueError, match="expected 24 numbers of 0 or more"):
            on_trunk(attributes, wrong)


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (2, 16, 16, 1), (16, 16, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    images = jnp.zeros(shape)
    with pytest.raises(ValueError, match=r"pictures for the identity network .* expected \[B, 16, 16, 3\]: resize"):
        identity()(images)
    with pytest.raises(ValueError, match=r"pictures for the perceptual network"):
        perceptual()(images, images)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"resolution": 20}, "resolution 20: expected a multiple of 16"),
        ({"widths": (8, 12)}, "multiples of 8"),
        ({"widths": ()}, "multiples of 8"),
        ({"features": 0}, "features 0: expected 1 or more"),
    ],
)
def test_impossible_configs_say_what_is_wrong(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        IdentityConfig(**{"resolution": 64, **wrong})
    if "features" not in wrong:
        with pytest.raises(ValueError, match=message):
            PerceptualConfig(**{"resolution": 64, **wrong})
