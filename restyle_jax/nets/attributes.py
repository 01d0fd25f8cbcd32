"""A small network that says what is in a picture: numbers, angles and choices, read off features of its own.

Trained on drawn pictures, of which everything is known, it does two jobs: its features stand for those of Inception where a
measure compares sets of pictures (FID and its kin), and its outputs say how often something is seen, and later in which
direction it lies. The config names the outputs, so that a saved network explains itself.
"""

import dataclasses
import functools
import math
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange, reduce
from flax import nnx

from restyle_jax.nets.residual import conv
from restyle_jax.ops.layers import leaky_relu

GROUP = 8  # channels that are normalised together
CHUNK = 256  # pictures that are looked at together

he_normal = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")


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
        if not self.widths or any(width < GROUP or width % GROUP for width in self.widths):
            raise ValueError(f"widths {self.widths}: expected multiples of {GROUP}")
        if self.features < 1:
            raise ValueError(f"features {self.features}: expected 1 or more")
        if self.resolution < 2 ** len(self.widths) or self.resolution % 2 ** len(self.widths):
            raise ValueError(f"resolution {self.resolution}: expected a multiple of {2 ** len(self.widths)}")
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


class Block(nnx.Module):
    """Residual block with the activations before the convolutions (arXiv 1603.05027), which halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        def block_conv(channels: int, size: int, stride: int) -> nnx.Conv:
            return conv(channels, out_channels, size, stride, kernel_init=he_normal, dtype=dtype, rngs=rngs)

        self.norm1 = _norm(in_channels, dtype=dtype, rngs=rngs)
        self.conv1 = block_conv(in_channels, 3, 2)
        self.norm2 = _norm(out_channels, dtype=dtype, rngs=rngs)
        self.conv2 = block_conv(out_channels, 3, 1)
        self.shortcut = block_conv(in_channels, 1, 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, in] -> [B, H / 2, W / 2, out]."""
        y = self.conv1(leaky_relu(self.norm1(x)))
        y = self.conv2(leaky_relu(self.norm2(y)))
        return y + self.shortcut(reduce(x, "b (h i) (w j) c -> b h w c", "mean", i=2, j=2))


class AttributeNetwork(nnx.Module):
    """Input layer, blocks, a linear layer over the whole map that is left, and one for all outputs.

    A mean over space would forget where something was seen: many attributes are places, and others are seen in one place only.
    """

    def __init__(self, config: AttributeConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        widths = config.widths
        self.input_layer = conv(3, widths[0], 3, 2, use_bias=True, kernel_init=he_normal, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List([Block(*pair, dtype=dtype, rngs=rngs) for pair in pairwise(widths)])
        self.norm = _norm(widths[-1], dtype=dtype, rngs=rngs)
        cells = (config.resolution // 2 ** len(widths)) ** 2
        self.gather = nnx.Linear(cells * widths[-1], config.features, kernel_init=he_normal, rngs=rngs)
        # Training starts from someone who does not look.
        self.head = nnx.Linear(config.features, config.outputs, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """x: f32[B, R, R, 3] in [-1, 1], R as in the config -> f32[B, F]. Raises ValueError on another shape."""
        size = self.config.resolution
        if x.ndim != 4 or x.shape[1:] != (size, size, 3):
            raise ValueError(
                f"pictures for the attribute network have shape {x.shape}, expected [B, {size}, {size}, 3]: resize them"
            )
        x = self.input_layer(x.astype(self.dtype))
        for block in self.blocks:
            x = block(x)
        x = leaky_relu(self.norm(x)).astype(jnp.float32)
        return leaky_relu(self.gather(rearrange(x, "b h w c -> b (h w c)")))

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


def _norm(channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs) -> nnx.GroupNorm:
    return nnx.GroupNorm(channels, num_groups=None, group_size=GROUP, dtype=dtype, rngs=rngs)


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
        others = [jax.nn.logsumexp(np.delete(logits, i, axis=1), axis=1) for i in range(len(values))]
        columns.append((logits - np.stack(others, axis=1))[:, _told(values)])
    return np.concatenate(columns, axis=1, dtype=np.float32)


def _told(values: tuple[str, ...]) -> slice:
    """The values of a choice that have a column."""
    return slice(1, None) if len(values) == 2 else slice(None)


def frequencies(network: AttributeNetwork, images: jax.Array | np.ndarray) -> dict[str, dict[str, float]]:
    """{choice: {value: share}} in images f32[N, R, R, 3] in [-1, 1]: the means of the probabilities that the network gives.

    Not how often a value is the likeliest: where little can be seen, that is always the most frequent one, while these means are
    right for pictures like those of the training. What the network cannot see (`experiments.attribute_accuracy` tells) has the
    shares of the training pictures in any others, too.

    Raises ValueError as `describe`.
    """
    found = describe(network, images).choices
    means = {name: np.asarray(jax.nn.softmax(found[name])).mean(0) for name, _ in network.config.choices}
    return {name: dict(zip(values, means[name].tolist(), strict=True)) for name, values in network.config.choices}
