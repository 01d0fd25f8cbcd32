"""Smaller copies of directories of our format."""

import os
from pathlib import Path

import numpy as np

from restyle_jax.checkpoints import config_file, native
from restyle_jax.convert.errors import CheckpointError


def store_half(source: str | os.PathLike[str], directory: str | os.PathLike[str]) -> None:
    """Write the directory of our format `source` once more, with float16 in place of float32: half the size. What is read from
    there computes in float32 as before.

    Raises CheckpointError if numbers are too large for float16 (names their arrays), and as `native.own_directory`,
    `config_file.read_config` and `native.save`.
    """
    found = native.own_directory(source)
    if found is None:
        raise CheckpointError.explain(
            source,
            found="no directory of our format",
            expected=f"one with {config_file.CONFIG} and {native.WEIGHTS}",
            remedy="`restyle convert` writes one",
        )
    config = config_file.read_config(found)
    arrays = {name: np.array(array) for name, array in native.stored(found).items()}
    single = {name for name, array in arrays.items() if array.dtype == np.float32}
    if large := sorted(name for name in single if np.abs(arrays[name]).max(initial=0) > np.finfo(np.float16).max):
        raise CheckpointError.explain(
            found / native.WEIGHTS,
            found=f"numbers above {np.finfo(np.float16).max:g} in {', '.join(large)}",
            expected="numbers that float16 can hold",
            remedy="keep it in float32",
        )
    halves = {name: array.astype(np.float16) if name in single else array for name, array in arrays.items()}
    others = {key: value for key, value in config.items() if key not in ("format", "version", "metadata")}
    native.write(Path(directory), others, config.get("metadata") or {}, halves)
