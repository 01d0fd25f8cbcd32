"""What an edit of one attribute costs, at an equal change of that attribute."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments.avatars.editing_methods import BATCH, Target, Way
from restyle_jax.jobs.edit_measures import Identity, Judge
from restyle_jax.model import Model, invert
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from restyle_jax.ops.batches import in_batches
from restyle_jax.ops.images import resize

STEPS = 5  # refinements of encoders that refine
DOUBLINGS, HALVINGS, TOLERANCE = 6, 12, 0.01


@dataclass(frozen=True)
class Found:
    """A strength, the change that it makes, and whether that is the one that was wanted; if not, the most that was reached."""

    strength: float
    change: float
    reached: bool


def equal_change(change: Callable[[float], float], amount: float, largest: float) -> Found:
    """The strength whose change is `amount`, to 1 percent: doubled until the change is larger, then bisected.

    change: of a strength > 0. Strengths go from largest / 2^DOUBLINGS to `largest`; if the change jumps over the amount, the
    last strength of the bisection is the answer.
    """
    low, high, tried = 0.0, largest / 2**DOUBLINGS, []
    while (now := change(high)) < amount * (1 - TOLERANCE):
        tried.append((now, high))
        if len(tried) > DOUBLINGS:
            most, strength = max(tried)
            return Found(strength, most, False)
        low, high = high, 2 * high
    strength = high
    for _ in range(HALVINGS):
        if abs(now - amount) <= amount * TOLERANCE:
            break
        strength = (low + high) / 2
        now = change(strength)
        low, high = (strength, high) if now < amount else (low, strength)
    return Found(strength, now, True)


@dataclass(frozen=True)
class Instruments:
    """What looks at pictures. identity, perceptual: None if there is no such network."""

    judge: Judge
    identity: Identity | None
    perceptual: PerceptualNetwork | None

    def readings(self, pictures: np.ndarray) -> np.ndarray:
        """What the attribute network says of pictures f32[n, R, R, 3]: f32[n, columns]."""
        return in_batches(lambda part: self.judge.read(np.empty(0), part), pictures, BATCH)

    def compared(self, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
        """Means over pictures f32[n, R, R, 3]: "identity", a cosine, and "perceptual", a distance, as far as they can be had."""
        found = {}
        if self.identity is not None:
            found["identity"] = float(self.identity.similarity(np.stack([before, after]))[1].mean())
        if self.perceptual is not None:
            graph, state = nnx.split(self.perceptual)
            size = self.perceptual.config.resolution
            pair = [part if part.shape[1] == size else resize(part, size, size) for part in (before, after)]
            together = np.stack(pair, axis=1)
            rows = in_batches(lambda part: _distances(graph, state, part[:, 0], part[:, 1]), together, BATCH)
            found["perceptual"] = float(rows.mean())
        return found

    def edit(self, way: Way, target: Target, amount: float, before: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """What an edit of the reconstructions `before` f32[n, R, R, 3] changes in the mean, and its pictures.

        Of an edit that does not reach the amount only the most that it changes is told: others do not compare.
        """
        judge = dataclasses.replace(self.judge, target=self.judge.names.index(target.column))
        values = self.readings(before)

        def change(strength: float) -> float:
            after = self.readings(way.pictures(strength))
            return target.sign * float(judge.changes(values, after)[:, judge.target].mean())

        found = equal_change(change, amount, way.largest)
        pictures = way.pictures(found.strength)
        told = {"reached": found.reached, "strength": found.strength, "change": found.change}
        if found.reached:
            told |= _others(judge, values, self.readings(pictures)) | self.compared(before, pictures)
        return told, pictures


def _others(judge: Judge, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """The attribute dependency of all others, and of the numbers and the choices among them."""
    found = judge.dependency(before, after)
    if found is None:
        return {}
    each = found.each[1:]
    is_choice = np.array(["=" in judge.names[i] for i in judge.others])
    kinds = {"numbers": each[~is_choice], "choices": each[is_choice]}
    told = {"dependency": found.mean, "dependency_max": found.maximum}
    return told | {f"dependency_{kind}": float(part.mean()) for kind, part in kinds.items() if len(part)}


@functools.partial(jax.jit, static_argnames="graph")
def _distances(graph, state, y, x) -> jax.Array:
    return nnx.merge(graph, state, copy=True)(y, x)


def inverted(model: Model, pictures: jax.Array | np.ndarray) -> np.ndarray:
    """Codes f32[n, K, D] of pictures f32[n, R, R, 3]."""
    return in_batches(lambda part: invert(model, part, STEPS).latents[-1], pictures, BATCH)
