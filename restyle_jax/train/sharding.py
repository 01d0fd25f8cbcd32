"""Data parallelism: one mesh with the axis 'data' over all devices of all processes; state replicated, batches split."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from restyle_jax.train.errors import TrainingError


def data_mesh() -> Mesh:
    """All devices in the order of their processes, so that process p of P holds rows p B/P ... (p + 1) B/P - 1 of a batch."""
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis is divided among the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(name: str, size: int, mesh: Mesh, parts: int = 1) -> None:
    """Raises TrainingError, with the nearest sizes that are possible, unless every device gets the same number of rows in each of
    the parts (micro-batches)."""
    devices, unit = mesh.size, mesh.size * parts
    if size < 1 or size % unit:
        below, above = size // unit * unit, (max(size, 0) // unit + 1) * unit
        nearest = f"{below} or {above}" if below > 0 else f"{above}"
        raise TrainingError(
            f"{name} = {size} cannot be divided among {devices} devices ({jax.process_count()} processes with "
            f"{jax.local_device_count()} each){f' in each of {parts} micro-batches' if parts > 1 else ''}; the nearest possible "
            f"sizes: {nearest}."
        )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies of host or single-device arrays (typed keys included), equal in every process, on all devices."""

    def place(leaf: Any) -> jax.Array:
        if is_key(leaf):
            data = jax.make_array_from_process_local_data(replicated(mesh), np.asarray(jax.random.key_data(leaf)))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        return jax.make_array_from_process_local_data(replicated(mesh), np.asarray(leaf))

    return jax.tree.map(place, tree)


def spread(x: jax.Array) -> jax.Array:
    """Inside a compiled function: x with its first axis divided among the devices, if it can be. What is drawn and not read
    would otherwise be computed on every device."""
    mesh = data_mesh()
    return x if len(x) % mesh.size else jax.lax.with_sharding_constraint(x, split(mesh))


def place_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """The global batch of which every process has its own rows. Entries that are one array (source and target) are placed once."""
    distinct = {id(rows): rows for rows in batch.values()}
    placed = {key: jax.make_array_from_process_local_data(split(mesh), rows) for key, rows in distinct.items()}
    return {name: placed[id(rows)] for name, rows in batch.items()}


def abstract(tree: Any, sharding: NamedSharding) -> Any:
    """Shapes and dtypes of a tree, placed as `sharding` says."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def is_key(leaf: Any) -> bool:
    """Whether a leaf (or its ShapeDtypeStruct) is a typed PRNG key."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
