"""Weights and inputs of the goldens, rebuilt from numbers alone (numpy, no reference code).

A manifest in `tests/golden` lists `[key, shape, dtype, rule]` per tensor and a `salt`; a value depends only
on salt, key, shape and rule, so that a whole official checkpoint needs no storage. A rule reads
`<id>:<kind>:<arguments>`; the id only points into the documentation of the goldens. Kinds:

    int0                   int64 zeros
    randn:scale:offset     offset + scale * normal noise
    rand:scale:offset      offset + scale * uniform noise in [0, 1)
    fir:taps:gain          outer product of the taps, normalised to sum `gain`, broadcast to the shape
    values:v,v,...         literal values

Everything is computed in float64 and rounded once to float32.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def _generator(text: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(text.encode()) & 0xFFFFFFFF)


def _numbers(text: str) -> np.ndarray:
    return np.array(text.split(","), np.float64)


def weight(salt: str, key: str, shape: Sequence[int], rule: str) -> np.ndarray:
    """One tensor f32[shape] (int64 for the rule `int0`). Raises ValueError on an unknown rule."""
    _, kind, *arguments = rule.split(":")
    shape = tuple(shape)
    if kind == "int0":
        return np.zeros(shape, np.int64)
    if kind in ("randn", "rand"):
        scale, offset = map(float, arguments)
        draw = np.asarray(getattr(_generator(f"{salt}/{key}"), kind)(*shape))  # a scalar draw is a Python float
        draw *= scale  # in place: whole checkpoints have hundreds of millions of numbers
        draw += offset
        return draw.astype(np.float32)
    if kind == "fir":
        taps = _numbers(arguments[0])
        kernel = np.outer(taps, taps)
        kernel = kernel / kernel.sum() * float(arguments[1])
        return np.ascontiguousarray(np.broadcast_to(kernel, shape), np.float32)
    if kind == "values":
        return _numbers(arguments[0]).astype(np.float32).reshape(shape)
    raise ValueError(f"unknown rule {rule!r} of {key!r}")


def build(manifest: Mapping[str, Any] | str | Path) -> dict[str, np.ndarray]:
    """All tensors of a manifest (the parsed JSON, or its path), in the order of the reference state dict."""
    loaded = json.loads(Path(manifest).read_text()) if isinstance(manifest, str | Path) else manifest
    return {key: weight(loaded["salt"], key, shape, rule) for key, shape, _, rule in loaded["weights"]}


def latent(name: str, shape: Sequence[int], scale: float = 1.0) -> np.ndarray:
    """Normal noise f32[shape] times `scale`."""
    return np.asarray(scale * _generator(f"input/{name}").randn(*shape), np.float32)


def _enlarge(values: np.ndarray, axis: int, factor: int) -> np.ndarray:
    """Bilinear enlargement of one axis with half-pixel centres and clamped edges."""
    size = values.shape[axis]
    position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0.0, size - 1.0)
    left = np.floor(position).astype(int)
    right = np.minimum(left + 1, size - 1)
    along = [1] * values.ndim
    along[axis] = -1
    fraction = (position - left).reshape(along)
    return np.take(values, left, axis) * (1.0 - fraction) + np.take(values, right, axis) * fraction


def image(name: str, n: int, c: int, h: int, w: int, factor: int = 16) -> np.ndarray:
    """A smooth random picture f32[n, c, h, w] in (-1, 1); `h` and `w` are multiples of `factor`."""
    noise = _generator(f"input/{name}").randn(n, c, h // factor, w // factor)
    return np.tanh(_enlarge(_enlarge(noise, 2, factor), 3, factor)).astype(np.float32)
