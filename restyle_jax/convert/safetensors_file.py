"""The safetensors format: an 8-byte header length, a JSON header, then the raw little-endian arrays.

Read here rather than with the `safetensors` package because that one copies every array out of the file.
Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from typing import Any

import ml_dtypes
import numpy as np

from restyle_jax.convert.errors import Unreadable

_DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_HIGHEST_RANK = 32
_FORMAT_LIMIT = 100_000_000
# Parsing takes thirty times the memory; a 1024-px model has a header of 100 kB.
_LONGEST_HEADER = 2 << 20


def looks_like_safetensors(data: memoryview) -> bool:
    """Whether the file starts as the format does: a plausible length, then an opening brace."""
    return len(data) > 8 and int.from_bytes(data[:8], "little") <= _FORMAT_LIMIT and data[8] == ord("{")


def read_safetensors(data: memoryview) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays, metadata): read-only views in the order of the header.

    Raises Unreadable for a header that is not valid, arrays that overlap, leave holes, or do not fill the file.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise Unreadable("a safetensors file that ends inside its header")
    if start > 8 + _LONGEST_HEADER:
        raise Unreadable(
            f"a safetensors file with a header of {start - 8:,} bytes", expected=f"at most {_LONGEST_HEADER:,} bytes"
        )
    try:
        header = json.loads(bytes(data[8:start]), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"a safetensors file with a damaged header ({error!s:.100})") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise Unreadable("a safetensors file whose metadata are not strings")
    body = data[start:]
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    _check_cover([span for _, _, span in entries.values()], len(body))
    return {name: _array(name, *entry, body) for name, entry in entries.items()}, metadata


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name appears twice")
    return result


_Span = tuple[int, int]


def _entry(name: str, entry: Any) -> tuple[np.dtype, list[Any], _Span]:
    match entry:
        case {"dtype": str() as code, "shape": list() as shape, "data_offsets": [int() as begin, int() as end]}:
            if code not in _DTYPES:
                raise Unreadable(f"array {name!r:.100} of the type {code!r:.40}", expected=" or ".join(_DTYPES))
            return _DTYPES[code], shape, (begin, end)
    raise Unreadable(f"a safetensors file whose header describes {name!r:.100} in an unknown way")


def _check_cover(spans: list[_Span], size: int) -> None:
    position = 0
    for begin, end in sorted(spans):
        if begin != position or end < begin:
            raise Unreadable("a safetensors file whose arrays overlap or leave holes")
        position = end
    if position != size:
        raise Unreadable(f"a safetensors file with {size} bytes of arrays where its header promises {position}")


def _array(name: str, dtype: np.dtype, shape: list[Any], span: _Span, body: memoryview) -> np.ndarray:
    begin, end = span
    counts = len(shape) <= _HIGHEST_RANK and all(type(n) is int and n >= 0 for n in shape)
    if not counts or math.prod(shape) * dtype.itemsize != end - begin:
        raise Unreadable(f"array {name!r:.100} whose shape does not fit its {end - begin} bytes")
    return np.asarray(body[begin:end]).view(dtype).reshape(shape)
