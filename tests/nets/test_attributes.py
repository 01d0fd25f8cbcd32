"""The attribute network: what it says in which form, what it costs, its gradient, and the pictures and sizes that it refuses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.nets.attributes import (
    CHUNK,
    AttributeConfig,
    AttributeNetwork,
    Attributes,
    describe,
    frequencies,
    readings,
)
from tests import networks

TINY = AttributeConfig(
    16,
    scalars=(("yaw", -35.0, 35.0), ("smile", -1.0, 1.0)),
    angles=("light_direction",),
    choices=(("hat", ("none", "cap", "brim")), ("freckles", ("no", "yes"))),
    widths=(8, 16),
    features=24,
)


def network(config: AttributeConfig = TINY) -> AttributeNetwork:
    return networks.random(AttributeNetwork, config)


def pictures(count: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def features(net: AttributeNetwork, x: jax.Array) -> jax.Array:
    return net.features(x)


def everything(net: AttributeNetwork, x: jax.Array) -> Attributes:
    return net(x)


def test_outputs_have_the_names_and_sizes_of_the_config():
    net = network()
    found = networks.apply(net, everything, pictures(3))
    assert found.scalars.shape == (3, 2) and found.angles.shape == (3, 1, 2)
    assert {name: logits.shape for name, logits in found.choices.items()} == {"hat": (3, 3), "freckles": (3, 2)}
    seen = networks.apply(net, features, pictures(3))
    assert seen.shape == (3, 24) and seen.dtype == jnp.float32
    raw = net.head(seen)  # one output after the other
    flat = [found.scalars - 0.5, found.angles.reshape(3, 2), found.choices["hat"], found.choices["freckles"]]
    np.testing.assert_allclose(np.concatenate(flat, 1), raw, atol=1e-5)


def test_pictures_do_not_depend_on_each_other():
    net, images = network(), pictures(4)
    together = networks.apply(net, features, images)
    alone = networks.apply(net, features, images[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-5)


def test_the_place_of_a_spot_is_seen():
    spots = np.full((2, 16, 16, 3), -1, np.float32)
    spots[0, 5, 5], spots[1, 5, 9] = 1, 1
    left, right = networks.apply(network(), features, spots)
    assert np.abs(left - right).max() > 1e-3 * np.abs(left).max()


def test_gradient_is_the_slope():
    net, x = network(), jnp.asarray(pictures(2))
    direction = jnp.asarray(np.random.default_rng(2).standard_normal(x.shape), jnp.float32)

    def value(net: AttributeNetwork, x: jax.Array) -> jax.Array:
        return jnp.square(net.features(x)).sum()

    def gradient(net: AttributeNetwork, x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: value(net, x))(x)

    slope = float((networks.apply(net, gradient, x) * direction).sum())
    step = 1e-3
    ahead, behind = (float(networks.apply(net, value, x + sign * step * direction)) for sign in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=2e-2)


def test_a_picture_of_64_px_costs_20_million_multiplications_at_most():
    net = network(AttributeConfig(64, TINY.scalars, TINY.angles, TINY.choices))
    graph, state = networks.nnx.split(net)
    lowered = jax.jit(lambda state, x: networks.nnx.merge(graph, state, copy=True)(x)).lower(state, pictures(1, 64))
    cost: Any = lowered.cost_analysis()
    assert cost["flops"] < 2 * 20e6


def test_many_pictures_are_described_in_parts():
    net, images = network(), pictures(CHUNK + 3)
    found = describe(net, images)
    assert isinstance(found.scalars, np.ndarray) and found.scalars.shape == (CHUNK + 3, 2)
    last = networks.apply(net, everything, images[-3:])
    np.testing.assert_allclose(found.choices["hat"][-3:], last.choices["hat"], atol=1e-5)
    shares = frequencies(net, images)
    assert list(shares) == ["hat", "freckles"] and list(shares["hat"]) == ["none", "cap", "brim"]
    logits = np.diff(found.choices["freckles"].astype(np.float64))
    assert shares["freckles"]["yes"] == pytest.approx(np.mean(1 / (1 + np.exp(-logits))), abs=1e-5)
    assert sum(shares["hat"].values()) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (2, 16, 16, 1), (16, 16, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"expected \[B, 16, 16, 3\]: resize"):
        describe(network(), np.zeros(shape, np.float32))


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="no pictures"):
        frequencies(network(), pictures(0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"resolution": 20}, "resolution 20: expected a multiple of 16"),
        ({"resolution": 0}, "resolution 0"),
        ({"widths": ()}, "multiples of 8"),
        ({"widths": (8, 12)}, "multiples of 8"),
        ({"features": 0}, "features 0: expected 1 or more"),
        ({"scalars": (("age", 1.0, 1.0),)}, "age: expected a range"),
        ({"scalars": (("age", 0.0, float("nan")),)}, "age: expected a range"),
        ({"choices": (("hat", ("none",)),)}, "hat: expected several different values"),
        ({"choices": (("hat", ("a", "a")),)}, "hat: expected several different values"),
        ({"angles": ("age",)}, "different names"),
        ({"scalars": ()}, "at least one"),
    ],
)
def test_impossible_configs_say_what_is_wrong(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        AttributeConfig(**{"resolution": 64, "scalars": (("age", 0.0, 1.0),), **wrong})


def test_readings_are_numbers_in_columns():
    found = describe(network(), pictures(3))
    columns = readings(TINY, found)
    assert list(TINY.columns) == [
        *("yaw", "smile", "light_direction (cosine)", "light_direction (sine)"),
        *("hat=none", "hat=cap", "hat=brim", "freckles=yes"),
    ]
    assert list(TINY.columns.values()) == ["yaw", "smile", *["light_direction"] * 2, *["hat"] * 3, "freckles"]
    np.testing.assert_array_equal(columns[:, :2], found.scalars)
    np.testing.assert_array_equal(columns[:, 2:4], found.angles[:, 0])
    hat = np.asarray(found.choices["hat"], np.float64)
    odds = [np.log(np.exp(np.delete(hat - hat[:, [i]], i, axis=1)).sum(axis=1)) for i in range(3)]
    np.testing.assert_allclose(columns[:, 4:7], -np.stack(odds, axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(columns[:, 7], np.diff(found.choices["freckles"])[:, 0], atol=1e-5)
