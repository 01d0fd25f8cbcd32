"""Edits by a label: every code moves along a direction of its own, which a latent classifier gives (arXiv 2203.07932, section 3.4).

Nothing is trained. With the classifier's loss L(w) = BCE(sigma(C_k(w)), y) for attribute k and target y, the first-order
direction is that of -dL/dw; the second-order one is what one power iteration of the Hessian makes of a random vector, with
the sign that lowers L. Upstream: `training/coach_label_edit.py` of sapphire497/style-transformer, whose second-order code
subtracts gradients of different scale and adds the random vector to the edit; this is the formula of the paper instead.

The classifier is piecewise linear: inside a piece C_k(w) = u.w + b, so that dL/dw = (sigma - y) u, and the Hessian
sigma (1 - sigma) u u^T turns any vector into a multiple of u. There both orders give the same direction.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.scipy.special import logit

from restyle_jax.nets.latent_classifier import LatentClassifier, check_codes

PerCode = jax.typing.ArrayLike | Sequence[float]
"""One number for all codes, or one for each."""


@dataclasses.dataclass(frozen=True)
class Method:
    """How a direction is found.

    order: 1 or 2, see above. normalise: to unit length in each style of the code by itself ("token", upstream), or over the
        whole code ("global").
    layers: the styles that may move, by number from 0; None: all. Directions have unit length within them.
    xi: length of the difference H d = (dL/dw at w + xi d - dL/dw at w) / xi of the second order. 0 takes its limit, the exact
        derivative. Upstream has 1e-4, at which float32 keeps nothing of the difference; a length of the order of a step
        looks beyond the piece of the classifier in which w lies, where the two orders differ.

    Raises ValueError if a value is impossible.
    """

    order: Literal[1, 2] = 1
    normalise: Literal["token", "global"] = "token"
    layers: tuple[int, ...] | None = None
    xi: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(f"order {self.order!r}: expected 1 or 2")
        if self.normalise not in ("token", "global"):
            raise ValueError(f"normalise {self.normalise!r}: expected 'token' or 'global'")
        if self.layers is not None and not self.layers:
            raise ValueError("layers (): expected at least one style that may move, or None for all")
        if not 0 <= self.xi < float("inf"):
            raise ValueError(f"xi {self.xi}: expected 0 or a positive length")


def gradient(
    classifier: LatentClassifier, w: jax.Array, attribute: jax.typing.ArrayLike, target: jax.Array
) -> jax.Array:
    """dL/dw of each code: w f32[B, K, D] -> f32[B, K, D]. attribute: its number. target: f32[B] in [0, 1]."""

    def loss(w: jax.Array) -> jax.Array:
        return optax.sigmoid_binary_cross_entropy(classifier(w).logits[:, attribute], target).sum()

    return jax.grad(loss)(w)


def direction(
    classifier: LatentClassifier,
    w: jax.Array,
    attribute: jax.typing.ArrayLike,
    target: jax.Array,
    method: Method,
    key: jax.Array,
) -> jax.Array:
    """The unit direction of each code in which its loss falls: f32[B, K, D], zero in styles that may not move.

    w: f32[B, K, D]. attribute: its number. target: f32[B] in [0, 1]. key: for the random vectors of the second order.

    Only directions of gradients matter. So the first order is that of the logit's gradient u with the sign of y - sigma, which
    a saturated sigma does not make vanish. Where the second order is lost because sigma (1 - sigma) underflows, or a difference
    of gradients is below their rounding, the first order takes its place.
    """
    mask = _mask(method.layers, w.shape[1])
    found, pullback = jax.vjp(lambda w: classifier(w).logits[:, attribute], w)
    (u,) = pullback(jnp.ones_like(found))
    first = jnp.where(_per_code(found > logit(target)), -u, u) * mask
    if method.order == 1:
        return _unit(first, method.normalise)
    slope = functools.partial(gradient, classifier, attribute=attribute, target=target)
    d = _unit(jax.random.normal(key, w.shape, w.dtype) * mask, method.normalise)
    if method.xi:
        change = (slope(w + method.xi * d) - slope(w)) * mask
        lost = _largest(change) <= 100 * jnp.finfo(w.dtype).eps * _largest(slope(w))
    else:
        change = jax.jvp(slope, (w,), (d,))[1] * mask
        lost = _largest(change) == 0
    second = _unit(jnp.where(lost, first, change), method.normalise)
    return jnp.where(_per_code((second * first).sum((1, 2)) < 0), -second, second)


def directions(
    classifier: LatentClassifier,
    w: jax.typing.ArrayLike,
    attribute: str,
    target: PerCode,
    *,
    method: Method | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """`direction` of codes f32[B, K, D], compiled: those of the first step of `edit`, whose arguments and errors it has.

    With `along`, one search serves many strengths.
    """
    method, codes = method or Method(), jnp.asarray(w)
    number, targets = _checked(classifier, codes, attribute, target, method)
    graph, state = nnx.split(classifier)
    return _directions(graph, state, codes, number, targets, jax.random.key(0) if key is None else key, method)


@functools.partial(jax.jit, static_argnames=("graph", "method"))
def _directions(graph, state, w, attribute, target, key, method) -> jax.Array:
    return direction(nnx.merge(graph, state, copy=True), w, attribute, target, method, jax.random.fold_in(key, 0))


def along(
    w: jax.typing.ArrayLike, found: jax.typing.ArrayLike, strengths: Sequence[float] | jax.typing.ArrayLike
) -> jax.Array:
    """Codes f32[B, K, D] moved along their own directions f32[B, K, D] by lengths f32[n]: f32[n, B, K, D].

    What does not move comes back bit for bit. Raises ValueError for strengths that are not finite.
    """
    codes, lengths = jnp.asarray(w), np.asarray(strengths)
    if not np.isfinite(lengths).all():
        raise ValueError(f"strengths are {strengths}, expected finite numbers")
    return _moved(codes, jnp.asarray(lengths, codes.dtype)[:, None, None, None] * jnp.asarray(found))


def edit(
    classifier: LatentClassifier,
    w: jax.typing.ArrayLike,
    attribute: str,
    target: PerCode,
    step: PerCode,
    *,
    steps: int = 1,
    method: Method | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """Codes that have moved towards a label: w f32[B, K, D] -> f32[B, K, D]. Compiled once for each `method` and shape.

    attribute: one of the classifier's. target: y in [0, 1], for all or f32[B]; 1: with the attribute, 0: without.
    step: how far each of the `steps` goes, for all or f32[B]; upstream has 3. Negative ones lead away from the target, and
        codes whose step is 0 come back bit for bit. The direction is found anew before every step.
    method: first order and normalisation by style unless given. key: of the second order, `jax.random.key(0)` unless given.

    Raises ValueError: an unknown attribute (lists the known ones), codes of another shape, styles beyond the last, a target
    outside [0, 1], a step that is not a number.
    """
    method, codes = method or Method(), jnp.asarray(w)
    number, targets = _checked(classifier, codes, attribute, target, method)
    lengths = _per_row("step", step, codes)
    if not np.isfinite(lengths).all() or steps < 0:
        raise ValueError(f"step {step}, {steps} times: expected finite numbers, 0 times or more")
    graph, state = nnx.split(classifier)
    key = jax.random.key(0) if key is None else key
    return _edited(graph, state, codes, number, targets, lengths, steps, key, method)


@functools.partial(jax.jit, static_argnames=("graph", "method"))
def _edited(graph, state, w, attribute, target, step, steps, key, method) -> jax.Array:
    classifier = nnx.merge(graph, state, copy=True)

    def one(number: jax.Array, w: jax.Array) -> jax.Array:
        n = direction(classifier, w, attribute, target, method, jax.random.fold_in(key, number))
        return _moved(w, _per_code(step) * n)

    return jax.lax.fori_loop(0, steps, one, w)


def _moved(w: jax.Array, by: jax.Array) -> jax.Array:
    """w + by; where that is 0, the bits of w: a sum would turn -0 into 0."""
    return jnp.where(by == 0, w, w + by)


def _checked(
    classifier: LatentClassifier, codes: jax.Array, attribute: str, target: PerCode, method: Method
) -> tuple[int, np.ndarray]:
    """The attribute's number, and f32[B] of the target; raises ValueError as `edit`."""
    config = classifier.config
    check_codes(codes, config.num_styles, config.style_dim, "the classifier")
    number, targets = config.index(attribute), _per_row("target", target, codes)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(f"target {target}: expected 0 (without {attribute}) to 1 (with it)")
    outside = [layer for layer in method.layers or () if not 0 <= layer < config.num_styles]
    if outside:
        raise ValueError(f"layers {outside}: codes have {config.num_styles} styles, from 0 to {config.num_styles - 1}")
    return number, targets


