"""A small network that says what is in a picture: numbers, angles and choices, read off features of its own.

Trained on drawn pictures, of which everything is known, it does two jobs: its features stand for those of Inception where a
measure compares sets of pictures (FID and its kin), and its outputs say how often something is seen, and later in which
direction it lies. The config names the outputs, so that a saved network explains itself.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets.small_trunk import GatheringTrunk, check_sizes
from restyle_jax.ops.layers import leaky_relu

CHUNK = 256  # pictures that are looked at together


@dataclasses.dataclass(frozen=True)
class AttributeConfig:
    """What the network sees and says.

    resolution: rows and columns of the pictures.
    scalars: (name, low, high) of each number with a range. angles: names of the angles that go round (in degrees).
    choices: (name, values) of each attribute that has one of several values.
    widths: channels behind the input layer, which halves the resolution, and behind each block, which halves it again.
    features: F, how many numbers describe a picture before they are read as attributes.

    Raises ValueError if a range is empty, names are not different, or the sizes do not fit each other.
    """

    resolution: int
    scalars: tuple[tuple[str, float, float], ...] = ()
    angles: tuple[str, ...] = ()
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    widths: tuple[int, ...] = (32, 48, 80, 96)
    features: int = 128

    def __post_init__(self) -> None:
        check_sizes(self.resolution, self.widths)
        if self.features < 1:
            raise ValueError(f"features {self.features}: expected 1 or more")
        names = [*(name for name, *_ in self.scalars), *self.angles, *(name for name, _ in self.choices)]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"attributes {names}: expected at least one, all with different names")
        for name, low, high in self.scalars:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"{name}: expected a range of numbers, found {low} to {high}")
        for name, values in self.choices:
            if len(values) < 2 or len(set(values)) < len(values):
                raise ValueError(f"{name}: expected several different values, found {values}")

    @property
    def outputs(self) -> int:
        """Number of outputs in all: one for a scalar, two for an angle, one for each value of a choice."""
        return len(self.scalars) + 2 * len(self.angles) + sum(len(values) for _, values in self.choices)

    @property
    def columns(self) -> dict[str, str]:
        """Names of what `readings` gives, and the attribute that each belongs to, in their order.

        "smile" for a scalar as it is, "light (cosine)" and "light (sine)" for an angle, "glasses=round" for the log-odds of a value
        of a choice. A choice of two values has one column, that of the second.
        """
        columns = {name: name for name, *_ in self.scalars}
        columns |= {f"{name} ({part})": name for name in self.angles for part in ("cosine", "sine")}
        return columns | {f"{name}={value}": name for name, values in self.choices for value in values[_told(values)]}


class Attributes(NamedTuple):
    """What is in B pictures.

    scalars: f32[B, S], 0 at the low and 1 at the high end of the range. angles: f32[B, A, 2], cosine and sine; both in the
    order of the config. choices: {name: f32[B, values]}, logits; in any order (JAX sorts dicts by name).
    """

    scalars: jax.Array
    angles: jax.Array
    choices: dict[str, jax.Array]


class AttributeNetwork(GatheringTrunk):
    """Input layer, blocks, a linear layer over the whole map that is left, and one for all outputs."""

    def __init__(self, config: AttributeConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        sizes = (config.resolution, config.widths, config.features)
        super().__init__(*sizes, "attribute network", dtype=dtype, rngs=rngs)
        self.config = config
        # Training starts from someone who does not look.
        self.head = nnx.Linear(config.features, config.outputs, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """x: f32[B, R, R, 3] in [-1, 1], R as in the config -> f32[B, F]. Raises ValueError on another shape."""
        return leaky_relu(self.gathered(x))

    def __call__(self, x: jax.Array) -> Attributes:
        """x: f32[B, R, R, 3] in [-1, 1] -> what is in the pictures. Raises ValueError on another shape."""
        return self.read(self.features(x))

    def read(self, features: jax.Array) -> Attributes:
        """f32[B, F] -> what they mean."""
        config = self.config
        sizes = (len(config.scalars), 2 * len(config.angles), *(len(values) for _, values in config.choices))
        scalars, angles, *choices = jnp.split(self.head(features), np.cumsum(sizes)[:-1], -1)
        logits = {name: part for (name, _), part in zip(config.choices, choices, strict=True)}
        return Attributes(0.5 + scalars, angles.reshape(len(features), -1, 2), logits)


def describe(network: AttributeNetwork, images: jax.Array | np.ndarray) -> Attributes:
    """What is in images f32[N, R, R, 3] in [-1, 1], for any N > 0: compiled, some at a time; numpy arrays.

    Raises ValueError on another shape, or without pictures.
    """
    if not len(images):
        raise ValueError("there are no pictures to describe")
    graph, state = nnx.split(network)
    parts = [_described(graph, state, images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


@functools.partial(jax.jit, static_argnames="graph")
def _described(graph: nnx.GraphDef[AttributeNetwork], state: nnx.State, x: jax.Array) -> Attributes:
    return nnx.merge(graph, state, copy=True)(x)


def readings(config: AttributeConfig, found: Attributes) -> np.ndarray:
    """What was found in B pictures as numbers f32[B, columns], see `AttributeConfig.columns`."""
    angles = found.angles.reshape(len(found.angles), 2 * len(config.angles))
    columns = [np.asarray(found.scalars), np.asarray(angles)]
    for name, values in config.choices:
        logits = np.asarray(found.choices[name])
        others = np.where(np.eye(len(values), dtype=bool), -np.inf, logits[:, None])  # row i: all values but i
        columns.append((logits - np.logaddexp.reduce(others, axis=-1))[:, _told(values)])
    return np.concatenate(columns, axis=1, dtype=np.float32)


def _told(values: tuple[str, ...]) -> slice:
    """The values of a choice that have a column."""
    return slice(1, None) if len(values) == 2 else slice(None)


def frequencies(network: AttributeNetwork, images: jax.Array | np.ndarray) -> dict[str, dict[str, float]]:
    """{choice: {value: share}} in images f32[N, R, R, 3] in [-1, 1]: the means of the probabilities that the network gives.

    Not how often a value is the likeliest: where little can be seen, that is always the most frequent one, while these means are
    right for pictures like those of the training. What the network cannot see (`experiments.avatars.attribute_accuracy` tells) has
    the shares of the training pictures in any others, too.

    Raises ValueError as `describe`.
    """
    found = describe(network, images).choices
    means = {name: np.asarray(jax.nn.softmax(found[name])).mean(0) for name, _ in network.config.choices}
    return {name: dict(zip(values, means[name].tolist(), strict=True)) for name, values in network.config.choices}
