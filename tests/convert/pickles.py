"""A pickle writer that can say anything: names that do not exist, calls in the wrong place, outside references."""

from __future__ import annotations

import io
import struct
import tarfile
from dataclasses import dataclass
from typing import Any

import numpy as np

LEGACY_HEADER = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


@dataclass(frozen=True)
class Global:
    """A mention of `module.name`."""

    module: str
    name: str

    def __call__(self, *args: Any, state: Any = None) -> Reduce:
        return Reduce(self, args, state)


@dataclass(frozen=True)
class Reduce:
    """A call, optionally followed by BUILD with a state."""

    function: Any
    args: Any
    state: Any = None


@dataclass(frozen=True)
class Pid:
    """A persistent id."""

    key: Any


@dataclass(frozen=True)
class Raw:
    """Opcodes as they are."""

    code: bytes


def dump(value: Any) -> bytes:
    """`value` as a pickle of protocol 2, like those of torch."""
    return b"\x80\x02" + emit(value) + b"."


def emit(value: Any) -> bytes:
    """The opcodes that push `value`."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(digits)]) + digits
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(emit, value)) + b"t"
        case dict():
            return b"}(" + b"".join(emit(key) + emit(item) for key, item in value.items()) + b"u"
        case Global():
            return f"c{value.module}\n{value.name}\n".encode()
        case Reduce():
            build = b"" if value.state is None else emit(value.state) + b"b"
            return emit(value.function) + emit(value.args) + b"R" + build
        case Pid():
            return emit(value.key) + b"Q"
        case Raw():
            return value.code
    raise TypeError(type(value).__name__)


TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
HOOKS = Global("collections", "OrderedDict")()


def tensor(storage: Any, shape: tuple[Any, ...], strides: tuple[int, ...], offset: int = 0) -> Reduce:
    """A tensor over a storage: a `Pid`, or a call of `_load_from_bytes`."""
    return TENSOR(storage, offset, shape, strides, False, HOOKS)


def storage_id(key: str, count: int, kind: str = "FloatStorage", *view: Any) -> Pid:
    return Pid(("storage", Global("torch", kind), key, "cpu", count, *view))


def legacy(root: Any, storages: dict[str, bytes], itemsize: int = 4) -> bytes:
    """A legacy torch file."""
    body = b"".join(struct.pack("<q", len(data) // itemsize) + data for data in storages.values())
    return b"".join(map(dump, (*LEGACY_HEADER, root, list(storages)))) + body


def embedded(data: bytes) -> Reduce:
    """A float32 storage the way that NVlabs pickles hold it."""
    inner = legacy(storage_id("0", len(data) // 4, "FloatStorage", None), {"0": data})
    return Global("torch.storage", "_load_from_bytes")(inner)


def tar() -> bytes:
    """A checkpoint of the first torch versions: storages, tensors over them, and a pickle over those, in a tar."""
    kind, parameter = Global("torch", "FloatStorage"), Global("torch.nn.parameter", "Parameter")
    values = struct.pack("<q", 8) + np.arange(8, dtype=np.float32).tobytes()
    # Storage 11 and a view of its last six elements; a 3x2 tensor of the view, and four elements of the whole.
    storages = dump(1) + dump((11, "cpu", kind)) + values + dump([(12, 11, 2, 6)])
    shapes = struct.pack("<ii2q2qq", 2, 0, 3, 2, 1, 3, 0), struct.pack("<ii1q1qq", 1, 0, 4, 1, 1)
    heads = (21, 12, Global("torch", "FloatTensor")), (22, 11, Global("torch", "FloatTensor"))
    tensors = dump(2) + b"".join(dump(head) + shape for head, shape in zip(heads, shapes, strict=True))
    state = {"conv1.weight": parameter(Pid(21), True), "bn1.running_mean": Pid(22)}
    members = {"sys_info": dump({}), "pickle": dump(state), "tensors": tensors, "storages": storages}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5e9 + 0.5
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def network(class_name: str, **state: Any) -> Reduce:
    """A record of NVlabs' `torch_utils.persistence`."""
    record = {
        "type": "class",
        "version": 6,
        "module_src": "raise SystemExit",
        "class_name": class_name,
        "state": state,
    }
    return Global("torch_utils.persistence", "_reconstruct_persistent_obj")(record)
