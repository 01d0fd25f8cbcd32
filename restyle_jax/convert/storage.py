"""Torch storages and the tensors that view them, as numpy views of the mapped file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from restyle_jax.convert.errors import Unreadable
from restyle_jax.convert.records import Guard

TENSOR_DTYPES: dict[str, np.dtype] = {
    "torch.float64": np.dtype(np.float64),
    "torch.float32": np.dtype(np.float32),
    "torch.float16": np.dtype(np.float16),
    "torch.bfloat16": np.dtype(ml_dtypes.bfloat16),
    "torch.complex64": np.dtype(np.complex64),
    "torch.complex128": np.dtype(np.complex128),
    "torch.int64": np.dtype(np.int64),
    "torch.int32": np.dtype(np.int32),
    "torch.int16": np.dtype(np.int16),
    "torch.int8": np.dtype(np.int8),
    "torch.uint64": np.dtype(np.uint64),
    "torch.uint32": np.dtype(np.uint32),
    "torch.uint16": np.dtype(np.uint16),
    "torch.uint8": np.dtype(np.uint8),
    "torch.bool": np.dtype(np.bool_),
}
"""Element type of each torch dtype."""

_PREFIXES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128", "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8",
    "Byte": "uint8", "Bool": "bool",
}  # fmt: skip
STORAGE_DTYPES: dict[str, np.dtype] = {
    **{f"torch.{prefix}Storage": TENSOR_DTYPES[f"torch.{name}"] for prefix, name in _PREFIXES.items()},
    # Bytes whose type the tensor brings along (`_rebuild_tensor_v3`).
    "torch.storage.UntypedStorage": np.dtype(np.uint8),
}
"""Element type of each storage class that a file may name."""


@dataclass(frozen=True, eq=False)
class Storage:
    """A flat run of elements: `data` u8[n * itemsize], usually a view of the file, read as `dtype`."""

    data: np.ndarray
    dtype: np.dtype

    def part(self, offset: Any, count: Any) -> Storage:
        """The elements `offset` to `offset + count`. Raises Unreadable outside the storage."""
        size = self.dtype.itemsize
        if not (_is_count(offset) and _is_count(count) and (offset + count) * size <= self.data.size):
            raise Unreadable("a tensor storage that reaches beyond the one it is part of")
        return Storage(self.data[offset * size : (offset + count) * size], self.dtype)


@dataclass(frozen=True, eq=False)
class StridedView:
    """A tensor as torch describes it: offset and strides in elements of the storage."""

    storage: Storage
    offset: Any
    shape: tuple[Any, ...]
    strides: tuple[Any, ...]


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def as_array(view: StridedView, guard: Guard, dtype: np.dtype | None = None) -> np.ndarray:
    """The read-only array [*shape] behind a view; nothing is copied.

    `dtype` replaces the element type of the storage. Raises Unreadable where the numbers do not fit the storage,
    or when the arrays of the file together are far larger than the file (`Guard.nbytes`).
    """
    dtype = dtype or view.storage.dtype
    numbers = (view.offset, *view.shape, *view.strides)
    if not all(map(_is_count, numbers)) or len(view.shape) != len(view.strides):
        raise Unreadable("a tensor whose shape, strides or offset are not whole numbers that belong together")
    if 0 in view.shape:
        return _empty(view.shape, dtype)
    last = view.offset + sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True))
    if (last + 1) * dtype.itemsize > view.storage.data.size:
        raise Unreadable(
            f"a tensor that needs {last + 1} elements of a storage of {view.storage.data.size // dtype.itemsize}"
        )
    # Strides of zero make an array of any size out of one element, hence the bound on the sum of all arrays.
    guard.hold(math.prod(view.shape) * dtype.itemsize)
    return np.ndarray(
        view.shape,
        dtype,
        buffer=view.storage.data,
        offset=view.offset * dtype.itemsize,
        # Along an axis of one element torch may store any stride, even one that overflows.
        strides=tuple(
            stride * dtype.itemsize if n > 1 else 0 for n, stride in zip(view.shape, view.strides, strict=True)
        ),
    )


def _empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if math.prod(filter(None, shape)) * dtype.itemsize >= 1 << 62:
        raise Unreadable("an empty tensor of absurd shape")
    return np.zeros(shape, dtype)


def whole(storage: Storage, guard: Guard) -> np.ndarray:
    """A storage as a one-dimensional array."""
    return as_array(StridedView(storage, 0, (storage.data.size // storage.dtype.itemsize,), (1,)), guard)


def counted(data: memoryview, position: int, dtype: np.dtype) -> tuple[Storage, int]:
    """A storage of the older formats: an 8-byte little-endian element count, then the elements.

    Returns the storage and the position behind it. Raises Unreadable when the file ends inside.
    """
    head = data[position : position + 8]
    start = position + 8
    end = start + int.from_bytes(head, "little") * dtype.itemsize
    if len(head) < 8 or end > len(data):
        raise Unreadable(f"a file that ends inside a tensor storage ({len(data)} bytes, at least {end} needed)")
    return Storage(np.asarray(data[start:end]), dtype), end
