"""Label edits: gradients and directions of the official code, the two orders, and edits that stay where they should."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.edit import label
from restyle_jax.edit.label import Method
from restyle_jax.nets.latent_classifier import LatentClassifier
from tests import networks, recipe
from tests.nets.test_latent_classifier import codes, network, official, reading

MALE, XI = 20, 1e-4  # of the goldens
SHAPE = (2, 18, 512)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_first_order_of_the_official_code():
    """Its loss is a mean over the batch, ours one loss for each code."""
    net, w = official(), networks.latent("stf_label/w", SHAPE)
    found = networks.apply(net, label.gradient, w, MALE, jnp.zeros(2)) / 2
    n = networks.apply(net, first_order, w, MALE, jnp.zeros(2))
    reference = networks.arrays("style_transformer/label_edit")
    assert networks.error(found, reference["first_grad"]) < 5e-6
    assert networks.error(-n, reference["first_direct"]) < 5e-6


def first_order(net: LatentClassifier, w: jax.Array, attribute: jax.Array, target: jax.Array) -> jax.Array:
    return label.direction(net, w, attribute, target, Method(), jax.random.key(0))


def test_gradients_behind_the_second_order_of_the_official_code():
    """The official code differentiates by d, so that one of its gradients has the factor xi and the other has not; what it
    subtracts is reproduced here from our gradients, in float64 to 1e-6."""
    reference = networks.arrays("style_transformer/label_edit")
    with jax.enable_x64(True):
        net = official(jnp.float64)
        w, a = (np.float64(recipe.latent(f"stf_label/{name}", SHAPE)) for name in "wa")
        at = functools.partial(networks.apply, net, label.gradient)
        moved, here = (
            np.asarray(at(codes, MALE, jnp.ones(2))) / 2 for codes in (jnp.asarray(w + XI * a), jnp.asarray(w))
        )
    assert moved.dtype == np.float64
    assert networks.error(moved, reference["hess_grad_direct"] / XI) < 5e-6
    assert networks.error(here, reference["hess_grad_zero"]) < 5e-6
    difference = unit(XI * moved - here)
    assert np.abs(difference - reference["hess_diff_unit_f64"]).max() < 1e-6
    assert np.abs(a - difference - reference["hess_direct_f64"]).max() < 1e-6
    # The difference is minus the gradient itself: the first order with a target of 1, and no second order.
    assert np.abs(difference + unit(here)).max() < 1e-4


def moves(net: LatentClassifier, w: np.ndarray, attribute: str, target: float, method: Method) -> np.ndarray:
    """What a step of length 1 adds."""
    return np.asarray(label.edit(net, w, attribute, target, 1.0, method=method, key=jax.random.key(3))) - w


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, (1, 2)) / np.linalg.norm(a, axis=(1, 2)) / np.linalg.norm(b, axis=(1, 2))


@pytest.mark.parametrize(("normalise", "xi"), [("global", 0.0), ("global", XI), ("token", 0.0)])
def test_both_orders_agree_within_a_linear_piece(normalise: Literal["global", "token"], xi: float):
    with jax.enable_x64(True):
        net, w = network(dtype=jnp.float64), codes(4).astype(np.float64)
        first, second = (moves(net, w, "hat", 1, Method(order, normalise, xi=xi)) for order in (1, 2))
    assert first.dtype == np.float64
    np.testing.assert_allclose(cosines(first, second), 1, atol=1e-9)


def test_they_differ_where_the_difference_reaches_beyond_it():
    net, w = network(), codes(4)
    first, second = (moves(net, w, "hat", 1, Method(order, "global", xi=20.0)) for order in (1, 2))
    found = cosines(first, second)
    assert (found > 0).all() and found.min() < 0.99


@pytest.mark.parametrize(("method", "bound"), [(Method(), 1e-5), (Method(2), 1e-5), (Method(2, xi=XI), 2e-2)])
def test_a_saturated_probability_leaves_a_direction(method: Method, bound: float):
    """The loss has no gradient left in float32, or no curvature; the direction is that of the same logit without the bias."""
    net, w = network(), codes(4)
    plain = [moves(net, w, "smile", target, Method()) for target in (0, 1)]
    for bias in (-1e3, 30.0, 1e3):
        far = network()
        far.read.bias[...] = far.read.bias[...] + bias
        for target in (0, 1):
            np.testing.assert_allclose(moves(far, w, "smile", target, method), plain[target], atol=bound)


@pytest.mark.parametrize(
    "method", [Method(), Method(2, "global"), Method(1, "token", (1, 3)), Method(2, "global", (0,), 1.0)]
)
def test_steps_lead_towards_the_target(method: Method):
    net, w = network(), codes(4)

    def hats(w: jax.typing.ArrayLike) -> np.ndarray:
        return np.asarray(networks.apply(net, reading, jnp.asarray(w)).logits[:, 1])

    before = hats(w)
    for target, sign in ((1, 1), (0, -1), ([0, 1, 0, 1], [-1, 1, -1, 1])):
        after = hats(label.edit(net, w, "hat", target, 0.05, steps=3, method=method))
        assert np.all((after - before) * np.array(sign) > 0)
    away = hats(label.edit(net, w, "hat", 1, -0.05, method=method))
    assert np.all(away < before)


def test_lengths_of_steps():
    net, w = network(), codes(4)
    token = label.edit(net, w, "age", 1, 2.0) - w
    np.testing.assert_allclose(np.linalg.norm(token, axis=-1), 2, rtol=1e-5)
    several = label.edit(net, w, "age", 1, [0.5, 1, 2, 0], method=Method(normalise="global")) - w
    np.testing.assert_allclose(np.linalg.norm(several, axis=(1, 2)), [0.5, 1, 2, 0], rtol=1e-5)
    some = np.asarray(label.edit(net, w, "age", 1, 1.0, method=Method(1, "global", (2, 3))) - w)
    assert not some[:, :2].any()
    np.testing.assert_allclose(np.linalg.norm(some, axis=(1, 2)), 1, rtol=1e-5)


def test_the_direction_is_found_anew_before_every_step():
    net, w = network(), codes(4)
    method = Method(normalise="global")
    once = label.edit(net, w, "smile", 1, 1.5, method=method)
    twice = label.edit(net, once, "smile", 1, 1.5, method=method)
    np.testing.assert_allclose(label.edit(net, w, "smile", 1, 1.5, steps=2, method=method), twice, atol=1e-6)
    assert np.abs(twice - label.edit(net, w, "smile", 1, 3.0, method=method)).max() > 1e-3


@pytest.mark.parametrize("order", [1, 2])
def test_codes_that_do_not_move_come_back_bit_for_bit(order: Literal[1, 2]):
    net, w = network(), codes(4)
    w[0, :, 0] = -0.0
    method = Method(order, layers=(0, 2))
    still = label.edit(net, w, "smile", 1, 0.0, method=method)
    assert np.asarray(still).tobytes() == w.tobytes()
    some = np.asarray(label.edit(net, w, "smile", 1, [0, 1, -0.0, 1], method=method))
    assert some[[0, 2]].tobytes() == w[[0, 2]].tobytes() and some[:, [1, 3]].tobytes() == w[:, [1, 3]].tobytes()
    assert (some[[1, 3]][:, [0, 2]] != w[[1, 3]][:, [0, 2]]).any()


@pytest.mark.parametrize("order", [1, 2])
def test_one_search_for_many_strengths(order: Literal[1, 2]):
    net, w = network(), codes(3)
    w[0, :, 0] = -0.0
    method = Method(order, layers=(0, 2), xi=0.5)
    found = label.directions(net, w, "hat", [1, 0, 1], method=method)
    several = np.asarray(label.along(w, found, [-2, 0, 0.7]))
    for strength, moved in zip((-2, 0.7), several[[0, 2]], strict=True):
        step = label.edit(net, w, "hat", [1, 0, 1], strength, method=method)
        np.testing.assert_allclose(moved, step, rtol=1e-6, atol=1e-6)
    assert (
        several[1].tobytes() == w.tobytes()
        and several[:, :, [1, 3]].tobytes() == w[[[0, 1, 2]] * 3][:, :, [1, 3]].tobytes()
    )
    with pytest.raises(ValueError, match=r"strengths are .*expected finite numbers"):
        label.along(w, found, [1, np.nan])
    with pytest.raises(ValueError, match="it knows smile, hat, age"):
        label.directions(net, w, "hut", 1)


def test_an_edit_does_not_depend_on_the_others_of_its_batch():
    net, w = network(), codes(4)
    together = label.edit(net, w, "hat", [1, 0, 1, 0], 1.0, steps=2)
    for row, target in enumerate((1, 0, 1, 0)):
        single = label.edit(net, w[row : row + 1], "hat", target, 1.0, steps=2)
        np.testing.assert_allclose(single[0], together[row], atol=1e-5)


def test_impossible_edits_say_what_is_wrong():
    net, w = network(), codes(2)
    usual: dict[str, Any] = {"w": w, "attribute": "hat", "target": 1, "step": 1.0}
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"attribute": "beard"}, "'beard' is unknown to the classifier; it knows smile, hat, age"),
        ({"w": w[:, :3]}, r"shape \(2, 3, 8\), but the classifier reads \[B, 4, 8\]"),
        ({"target": 1.5}, r"target 1\.5: expected 0 \(without hat\) to 1"),
        ({"target": float("nan")}, "target nan"),
        ({"step": float("nan")}, "step nan, 1 times: expected finite"),
        ({"step": [1, 2, 3]}, r"step of shape \(3,\): expected one number, or one for each of 2 codes"),
        ({"method": Method(layers=(2, 4))}, r"layers \[4\]: codes have 4 styles, from 0 to 3"),
    ]
    for wrong, message in wrongs:
        with pytest.raises(ValueError, match=message):
            label.edit(net, **usual | wrong)
    impossible: list[tuple[dict[str, Any], str]] = [
        ({"order": 3}, "order 3"),
        ({"normalise": "all"}, "'all'"),
        ({"layers": ()}, "at least one style"),
        ({"xi": -1.0}, "xi"),
    ]
    for fields, message in impossible:
        with pytest.raises(ValueError, match=message):
            Method(**fields)
