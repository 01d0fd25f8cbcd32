"""The inert records that a parsed pickle consists of, and the guard over what one file may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restyle_jax.convert.errors import Unreadable

_UNSET = object()


@dataclass(frozen=True, slots=True)
class Name:
    """A global that the file mentions, e.g. `torch.FloatStorage`: its dotted name, never the object."""

    dotted: str


@dataclass(eq=False, slots=True)
class Call:
    """An object as the file describes it: what it would call, with what, and what is put in afterwards."""

    name: str
    args: tuple[Any, ...]
    state: Any = _UNSET
    items: list[Any] = field(default_factory=list)
    entries: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def has_state(self) -> bool:
        return self.state is not _UNSET


@dataclass(eq=False, slots=True)
class Persistent:
    """A reference to something outside the pickle, such as a tensor storage."""

    key: Any


class Guard:
    """What one file may ask for: the names, the work, and the bytes of all arrays together.

    Args:
        allowed: dotted names that a pickle may mention, each with the name that the rules know it by.
        steps: opcodes and tree nodes in all, nested pickles included.
        nbytes: bytes that the arrays and byte strings of the tree may occupy once they are copied.
    """

    def __init__(self, allowed: Mapping[str, str], steps: int, nbytes: int) -> None:
        self.allowed, self.steps, self.nbytes = allowed, steps, nbytes

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Unreadable("more objects than any checkpoint has")

    def hold(self, nbytes: int) -> None:
        self.nbytes -= nbytes
        if self.nbytes < 0:
            raise Unreadable("tensors that are many times larger than the file which holds them")


def checked_key(key: Any) -> Any:
    """The key of a dict, unless hashing it could be dangerous (Unreadable)."""
    # Hashing tuples inside tuples recurses in C without a limit: a deep enough key would crash the interpreter.
    if isinstance(key, tuple) and any(isinstance(part, tuple) for part in key):
        raise Unreadable("a pickle whose dict keys are nested tuples")
    return key