def _per_row(name: str, value: PerCode, codes: jax.Array) -> np.ndarray:
    values = np.asarray(value, codes.dtype)
    if values.shape not in ((), (len(codes),)):
        raise ValueError(f"{name} of shape {values.shape}: expected one number, or one for each of {len(codes)} codes")
    return np.broadcast_to(values, (len(codes),))


def _mask(layers: tuple[int, ...] | None, num_styles: int) -> np.ndarray:
    """f32[K, 1]: 1 for the styles that may move."""
    every = np.arange(num_styles)
    return np.isin(every, every if layers is None else layers).astype(np.float32)[:, None]


def _per_code(values: jax.Array) -> jax.Array:
    return values[:, None, None]


def _largest(x: jax.Array) -> jax.Array:
    """[B, K, D] -> [B, 1, 1], the largest absolute value of each code."""
    return jnp.abs(x).max((1, 2), keepdims=True)


def _unit(x: jax.Array, normalise: str) -> jax.Array:
    """x over its Euclidean length; zero where it is zero."""
    axes = (2,) if normalise == "token" else (1, 2)
    # Squares of the small numbers that saturated gradients consist of would underflow.
    largest = jnp.abs(x).max(axes, keepdims=True)
    scaled = x / jnp.where(largest > 0, largest, 1)
    length = jnp.sqrt(jnp.square(scaled).sum(axes, keepdims=True))
    return scaled / jnp.where(length > 0, length, 1)
