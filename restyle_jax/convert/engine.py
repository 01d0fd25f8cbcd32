"""Reads and writes state dicts through a table, with both ends accounted for.

A table is a list of rows in the order of the upstream state dict. Read from left to right it turns official tensors into
ours; read from right to left it writes an official state dict with its keys in the official order. Nothing is matched
loosely: every key of the file is used once or explicitly ignored, every array of ours is filled once, every shape agrees,
and all that does not is reported in one error.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.transforms import COUNT, Transform, nearest


class Target(Protocol):
    """What the engine must know of an array of ours: numpy arrays and `jax.ShapeDtypeStruct` both fit."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


@dataclass(frozen=True)
class Row:
    """`theirs`, rearranged by `transform`, is `ours`, or its entry `index` on the leading axis when that is given."""

    ours: str
    theirs: str
    transform: Transform
    index: int | None = None


@dataclass(frozen=True)
class Constant:
    """An upstream buffer that never changes: verified when read (to float32 rounding), regenerated when written.

    `what` is its name in messages.
    """

    theirs: str
    value: np.ndarray
    what: str = "the standard filter"


@dataclass(frozen=True)
class Ignored:
    """Upstream keys that start with `theirs` and have no counterpart here, for the stated reason."""

    theirs: str
    reason: str


@dataclass(frozen=True)
class Filled:
    """An array of ours that the upstream file does not have, set to `value` for the stated reason."""

    ours: str
    value: float
    reason: str


Entry = Row | Constant | Ignored | Filled
Table = Sequence[Entry]


def prefixed(table: Table, *, ours: str = "", theirs: str = "") -> list[Entry]:
    """The same table with a prefix in front of every name on either side."""

    def extend(entry: Entry) -> Entry:
        changes = {}
        if not isinstance(entry, Constant | Ignored):
            changes["ours"] = ours + entry.ours
        if not isinstance(entry, Filled):
            changes["theirs"] = theirs + entry.theirs
        return replace(entry, **changes)

    return [extend(entry) for entry in table]


def read(
    table: Table, source: Mapping[str, Any], targets: Mapping[str, Target], *, file: str, what: str
) -> dict[str, np.ndarray]:
    """Official arrays -> ours.

    source: {upstream key: array}. targets: {our path: anything with shape and dtype}, all of which get filled.
    file, what: the file and the network in it, for the message.
    Returns {our path: array of the target's shape and dtype}. Raises CheckpointError that lists every missing,
    unexpected and misshapen tensor.
    """
    faults = sorted(_faults(table, source, targets))
    if faults:
        raise _misfit(faults, file=file, what=what)
    arrays: dict[str, np.ndarray] = {}
    for entry in table:
        if isinstance(entry, Filled):
            arrays[entry.ours] = np.full(targets[entry.ours].shape, entry.value, targets[entry.ours].dtype)
        elif isinstance(entry, Row):
            target, array = targets[entry.ours], entry.transform.forward(np.asarray(source[entry.theirs]))
            if entry.transform is COUNT:
                array = nearest(array, target.dtype)
            if entry.index is None:
                arrays[entry.ours] = np.array(array, target.dtype, order="C")
            else:
                arrays.setdefault(entry.ours, np.empty(target.shape, target.dtype))[entry.index] = array
    return arrays


def shapes(table: Table, source: Mapping[str, Any]) -> dict[str, list[tuple[int, ...]]]:
    """The shapes that our arrays would have, {our path: one shape per row of the table}, without reading any data.

    Stacked arrays are listed head by head, without the leading axis. Keys that are missing or of the wrong rank are left
    out: sizes are inferred from what is there, and `read` complains about the rest.
    """
    found: dict[str, list[tuple[int, ...]]] = {}
    for entry in table:
        if isinstance(entry, Row) and hasattr(source.get(entry.theirs), "shape"):
            shape = entry.transform.our_shape(tuple(source[entry.theirs].shape))
            if shape is not None:
                found.setdefault(entry.ours, []).append(shape)
    return found


