"""Sizes by majority: what the keys and shapes of tensors say about a config, and errors where they say too little."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from restyle_jax.convert import engine
from restyle_jax.convert.detect import State, indices
from restyle_jax.convert.errors import CheckpointError

Shapes = Mapping[str, Sequence[tuple[int, ...]]]


def length(state: State, prefix: str, *, first: int = 0) -> int:
    """How many numbers stand behind `prefix`, if they are counted from `first` without a gap."""
    return max(indices(state, prefix), default=first - 1) + 1 - first


def blocks_by_resolution(state: State, prefix: str) -> int:
    """Number of blocks from 4 px upwards whose resolutions stand behind `prefix`."""
    return max((resolution.bit_length() - 2 for resolution in indices(state, prefix)), default=0)


def vote(shapes: Shapes, *places: tuple[str, int]) -> int | None:
    """The most frequent size among (path, axis) places; None if none of them exists, or only empty arrays."""
    return majority(
        shape[axis] for path, axis in places for shape in shapes.get(path, ()) if axis < len(shape) and shape[axis] > 0
    )


def majority(values: Iterable[int]) -> int | None:
    """The most frequent value; None if there is none."""
    ranking = Counter(values).most_common(1)
    return ranking[0][0] if ranking else None


def checked_config(kind: Any, file: str, **fields: Any) -> Any:
    """A config of this kind. Raises CheckpointError if there is none with these fields."""
    try:
        return kind(**fields)
    except ValueError as error:
        raise impossible(file, error) from error


def impossible(file: str, reason: object) -> CheckpointError:
    """The error for tensors of sizes that do not make a network."""
    return CheckpointError.explain(
        file,
        found=f"tensors of sizes that do not make a network ({reason})",
        expected="one of the supported architectures",
        remedy="check where the file comes from; one that was cut or assembled by hand lacks tensors",
    )


def completed(config: Any, sizes: Mapping[str, Any], file: str, network: str, state: State, table: engine.Table) -> Any:
    """The config with the sizes in place of its preliminary ones.

    Raises CheckpointError if one is unknown, which lists everything that does not fit the table, or impossible.
    """
    flat = [size for value in sizes.values() for size in (value if isinstance(value, tuple) else (value,))]
    if None in flat:
        missing, unexpected = engine.unmatched(table, state)
        faults = {"missing": missing, "unexpected": unexpected, "misshapen": engine.misshapen(table, state)}
        listing = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in faults.items() if keys)
        raise CheckpointError.explain(
            file,
            found=f"only {len(state)} tensors of the {network}, too few to tell its size ({listing})",
            expected="all of its tensors",
            remedy="use the complete checkpoint",
        )
    if min(flat) < 1:
        raise impossible(file, f"{network} with {sizes}")
    return checked_config(type(config), file, **{**_fields(config), **sizes})


def _fields(config: Any) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
