"""What is kept of a person when an edit changes one attribute of the reconstruction by a given amount."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from restyle_jax import zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.files import read_directions
from restyle_jax.jobs.edit_measures import Identity, readings_of
from restyle_jax.metrics.attribute_dependency import attribute_dependency
from restyle_jax.model import Model, synthesise
from restyle_jax.nets.attributes import AttributeNetwork

FIRST, LARGEST = 0.25, 64.0  # strengths: where the search begins, and beyond which it gives up
TOLERANCE = 0.005  # of the wanted change


@dataclass(frozen=True)
class Edited:
    """An edit of the same strength of all pictures.

    change: mean change of the attribute. identity: f32[pictures], cosine similarity of reconstruction and edit. others: mean
    attribute dependency, in standard deviations over the inputs.
    """

    strength: float
    change: float
    identity: np.ndarray
    others: float


@dataclass(frozen=True)
class Ruler:
    """Reads one attribute, and by how much edits must change it.

    network, column: the attribute's number among the readings. spread: f32[readings], standard deviations over the inputs.
    wanted: the mean change, in the numbers of the network.
    """

    network: AttributeNetwork
    column: int
    spread: np.ndarray
    wanted: float

    @classmethod
    def of(cls, network: AttributeNetwork, attribute: str, inputs: np.ndarray, deviations: float) -> "Ruler":
        """One whose wanted change is so many standard deviations over inputs f32[B, R, R, 3]; for all encoders the same.

        Raises ValueError for an attribute that the network does not know, or that is the same in all inputs.
        """
        names = list(network.config.columns)
        if attribute not in names:
            raise ValueError(f"attribute {attribute!r}: expected one of {', '.join(names)}")
        column = names.index(attribute)
        spread = readings_of(network, inputs).std(axis=0)
        if not spread[column] > 0:
            raise ValueError(f"{attribute} is the same in all {len(inputs)} inputs; was the attribute network trained?")
        return cls(network, column, spread, float(deviations * spread[column]))


def read_direction(path: Path) -> Direction:
    """The first direction in a file, or of a name of the zoo. Raises CheckpointError, also for one outside of W and W+."""
    direction = read_directions(zoo.resolve(path))[0]
    if direction.space not in ("W", "W+"):
        raise CheckpointError.explain(
            path,
            found=f"a direction in {direction.space}",
            expected="one in W or W+, where codes of photos can be edited",
            remedy="fit one with `restyle directions fit interfacegan`",
        )
    return direction


def strength_for(change: Callable[[float], float], wanted: float, tolerance: float = TOLERANCE) -> float:
    """The strength > 0 at which `change(strength)` is `wanted` > 0, within a share of `tolerance`.

    The strength is doubled until the change is large enough, and then found by bisection, so that a crossing is found whether or
    not the change grows steadily. Raises ValueError if strength LARGEST does not suffice.
    """
    low, high = 0.0, FIRST
    while (found := change(high)) < wanted:
        low, high = high, 2 * high
        if high > LARGEST:
            raise ValueError(
                f"strength {low:g} changes the attribute by {found:.4g}, and {wanted:.4g} was asked for; does the direction belong "
                "to this generator and this attribute?"
            )
    strength = high
    while abs(found - wanted) > tolerance * wanted and high - low > 1e-6 * high:
        strength = (low + high) / 2
        found = change(strength)
        low, high = (strength, high) if found < wanted else (low, strength)
    return strength


def edit(model: Model, codes: np.ndarray, direction: Direction, ruler: Ruler, identity: Identity, batch: int) -> Edited:
    """Edit codes f32[B, K, w_dim] so that the attribute changes by what is wanted on average. Raises ValueError if it cannot."""
    before = pictures(model, codes, batch)
    values = readings_of(ruler.network, before)

    def edited(strength: float) -> np.ndarray:
        return pictures(model, np.asarray(apply(direction, codes, strength)), batch)

    def change(strength: float) -> float:
        return float((readings_of(ruler.network, edited(strength)) - values)[:, ruler.column].mean())

    strength = strength_for(change, ruler.wanted)
    after = edited(strength)
    changed = readings_of(ruler.network, after)
    varied = np.flatnonzero(ruler.spread > 0)
    dependency = attribute_dependency(
        values[:, varied], changed[:, varied], ruler.spread[varied], varied.tolist().index(ruler.column)
    )
    return Edited(
        strength,
        float((changed - values)[:, ruler.column].mean()),
        identity.similarity(np.stack([before, after]))[1],
        dependency.mean,
    )


def pictures(model: Model, codes: np.ndarray, batch: int) -> np.ndarray:
    """Pictures f32[B, height, width, 3] of codes, of the encoder's size."""
    return np.asarray(model.geometry.pool(jnp.asarray(synthesise(model, codes, batch_size=batch))))
