"""What the loop asks of a task. A task is a file with a frozen dataclass of options and pure functions of explicit state."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

State = Any
"""A pytree with everything that training changes: parameters, optimiser, statistics, keys, the step (`state["step"]`, int32)."""
Frozen = Any
"""A pytree of arrays that training reads and never changes, such as a generator: an argument of every function."""
Batch = Mapping[str, jax.Array]
"""`source` f32[B, h, w, c], `target` f32[B, h, w, 3], `index` int32[B]; in evaluation also `valid` bool[B] (False: padding)."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Pure functions for `train.loop.fit`, all of which it compiles itself.

    init: key -> state. Called once, and not compiled: it may copy large arrays that were read from files.
    step: (state, frozen, batch) -> (state, metrics). Metrics are scalars, or f32[N] with one value for each refinement step;
        `loss` is among them. The state is donated.
    evaluate: (state, frozen, batch) -> {name: f32[B, N]}, one value for each picture and refinement step.
    show: (state, frozen, batch) -> pictures f32[B, columns, h, w, 3] in [-1, 1] with the names of the columns in `columns`.
    best: the evaluated quantity (last refinement step, mean over the test set) whose minimum marks the best checkpoint.
    publish: (state, directory) -> None; writes what was trained, as a model that `restyle_jax.load` reads.
    """

    frozen: Frozen
    init: Callable[[jax.Array], State]
    step: Callable[[State, Frozen, Batch], tuple[State, dict[str, jax.Array]]]
    evaluate: Callable[[State, Frozen, Batch], dict[str, jax.Array]]
    show: Callable[[State, Frozen, Batch], jax.Array]
    columns: tuple[str, ...]
    best: str
    publish: Callable[[State, Any], None]
