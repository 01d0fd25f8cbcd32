"""Files of NumPy arrays from anywhere, which may be damaged, or something else under that name."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)
"""What NumPy, zipfile and zlib raise for such files; RuntimeError where an archive is encrypted, or compressed in another way."""


def load(path: Path) -> np.ndarray | np.lib.npyio.NpzFile:
    """The array in a .npy, or the archive of a .npz; nothing is executed. Raises one of UNREADABLE."""
    if path.is_fifo():  # opening it would wait for a writer
        raise ValueError("a named pipe")
    with path.open("rb") as file:
        start = file.read(6)
    # NumPy takes all else for a pickle, and tells people how to load that.
    if start and start != np.lib.format.MAGIC_PREFIX and start[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise ValueError("contents that cannot be loaded, as they are neither those of a .npy nor of a .npz")
    return np.load(path, allow_pickle=False)


def load_archive(path: Path) -> np.lib.npyio.NpzFile:
    """The archive of a .npz; nothing is executed. Raises one of UNREADABLE."""
    file = load(path)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    return file


def finite_in_float32(numbers: np.ndarray) -> bool:
    """Whether all numbers are finite, and still are as f32."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(numbers.astype(np.float32)).all())
