"""What a compiled training step will need: memory of each device, and bytes that the devices exchange."""

import math
import os
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

_SHAPE = re.compile(r"\b(pred|[a-z]+(\d+)[a-z0-9]*)\[([\d,]*)\]")
_HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_ALL_REDUCE = re.compile(r" = (.*?) all-reduce(?:-start)?\(")
_LOOP = re.compile(r"\bbody=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CALLS = re.compile(r"\b(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")

# The settings that save memory.
SAVERS = {"batch_size": "a smaller batch", "micro_batches": "more micro-batches", "remat": "remat", "dtype": "bfloat16"}


class Exchange(NamedTuple):
    """What all-reduces sum over the devices in one call of a compiled function: bytes of the operands, number of sums."""

    bytes: int = 0
    calls: int = 0

    def plus(self, other: "Exchange", times: int = 1) -> "Exchange":
        """This, and `times` the other."""
        return Exchange(self.bytes + times * other.bytes, self.calls + times * other.calls)


@dataclass(frozen=True)
class Plan:
    """Bytes on each device, from the compiler's own analysis. limit: what the device has, if that is known."""

    devices: int
    platform: str
    batch_size: int
    state: int
    frozen: int
    batch: int
    temporary: int
    total: int
    limit: int | None
    exchanged: int

    def lines(self, settings: Container[str]) -> list[str]:
        """For people. settings: the names of those that this kind of training has."""
        kind = f"{self.platform} device" + ("s" if self.devices > 1 else "")
        text = [
            f"{self.devices} {kind} in {_count(jax.process_count(), 'process')}: batch of {self.batch_size}, "
            f"{self.batch_size // self.devices} on each device",
            f"planned memory of each device: {_size(self.total)} (state {_size(self.state)}, frozen networks "
            f"{_size(self.frozen)}, batch {_size(self.batch)}, temporary {_size(self.temporary)})"
            + (f" of {_size(self.limit)}" if self.limit else ""),
        ]
        if self.devices > 1:
            text.append(f"sums over all devices: {_size(self.exchanged)} in each step")
        if self.limit and self.total > self.limit:
            savers = ", ".join(words for name, words in SAVERS.items() if name in settings)
            text.append(f"warning: this is more than the device has. What needs less: {savers}.")
        return text


def plan(compiled: Any, batch_size: int, state: Any, frozen: Any, batch: Any) -> Plan:
    """The plan of a compiled step. state, frozen: what it gets replicated. batch: what is divided among the devices."""
    memory = compiled.memory_analysis()
    state_bytes, frozen_bytes = tree_bytes(state), tree_bytes(frozen)
    batch_bytes = tree_bytes(batch) // jax.device_count()
    new = memory.output_size_in_bytes - memory.alias_size_in_bytes
    temporary = memory.temp_size_in_bytes + memory.generated_code_size_in_bytes + new
    # Frozen arrays that the step never reads are no arguments of the program, but are on the device all the same.
    given = max(memory.argument_size_in_bytes, state_bytes + frozen_bytes + batch_bytes)
    return Plan(
        devices=jax.device_count(),
        platform=jax.default_backend(),
        batch_size=batch_size,
        state=state_bytes,
        frozen=frozen_bytes,
        batch=batch_bytes,
        temporary=temporary,
        total=given + temporary,
        limit=_device_memory(),
        exchanged=exchange(compiled).bytes,
    )


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays (or their shapes) in a tree."""
    return sum(math.prod(np.shape(leaf)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def exchange(compiled: Any) -> Exchange:
    """What all-reduces sum over the devices in one call of a compiled function, operand sizes on one device.

    A ring moves about twice as many bytes through every link. An all-reduce within a loop counts as often as the loop runs,
    as far as the compiler knows the number; of the branches of a condition the largest counts.
    """
    computations: dict[str, list[str]] = {}
    entry, lines = "", []
    for line in compiled.as_text().splitlines():
        header = _HEADER.match(line)
        if header:
            lines = computations.setdefault(header[1], [])
            entry = header[1] if line.startswith("ENTRY") else entry
        else:
            lines.append(line)

    def summed(name: str) -> Exchange:
        total = Exchange()
        for line in computations.get(name, []):
            reduced = _ALL_REDUCE.search(line)
            if reduced:
                total = total.plus(Exchange(sum(_shape_bytes(shape) for shape in _SHAPE.finditer(reduced[1])), 1))
                continue  # its to_apply is the addition
            loop, branches = _LOOP.search(line), _BRANCHES.search(line)
            if loop:
                trips = _TRIPS.search(line)
                total = total.plus(summed(loop[1]), int(trips[1]) if trips else 1)
                continue
            called = branches[1].replace("%", "").replace(" ", "").split(",") if branches else _CALLS.findall(line)
            total = total.plus(max((summed(name) for name in called), default=Exchange()))
        return total

    return summed(entry)


def _shape_bytes(shape: re.Match[str]) -> int:
    items = math.prod(int(size) for size in shape[3].split(",") if size)
    return items * (int(shape[2]) // 8 if shape[2] else 1)


def _device_memory() -> int | None:
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    if jax.default_backend() == "cpu":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // jax.local_device_count()
    return None


def _size(count: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("es" if number > 1 else "")
