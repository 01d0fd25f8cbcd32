"""Turns the inert records of a pickle into plain values and numpy arrays, by a table of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from restyle_jax.convert.errors import Unreadable
from restyle_jax.convert.records import Call, Guard, Name, Persistent, checked_key
from restyle_jax.convert.storage import Storage, StridedView, as_array, whole

_DEEPEST = 50  # networks and options stay below 20; five Python frames each
_DICTIONARIES = ("collections.OrderedDict", "collections.defaultdict", "collections.Counter", "dnnlib.util.EasyDict")

Lookup = Callable[[Any], "Storage | StridedView"]
Rules = Mapping[str, Callable[["Rebuilder", Call], Any]]
OpenStorage = Callable[[memoryview, Guard], Storage]


class Rebuilder:
    """Turns the records of one pickle into plain values.

    Args:
        lookup: the storage or tensor behind a persistent id of the file.
        open_storage: reads a storage that was pickled as bytes (NVlabs files).
        guard: shared by everything that belongs to the file.
        rules: what to build for each name that the pickle calls.
    """

    def __init__(self, lookup: Lookup, open_storage: OpenStorage, guard: Guard, rules: Rules) -> None:
        self.lookup, self.open_storage, self.guard, self.rules = lookup, open_storage, guard, rules
        self._depth = 0

    def plain(self, value: Any) -> Any:
        """The value with every record replaced. Raises Unreadable on nonsense, cycles and absurd depth."""
        self.guard.step()
        if self._depth == _DEEPEST:
            raise Unreadable(f"objects that are nested more than {_DEEPEST} deep, or contain themselves")
        self._depth += 1
        result = self._plain(value)
        self._depth -= 1
        return result

    def _plain(self, value: Any) -> Any:
        match value:
            case list():
                return [self.plain(item) for item in value]
            case tuple():
                return tuple(self.plain(item) for item in value)
            case dict():
                return self.mapping(value.items())
            case memoryview():
                return bytes(self.blob(value))
            case Name():
                return value.dotted
            case Call():
                rule = self.rules.get(value.name)
                if rule is None:
                    raise Unreadable(f"a call of {value.name}, which is a plain name")
                return rule(self, value)
            case Persistent():
                target = self.lookup(value.key)
                return whole(target, self.guard) if isinstance(target, Storage) else as_array(target, self.guard)
            case _:
                return value

    def mapping(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        return {self.plain(key): self.plain(value) for key, value in pairs}

    def storage(self, value: Any) -> Storage:
        """The storage that a tensor refers to, by persistent id or as embedded bytes."""
        if isinstance(value, Persistent):
            target = self.lookup(value.key)
        elif isinstance(value, Call) and value.name == "torch.storage._load_from_bytes":
            target = self.open_storage(self.blob(value.args[0]), self.guard)
        else:
            target = None
        if not isinstance(target, Storage):
            raise Unreadable("a tensor without a storage")
        return target

    def blob(self, value: Any) -> memoryview:
        """Bytes as they are in the file, or as protocol 2 spells them: text in Latin-1."""
        match value:
            case Call(name="_codecs.encode", args=(str() as text, "latin1")):
                value = memoryview(text.encode("latin-1"))
            case Call(name="builtins.bytes" | "builtins.bytearray", args=()):
                value = memoryview(b"")
            case Call(name="builtins.bytes" | "builtins.bytearray", args=(inner, *_)):
                return self.blob(inner)
        if not isinstance(value, memoryview):
            raise Unreadable("something else where bytes belong")
        self.guard.hold(len(value))
        return value

    def tensor(self, call: Call, dtype: np.dtype | None = None, extra: Any = None) -> np.ndarray:
        storage, offset, shape, strides = call.args[:4]
        if extra:
            raise Unreadable("a tensor with a deferred conjugation or negation, which weights never have")
        shape, strides = self.plain(shape), self.plain(strides)
        return as_array(StridedView(self.storage(storage), offset, shape, strides), self.guard, dtype)


def pairs_of(value: Any) -> list[tuple[Any, Any]]:
    """The items of a dict, however it was pickled: plain, OrderedDict, defaultdict, Counter or EasyDict; not yet plain.

    Python 2 gave OrderedDict its items as one argument, a list of lists.
    """
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, Call) and value.name in _DICTIONARIES:
        given = value.args[0] if value.args and isinstance(value.args[0], list | tuple | dict) else []
        given = given.items() if isinstance(given, dict) else given
        return [(checked_key(key), item) for key, item in given] + value.entries
    raise Unreadable("something else where a dict belongs")