def unmatched(table: Table, source: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(keys that the table needs and the file lacks, keys of the file that the table has no place for)."""
    needed = [entry.theirs for entry in table if isinstance(entry, Row | Constant)]
    known, ignored = set(needed), _ignored(table)
    missing = [key for key in needed if key not in source]
    return missing, [key for key in source if key not in known and not key.startswith(ignored)]


def misshapen(table: Table, source: Mapping[str, Any]) -> list[str]:
    """What cannot be the tensor of its row, whatever the sizes: no array, an empty one, or one of another rank; and constants of
    another shape or kind."""
    faults = []
    for entry in table:
        if isinstance(entry, Row) and entry.theirs in source and not _possible(entry, source[entry.theirs]):
            faults.append(f"{entry.theirs}: found {_shape(source[entry.theirs])}, expected {entry.transform.form}")
        elif isinstance(entry, Constant) and entry.theirs in source:
            unequal = _unequal(entry.theirs, source[entry.theirs], entry.value.shape, entry.value.dtype)
            faults += [fault for _, fault in unequal]
    return faults


def _possible(row: Row, found: Any) -> bool:
    shape = getattr(found, "shape", None)
    return shape is not None and 0 not in shape and row.transform.our_shape(tuple(shape)) is not None


def write(
    table: Table, arrays: Mapping[str, np.ndarray], ignored: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Our arrays -> an official state dict, keys in the official order, C-contiguous, in the official dtypes.

    ignored: {upstream key: array} for keys that the table ignores but the official code wants; they get their place in it.
    """
    state: dict[str, np.ndarray] = {}
    for entry in table:
        if isinstance(entry, Constant):
            state[entry.theirs] = np.asarray(entry.value, order="C")
        elif isinstance(entry, Ignored) and ignored and entry.theirs in ignored:
            state[entry.theirs] = ignored[entry.theirs]
        elif isinstance(entry, Row):
            array = np.asarray(arrays[entry.ours])
            array = entry.transform.inverse(array if entry.index is None else array[entry.index])
            state[entry.theirs] = np.asarray(array, entry.transform.upstream_dtype, order="C")
    return state


def is_float(array: Any) -> bool:
    """Whether it is an array of floating-point numbers, of any precision."""
    return hasattr(array, "dtype") and _sort(array.dtype) == "float"


def compare_own(
    source: Mapping[str, Any], targets: Mapping[str, Target]
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """(paths that `source` lacks, paths that only it has, faults of the others: what differs and how), for our own format."""
    missing = [path for path in targets if path not in source]
    unexpected = [path for path in source if path not in targets]
    common = [path for path in targets if path in source]
    unequal = [
        fault for path in common for fault in _unequal(path, source[path], targets[path].shape, targets[path].dtype)
    ]
    return missing, unexpected, unequal


def check_own(source: Mapping[str, Any], targets: Mapping[str, Target], *, file: str, what: str) -> None:
    """The same strictness for our own format: raises CheckpointError unless both sides have equal names and shapes."""
    missing, unexpected, unequal = compare_own(source, targets)
    faults = [f"missing     {path} {_shape(targets[path])}" for path in missing]
    faults += [f"unexpected  {path} {_shape(source[path])}" for path in unexpected]
    faults += [_line(*fault) for fault in unequal]
    if faults:
        raise _misfit(sorted(faults), file=file, what=what)


def _faults(table: Table, source: Mapping[str, Any], targets: Mapping[str, Target]) -> Iterator[str]:
    for key in unmatched(table, source)[1]:
        yield f"unexpected  {key} {_shape(source[key])}"
    for entry in table:
        if isinstance(entry, Constant):
            yield from _constant_faults(entry, source)
    for row in (entry for entry in table if isinstance(entry, Row)):
        if row.ours not in targets:
            yield f"unexpected  {row.theirs}: this network has no {row.ours}"
            continue
        target = targets[row.ours]
        shape = target.shape if row.index is None else target.shape[1:]
        expected = row.transform.upstream_shape(tuple(shape))
        ours = row.ours if row.index is None else f"{row.ours}[{row.index}]"
        if row.theirs not in source:
            yield f"missing     {row.theirs} {_show(expected)}, for {ours} {_show(shape)}"
        else:
            found = source[row.theirs]
            dtype = found.dtype if row.transform is COUNT and is_float(found) else target.dtype
            for fault in _unequal(row.theirs, found, expected, dtype):
                yield f"{_line(*fault)}, for {ours} {_show(shape)}"
    yield from _coverage(table, targets)


def _ignored(table: Table) -> tuple[str, ...]:
    return tuple(entry.theirs for entry in table if isinstance(entry, Ignored))


def _constant_faults(entry: Constant, source: Mapping[str, Any]) -> Iterator[str]:
    if entry.theirs not in source:
        yield f"missing     {entry.theirs} {_shape(entry.value)}, {entry.what}"
        return
    shape_faults = list(_unequal(entry.theirs, source[entry.theirs], entry.value.shape, entry.value.dtype))
    yield from (_line(*fault) for fault in shape_faults)
    if not shape_faults:
        found = np.asarray(source[entry.theirs], np.float32)
        # Half-precision files round a filter; another filter differs by far more than this.
        if not np.allclose(found, entry.value, rtol=1e-2, atol=1e-4):
            begins, wanted = (array.ravel()[:4].tolist() for array in (found, entry.value))
            yield f"value       {entry.theirs} is not {entry.what}; it begins with {begins}, expected {wanted}"


def _coverage(table: Table, targets: Mapping[str, Target]) -> Iterator[str]:
    """Faults of the table itself: a target that no row fills, or that two rows fill."""
    filled: dict[str, list[int | None]] = {}
    for entry in table:
        if isinstance(entry, Row | Filled):
            filled.setdefault(entry.ours, []).append(entry.index if isinstance(entry, Row) else None)
    for path, target in targets.items():
        indices = filled.get(path, [])
        stacked = any(index is not None for index in indices)
        wanted = list(range(target.shape[0])) if stacked else [None]
        if indices != wanted:
            yield f"table       {path} {_shape(target)} is filled at {indices}, expected {wanted}"


def _unequal(key: str, found: Any, shape: Iterable[int], dtype: Any) -> Iterator[tuple[str, str]]:
    """What about an array is wrong, and how: nothing or one fault."""
    if not hasattr(found, "shape"):
        yield "type", f"{key}: found {type(found).__name__}, expected an array {_show(shape)}"
    elif tuple(found.shape) != tuple(shape):
        yield "shape", f"{key}: found {_shape(found)}, expected {_show(shape)}"
    elif _sort(found.dtype) != _sort(dtype):
        yield "dtype", f"{key}: found {np.dtype(found.dtype).name}, expected {np.dtype(dtype).name}"


def _line(what: str, fault: str) -> str:
    return f"{what:<12}{fault}"


def _sort(dtype: Any) -> str:
    """Integers, floats (of any precision; numpy does not count bfloat16 among its own), or something that is neither."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return "integer"
    return "float" if dtype.kind == "f" or dtype.name == "bfloat16" else dtype.name


def _shape(array: Any) -> str:
    return _show(array.shape) if hasattr(array, "shape") else f"({type(array).__name__})"


def _show(shape: Iterable[int]) -> str:
    return str(tuple(int(size) for size in shape)).replace(",)", ")")


def _misfit(faults: list[str], *, file: str, what: str) -> CheckpointError:
    listing = "\n".join(f"  {fault}" for fault in faults)
    count = "1 tensor does" if len(faults) == 1 else f"{len(faults)} tensors do"
    return CheckpointError(
        f"{file}: {count} not fit the {what} that this file seems to hold:\n{listing}\n"
        "The file is incomplete, was changed, or belongs to another network; `restyle inspect` shows what is in it."
    )
