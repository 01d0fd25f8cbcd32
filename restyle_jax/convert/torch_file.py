"""Writes a tree of numpy arrays as a PyTorch checkpoint, without PyTorch.

The file is the zip form that `torch.save` has written since version 1.6: `data.pkl`, a pickle in which every tensor is a
call of `torch._utils._rebuild_tensor_v2`, and one stored member `data/<n>` per tensor with its raw little-endian numbers.
`torch.load(..., weights_only=True)` accepts it, but for integers of more than 255 bytes, which need `weights_only=False`.
"""

import io
import pickle
import struct
import zipfile
from typing import BinaryIO

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}

# torch aligns every storage, so that a file can be mapped into memory.
ALIGNMENT = 64
ROOT = "archive"
# Fixed, so that equal models give equal files.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write(file: BinaryIO, tree: object) -> None:
    """Write `tree` as a torch zip file.

    tree: nested dict, list and tuple of numpy arrays, str, int, float, bool and None; dict keys are str or int.
    Raises TypeError for anything else, and OSError as the file system does.
    """
    emitter = _Emitter()
    program = emitter.program(tree)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", program)
        _add(archive, "byteorder", b"little")
        for number, array in enumerate(emitter.arrays):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            _add(archive, f"data/{number}", little.reshape(-1).view(np.uint8).data)
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    info = zipfile.ZipInfo(f"{ROOT}/{name}", TIMESTAMP)
    # 30 bytes of local header, then the name, then an extra field whose own header takes 4 bytes.
    data_at = archive.fp.tell() + 30 + len(info.filename) + 4 if archive.fp else 0
    padding = -data_at % ALIGNMENT
    info.extra = struct.pack("<HH", 0x4246, padding) + bytes(padding)
    archive.writestr(info, data)


class _Emitter:
    """Writes pickle opcodes (protocol 2) by hand: a `pickle.Pickler` would have to import torch to name its functions."""

    def __init__(self):
        self.arrays: list[np.ndarray] = []
        self.out = io.BytesIO()

    def program(self, tree: object) -> bytes:
        self.out.write(pickle.PROTO + b"\x02")
        self.emit(tree)
        self.out.write(pickle.STOP)
        return self.out.getvalue()

    def emit(self, value: object) -> None:
        match value:
            case None:
                self.out.write(pickle.NONE)
            case bool():
                self.out.write(pickle.NEWTRUE if value else pickle.NEWFALSE)
            case int():
                digits = pickle.encode_long(value)
                short = len(digits) < 256
                length = bytes([len(digits)]) if short else struct.pack("<I", len(digits))
                self.out.write((pickle.LONG1 if short else pickle.LONG4) + length + digits)
            case float():
                self.out.write(pickle.BINFLOAT + struct.pack(">d", value))
            case str():
                text = value.encode("utf-8", "surrogatepass")
                self.out.write(pickle.BINUNICODE + struct.pack("<I", len(text)) + text)
            case tuple():
                self.out.write(pickle.MARK)
                for item in value:
                    self.emit(item)
                self.out.write(pickle.TUPLE)
            case list():
                self.out.write(pickle.EMPTY_LIST + pickle.MARK)
                for item in value:
                    self.emit(item)
                self.out.write(pickle.APPENDS)
            case dict():
                self.out.write(pickle.EMPTY_DICT + pickle.MARK)
                for key, item in value.items():
                    self.emit(key)
                    self.emit(item)
                self.out.write(pickle.SETITEMS)
            case np.ndarray() if value.dtype.name in STORAGES:
                self.tensor(value)
            case _:
                raise TypeError(f"a torch file cannot hold {type(value).__name__} {value!r:.80}")

    def tensor(self, array: np.ndarray) -> None:
        strides = np.zeros(array.shape, np.uint8).strides  # of one-byte elements: counted in elements, as torch does
        self.reference("torch._utils", "_rebuild_tensor_v2")
        self.out.write(pickle.MARK)
        self.storage(array)
        self.emit(0)  # offset into the storage
        self.emit(tuple(array.shape))
        self.emit(strides)
        self.emit(False)  # requires_grad
        self.reference("collections", "OrderedDict")  # no backward hooks
        self.out.write(pickle.EMPTY_TUPLE + pickle.REDUCE)
        self.out.write(pickle.TUPLE + pickle.REDUCE)

    def storage(self, array: np.ndarray) -> None:
        self.out.write(pickle.MARK)
        self.emit("storage")
        self.reference("torch", STORAGES[array.dtype.name])
        self.emit(str(len(self.arrays)))
        self.emit("cpu")
        self.emit(array.size)
        self.out.write(pickle.TUPLE + pickle.BINPERSID)
        self.arrays.append(array)

    def reference(self, module: str, name: str) -> None:
        self.out.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
