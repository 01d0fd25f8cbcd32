"""Goldens: networks with the weights of a manifest, the reference arrays, and the error measure of every parity test."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.convert import engine
from restyle_jax.nets.structure import structure
from tests import recipe

GOLDEN = Path(__file__).parent / "golden"


def manifest(name: str) -> dict[str, Any]:
    """The manifest `<name>.json` in tests/golden."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def arrays(name: str) -> dict[str, np.ndarray]:
    """The reference outputs `<name>.npz` in tests/golden."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def filled(network: nnx.Module, table: engine.Table, source: dict[str, np.ndarray]) -> Any:
    """The module of a structure with official weights, through the conversion table."""
    graph, state = nnx.split(network)
    flat = {".".join(map(str, path)): (path, leaf) for path, leaf in nnx.to_flat_state(state)}
    targets = {name: leaf.get_value() for name, (_, leaf) in flat.items()}
    weights = engine.read(table, source, targets, file="recipe", what="network")
    leaves = [(path, leaf.replace(jnp.asarray(weights[name]))) for name, (path, leaf) in flat.items()]
    return nnx.merge(graph, nnx.from_flat_state(leaves))


def random(kind: Callable[..., nnx.Module], *sizes: Any, seed: int = 0, **options: Any) -> Any:
    """A module with random weights of sensible size, much faster than its own initialisation, which compiles each draw."""
    graph, state = nnx.split(structure(kind, *sizes, **options))
    generator = np.random.default_rng(seed)

    def draw(path: tuple[Any, ...], leaf: Any) -> Any:
        name, value = ".".join(map(str, path)), leaf.get_value()
        scale, offset = 1.0, 0.0
        if name.endswith(("bias", "noise_strength", "mean", "scale", "slope")):
            scale, offset = 0.1, float("modulation" in name or name.endswith("scale"))
        elif name.endswith("var"):
            scale, offset = 0.0, 1.0
        elif "mapping.layers" in name:  # equalised, with learning-rate multiplier 0.01
            scale = 100.0
        elif any(part in name for part in ("trunk", "convs", "attention", "linear1", "linear2")):
            # Not equalised; a stack of heads has one more leading axis.
            scale = np.prod(value.shape[-4:-1]) ** -0.5
        elif name.endswith("linear.kernel"):  # small residuals, so that a loop of refinements stays bounded
            scale = 0.1
        return leaf.replace(jnp.asarray(generator.normal(offset, scale, value.shape), value.dtype))

    return nnx.merge(graph, nnx.from_flat_state([(path, draw(path, leaf)) for path, leaf in nnx.to_flat_state(state)]))


@functools.partial(jax.jit, static_argnames=("function", "graph"))
def _apply(function: Callable[..., Any], graph: nnx.GraphDef, state: nnx.State, args: tuple[Any, ...]) -> Any:
    return function(nnx.merge(graph, state, copy=True), *args)


def apply(module: nnx.Module, function: Callable[..., Any], *args: Any) -> Any:
    """`function(module, *args)` under jit; compiled once for each function (so name it), kind of module and shapes."""
    graph, state = nnx.split(module)
    return _apply(function, graph, state, args)


def nchw(image: Any) -> np.ndarray:
    """Image axes in the order of the goldens."""
    return np.moveaxis(np.asarray(image), -1, -3)


def nhwc(image: np.ndarray) -> np.ndarray:
    """Image axes in our order."""
    return np.moveaxis(image, -3, -1)


def error(found: Any, reference: np.ndarray, deviation: float | None = None) -> float:
    """Largest absolute difference, divided by the standard deviation of the reference (its own unless given)."""
    found = np.asarray(found)
    assert found.shape == reference.shape, (found.shape, reference.shape)
    return float(np.abs(found - reference).max() / (reference.std() if deviation is None else deviation))


def errors(name: str, found: dict[str, Any]) -> dict[str, float]:
    """The error of each array against the golden `name`, which may hold it subsampled with its statistics."""
    reference, subsampled = arrays(name), manifest(name).get("subsampled", {})
    result = {}
    for key, value in found.items():
        value = np.asarray(value)
        if key in subsampled:
            stride = subsampled[key]["stride"]
            assert list(value.shape) == subsampled[key]["full_shape"], (key, value.shape)
            deviation = float(reference[f"{key}_stat"][1])
            result[key] = error(value[..., ::stride, ::stride], reference[f"{key}_sub"], deviation)
            statistics = np.array([value.mean(), value.std(), value.min(), value.max()])
            result[f"{key} statistics"] = error(statistics, reference[f"{key}_stat"], deviation)
        else:
            result[key] = error(value, reference[key])
    return result


def assert_parity(found: dict[str, Any], name: str, bound: float) -> None:
    """Every array of `found` within `bound` of the golden `name`."""
    measured = errors(name, found)
    print(name, {key: f"{value:.1e}" for key, value in measured.items()})
    assert max(measured.values()) < bound, measured


def latent(name: str, shape: tuple[int, ...], scale: float = 1.0) -> jax.Array:
    """A recipe input as a JAX array."""
    return jnp.asarray(recipe.latent(name, shape, scale))
