"""A pickle parser that has nothing to execute.

Python's unpickler imports what a file names and calls it. This one only writes down what the file says: a global
becomes a `Name`, a call becomes a `Call`, an outside reference a `Persistent`. `rebuild.py` gives a meaning to
those records, from a fixed table. A name outside the table is refused as soon as the file mentions it.

Why not a subclass of `pickle.Unpickler`: a four-byte memo index makes the C implementation allocate and touch up
to 64 GiB, entries of the copyreg extension cache bypass `find_class`, and byte strings are copied. Here the memo
is a dict, extensions are refused, and byte strings are views of the mapped file, so that the hundreds of
megabytes of an NVlabs pickle stay on disk until they are used.

The opcodes are those of `pickletools` in the standard library, protocols 0 to 5.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from restyle_jax.convert.errors import Refused, Unreadable
from restyle_jax.convert.records import Call, Guard, Name, Persistent, checked_key

_LONGEST_LINE = 1 << 16
_LONGEST_INTEGER = 1 << 10  # bytes; sizes, seeds and storage keys need 16
_LONGEST_NAME = 300
_DOTTED = re.compile(r"[\w<>]+(\.[\w<>]+)*")


class _Machine:
    """The state of one parse: position, stack, stacks below the open marks, and memo."""

    def __init__(self, data: memoryview, position: int, guard: Guard) -> None:
        self.data, self.position, self.guard = data, position, guard
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.persistents: list[Persistent] = []

    def run(self) -> Any:
        while True:
            self.guard.step()
            code = self.take(1)[0]
            if code == _STOP:
                return self.stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise Unreadable(f"a pickle with the unsupported opcode 0x{code:02x}")
            operation(self)

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self.data):
            raise Unreadable(f"a pickle that ends early ({count} bytes wanted, {len(self.data) - self.position} left)")
        view = self.data[self.position : end]
        self.position = end
        return view

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def line(self, encoding: str = "utf-8") -> str:
        window = bytes(self.data[self.position : self.position + _LONGEST_LINE])
        end = window.find(b"\n")
        if end < 0:
            raise Unreadable("a pickle with an endless text line")
        self.position += end + 1
        return window[:end].decode(encoding)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def name(self, module: str, attribute: str) -> None:
        dotted = f"{module}.{attribute}"
        if len(dotted) > _LONGEST_NAME or not _DOTTED.fullmatch(dotted):
            raise Unreadable("a pickle that refers to something without a proper name")
        if dotted not in self.guard.allowed:
            raise Refused(dotted)
        self.push(Name(self.guard.allowed[dotted]))

    def stack_name(self) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(attribute, str)):
            raise Unreadable("a pickle that refers to something by other than its name")
        self.name(module, attribute)

    def call(self, function: Any, args: Any) -> None:
        if not (isinstance(function, Name) and isinstance(args, tuple)):
            raise Unreadable("a pickle that calls something other than a named function")
        self.push(Call(function.dotted, args))

    def reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.call(function, args)

    def construct(self) -> None:
        function, *args = self.since_mark()
        self.call(function, tuple(args))

    def construct_named(self) -> None:
        args = tuple(self.since_mark())
        self.name(self.line(), self.line())
        self.call(self.stack.pop(), args)

    def construct_with_keywords(self) -> None:
        keywords = self.stack.pop()
        if keywords != {}:
            raise Unreadable("a pickle that constructs an object with keyword arguments")
        self.reduce()

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Call) or target.has_state:
            raise Unreadable("a pickle that sets the attributes of a plain value")
        target.state = state

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Call):
            target.items.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise Unreadable("a pickle that appends to something other than a list")

    def set_items(self, flat: list[Any]) -> None:
        target = self.stack[-1]
        pairs = [(checked_key(key), value) for key, value in zip(flat[::2], flat[1::2], strict=True)]
        if isinstance(target, Call):
            target.entries.extend(pairs)
        elif isinstance(target, dict):
            target.update(pairs)
        else:
            raise Unreadable("a pickle that sets items of something other than a dict")

    def pop_many(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise Unreadable("a pickle whose stack runs empty")
        values = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return values

    def dictionary(self) -> None:
        values = self.since_mark()
        self.push({})
        self.set_items(values)

    def persistent(self, key: Any) -> None:
        self.persistents.append(Persistent(key))
        self.push(self.persistents[-1])

    def integer(self, width: int) -> None:
        if width > _LONGEST_INTEGER:
            raise Unreadable("a pickle with an integer of absurd length")
        self.push(int.from_bytes(self.take(width), "little", signed=True))

    def text_integer(self) -> None:
        text = self.line().removesuffix("L")
        self.push(text == "01" if text in ("00", "01") else int(text))

    def text(self, width: int) -> None:
        # Python holds the bytes of a path that are not UTF-8 as lone surrogates, and pickles them so.
        self.push(str(self.take(self.unsigned(width)), "utf-8", "surrogatepass"))

    def extension(self) -> None:
        raise Refused("copyreg.extension")


def _operations() -> dict[int, Callable[[_Machine], object]]:
    table: dict[bytes, Callable[[_Machine], object]] = {
        b"(": _Machine.mark,
        b"0": _Machine.pop,
        b"1": _Machine.since_mark,
        b"2": lambda m: m.push(m.stack[-1]),
        # Constants and numbers.
        b"N": lambda m: m.push(None),
        b"\x88": lambda m: m.push(True),
        b"\x89": lambda m: m.push(False),
        b"I": _Machine.text_integer,
        b"L": _Machine.text_integer,
        b"F": lambda m: m.push(float(m.line())),
        b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
        b"J": lambda m: m.integer(4),
        b"K": lambda m: m.push(m.unsigned(1)),
        b"M": lambda m: m.push(m.unsigned(2)),
        b"\x8a": lambda m: m.integer(m.unsigned(1)),
        b"\x8b": lambda m: m.integer(m.unsigned(4)),
        # Text and bytes, by the width of their length field. Python 2 text is read as UTF-8, as torch does.
        b"S": lambda m: m.push(m.line()[1:-1]),
        b"V": lambda m: m.push(m.line("raw-unicode-escape")),
        b"U": lambda m: m.text(1),
        b"T": lambda m: m.text(4),
        b"\x8c": lambda m: m.text(1),
        b"X": lambda m: m.text(4),
        b"\x8d": lambda m: m.text(8),
        b"C": lambda m: m.push(m.take(m.unsigned(1))),
        b"B": lambda m: m.push(m.take(m.unsigned(4))),
        b"\x8e": lambda m: m.push(m.take(m.unsigned(8))),
        b"\x96": lambda m: m.push(m.take(m.unsigned(8))),
        # Containers.
        b"]": lambda m: m.push([]),
        b"}": lambda m: m.push({}),
        b")": lambda m: m.push(()),
        b"\x8f": lambda m: m.push(Call("builtins.set", ())),
        b"l": lambda m: m.push(m.since_mark()),
        b"t": lambda m: m.push(tuple(m.since_mark())),
        b"\x85": lambda m: m.push(tuple(m.pop_many(1))),
        b"\x86": lambda m: m.push(tuple(m.pop_many(2))),
        b"\x87": lambda m: m.push(tuple(m.pop_many(3))),
        b"d": _Machine.dictionary,
        b"\x91": lambda m: m.push(Call("builtins.frozenset", (m.since_mark(),))),
        b"a": lambda m: m.append(m.pop_many(1)),
        b"e": lambda m: m.append(m.since_mark()),
        b"\x90": lambda m: m.append(m.since_mark()),
        b"s": lambda m: m.set_items(m.pop_many(2)),
        b"u": lambda m: m.set_items(m.since_mark()),
        # Memo.
        b"p": lambda m: m.memo.__setitem__(int(m.line()), m.stack[-1]),
        b"q": lambda m: m.memo.__setitem__(m.unsigned(1), m.stack[-1]),
        b"r": lambda m: m.memo.__setitem__(m.unsigned(4), m.stack[-1]),
        b"\x94": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
        b"g": lambda m: m.push(m.memo[int(m.line())]),
        b"h": lambda m: m.push(m.memo[m.unsigned(1)]),
        b"j": lambda m: m.push(m.memo[m.unsigned(4)]),
        # Names, calls and references.
        b"c": lambda m: m.name(m.line(), m.line()),
        b"\x93": _Machine.stack_name,
        b"R": _Machine.reduce,
        b"\x81": _Machine.reduce,
        b"\x92": _Machine.construct_with_keywords,
        b"o": _Machine.construct,
        b"i": _Machine.construct_named,
        b"b": _Machine.build,
        b"P": lambda m: m.persistent(m.line()),
        b"Q": lambda m: m.persistent(m.stack.pop()),
        b"\x82": _Machine.extension,
        b"\x83": _Machine.extension,
        b"\x84": _Machine.extension,
        # Protocol number and frame length only help a streaming reader.
        b"\x80": lambda m: m.take(1),
        b"\x95": lambda m: m.take(8),
    }
    return {code[0]: operation for code, operation in table.items()}


_STOP = ord(".")
_OPERATIONS = _operations()


def parse(data: memoryview, position: int, guard: Guard) -> tuple[Any, int, list[Persistent]]:
    """One pickle, starting at byte `position` of `data`, as inert records.

    Returns:
        the value (None, bool, int, float, str, memoryview for bytes, list, tuple, dict, and `Name`, `Call` and
        `Persistent` records; possibly shared or cyclic), the position behind the pickle, and every outside
        reference in order of appearance.
    Raises:
        Refused: the pickle mentions a name that the guard does not allow.
        Unreadable: the bytes are not a pickle, end early, or ask for absurd amounts.
    """
    machine = _Machine(data, position, guard)
    try:
        return machine.run(), machine.position, machine.persistents
    except (LookupError, TypeError, ValueError) as error:
        # An empty stack, an unknown memo index, an unhashable key, text that is not UTF-8, a bad number.
        raise Unreadable(f"a damaged pickle ({type(error).__name__} at byte {machine.position})") from error
