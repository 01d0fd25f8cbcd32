"""What the loop asks of a task. A task is a file with a frozen dataclass of options and pure functions of explicit state."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

State = Any
"""A pytree with everything that training changes: parameters, optimiser, statistics, keys, the step (`state["step"]`, int32)."""
Frozen = Mapping[str, Any]
"""Pytrees of arrays that training reads and never changes, such as a generator: an argument of every function. What it has as
"derived" is computed from the others; the last digits depend on the device, so that it does not tell one run from another."""
Batch = Mapping[str, jax.Array]
"""`source` f32[B, h, w, c], `target` f32[B, h, w, 3], `index` int32[B]; in evaluation also `valid` bool[B] (False: padding)."""


class Sheet(NamedTuple):
    """What is written on a sheet of pictures: a title for each column, and for each row (None: the name of a picture)."""

    columns: tuple[str, ...]
    rows: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """Pure functions for `train.loop.fit`, all of which it compiles itself.

    init: key -> state. Called once, and not compiled: it may copy large arrays that were read from files.
    step: (state, frozen, batch) -> (state, metrics). Metrics are scalars, or f32[N] with one value for each refinement step;
        `loss` is among them. The state is donated.
    show: (state, frozen, batch) -> {name of a sheet: pictures f32[rows, columns, h, w, 3] in [-1, 1]}, the titles in `sheets`.
        Of the rows, which may belong to the pictures of the batch, the first `programs.SHOWN` are kept.
    publish: (state, directory) -> None; writes what was trained, as a model that `restyle_jax.load` reads.
    evaluate: (state, frozen, batch) -> {name: f32[B, N]}, one value for each picture of the test set and refinement step.
    score: state -> {name: value}, on the host, equal in all processes: for what is evaluated as a whole and not by picture.
    best: the evaluated quantity whose minimum marks the best checkpoint, such as "loss/5" (the mean over the test set after
        step 5), or a name that `score` returns.
    scorer: the weights of the network by which `score` judges: with others the values do not compare.
    """

    frozen: Frozen
    init: Callable[[jax.Array], State]
    step: Callable[[State, Frozen, Batch], tuple[State, dict[str, jax.Array]]]
    show: Callable[[State, Frozen, Batch], dict[str, jax.Array]]
    sheets: Mapping[str, Sheet]
    publish: Callable[[State, Any], None]
    evaluate: Callable[[State, Frozen, Batch], dict[str, jax.Array]] | None = None
    score: Callable[[State], dict[str, float]] | None = None
    best: str = ""
    scorer: Any = None
