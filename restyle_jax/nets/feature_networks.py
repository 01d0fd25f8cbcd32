"""A network whose features stand for pictures where a metric compares sets of them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx


@dataclass(frozen=True)
class FeatureNetwork:
    """A network and how to get features from it. Numbers of different networks do not compare, so `name` goes with them.

    features: (network, images [B, H, W, 3] with the values 0 to 255) -> f32[B, F]; a function of a module, not a closure, so
        that it is compiled once. It resizes and normalises as its network needs.
    """

    name: str
    network: nnx.Module
    features: Callable[[Any, jax.Array], jax.Array]

    def __call__(self, images: Any) -> jax.Array:
        """images: u8[B, H, W, 3], or these values in another type -> f32[B, F]. Compiled for each shape."""
        graph, state = nnx.split(self.network)
        return _features(self.features, graph, state, images)


@functools.partial(jax.jit, static_argnames=("features", "graph"))
def _features(
    features: Callable[..., jax.Array], graph: nnx.GraphDef, state: nnx.State, images: jax.Array
) -> jax.Array:
    return features(nnx.merge(graph, state, copy=True), images)
