"""Averages of metrics over steps, and over a test set, as clu.metrics accumulates them. Pure functions of explicit state."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from clu import metrics

Averages = dict[str, metrics.Average]
"""Totals and counts, scalar or with one value for each refinement step."""


def empty(shapes: Mapping[str, tuple[int, ...]]) -> Averages:
    """Nothing counted yet, for metrics of these shapes."""
    return {
        name: metrics.Average(total=jnp.zeros(shape), count=jnp.zeros(shape, jnp.int32))  # pyright: ignore[reportCallIssue]
        for name, shape in shapes.items()
    }


def add_step(averages: Averages, values: Mapping[str, jax.Array]) -> Averages:
    """Count the metrics of a step, f32[] or f32[N] each."""

    def average(value: jax.Array) -> Any:
        single = metrics.Average.from_model_output
        return jax.vmap(single)(value) if value.ndim else single(value)

    return {name: averages[name].merge(average(value)) for name, value in values.items()}


def add_pictures(averages: Averages, values: Mapping[str, jax.Array], valid: jax.Array) -> Averages:
    """Count the metrics f32[B, N] of the pictures that are `valid` bool[B]."""

    def average(value: jax.Array) -> Any:
        return jax.vmap(lambda column: metrics.Average.from_model_output(column, mask=valid), in_axes=1)(value)

    return {name: averages[name].merge(average(value)) for name, value in values.items()}


def to_json(averages: Averages) -> dict[str, Any]:
    """Exact, as every float32 is a JSON number."""
    return {
        name: {"total": np.asarray(average.total).tolist(), "count": np.asarray(average.count).tolist()}
        for name, average in jax.device_get(averages).items()
    }


def from_json(saved: Mapping[str, Any]) -> Averages:
    """The inverse of `to_json`, on the host."""
    return {
        name: metrics.Average(total=np.array(item["total"], np.float32), count=np.array(item["count"], np.int32))  # pyright: ignore[reportCallIssue]
        for name, item in saved.items()
    }


def named(values: Mapping[str, Any]) -> dict[str, float]:
    """Scalars under their names and vectors as name/1 ... name/N (refinement steps are counted from 1), sorted by name."""
    flat: dict[str, float] = {}
    for name in sorted(values):
        value = np.asarray(values[name])
        steps = {f"{name}/{i}": float(item) for i, item in enumerate(value, 1)} if value.ndim else {name: float(value)}
        flat.update(steps)
    return flat


def compute(averages: Averages) -> dict[str, float]:
    """The means, named as by `named`."""
    return named({name: average.compute() for name, average in jax.device_get(averages).items()})
