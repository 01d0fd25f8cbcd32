"""Rows of the layers that several networks share."""

import numpy as np

from restyle_jax.convert.engine import Constant, Entry, Filled, Row, Table
from restyle_jax.convert.transforms import COUNT, LINEAR, VECTOR

AVERAGE_APART = "w_avg is kept beside the network"
NO_COUNTS = "written before torch 0.4.1, which kept no batch counts"


def fir_kernel(gain: float) -> np.ndarray:
    """The [1, 3, 3, 1] low-pass filter as f32[4, 4] with sum `gain` (4 after twofold upsampling, else 1)."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1])
    return np.asarray(taps / taps.sum() * gain, np.float32)


def fir(theirs: str, gain: float) -> Constant:
    """A FIR buffer, which this library recomputes."""
    return Constant(theirs, fir_kernel(gain))


def dense(ours: str, theirs: str) -> list[Entry]:
    """A linear layer with bias."""
    return [Row(f"{ours}.kernel", f"{theirs}.weight", LINEAR), Row(f"{ours}.bias", f"{theirs}.bias", VECTOR)]


def batch_norm(ours: str, theirs: str) -> list[Entry]:
    """A BatchNorm layer with its running statistics, in torch's order."""
    names = (("scale", "weight"), ("bias", "bias"), ("mean", "running_mean"), ("var", "running_var"))
    rows: list[Entry] = [Row(f"{ours}.{mine}", f"{theirs}.{torch}", VECTOR) for mine, torch in names]
    return [*rows, Row(f"{ours}.count", f"{theirs}.num_batches_tracked", COUNT)]


def without_counts(table: Table) -> list[Entry]:
    """The table for a file that has no batch counts at all: they start at zero, as torch itself does."""
    return [
        Filled(entry.ours, 0, NO_COUNTS) if isinstance(entry, Row) and entry.transform is COUNT else entry
        for entry in table
    ]
