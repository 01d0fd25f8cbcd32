"""LSUN church_outdoor, horse and bedroom (Yu et al., 2015), read from the published lmdb with the lmdb package."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import lmdb

from data_pipelines.folder import ImageError
from data_pipelines.layout import Encoded, Layout, Split, in_test_share, published_size_note, require_folder

PUBLISHED = {
    "church_outdoor": {"train": 126_227, "test": 300},
    "bedroom": {"train": 3_033_042, "test": 300},
    "horse": {"train": 2_000_340},
}
# Of a category without a validation lmdb; one in 2,000 leaves about 1,000 of the two million horses.
TEST_SHARE = 1 / 2000
WALK = """
import sys, lmdb
with lmdb.open(sys.argv[1], readonly=True, lock=False) as environment, environment.begin() as transaction:
    for _ in transaction.cursor().iternext(keys=True, values=False):
        pass
"""
"""Touches all pages of an lmdb that lead to pictures."""


def expected(category: str) -> str:
    """What the folder must contain, in words."""
    objects = f" (or {category}/, without a validation set)" if "test" not in PUBLISHED[category] else ""
    return (
        f"{category}_train_lmdb/ and {category}_val_lmdb/, each with data.mdb, as unpacked from the download{objects}"
    )


def layout(source: Path, category: str) -> Layout:
    """Split `train`, and `test` from the validation lmdb; where a category has none, one in 2,000 by a hash of the key.

    Raises:
      ImageError: an lmdb is missing, damaged or empty.
    """
    require_folder(source)
    found = {
        split: next((source / name for name in names if (source / name / "data.mdb").is_file()), None)
        for split, names in (("train", (f"{category}_train_lmdb", category)), ("test", (f"{category}_val_lmdb",)))
    }
    train, test = found["train"], found["test"]
    if train is None:
        raise ImageError(f"{source}: the training pictures are missing. Expected {expected(category)}.")
    published = PUBLISHED[category]
    if test is None and "test" in published:
        raise ImageError(f"{source}: the validation pictures are missing. Expected {expected(category)}.")
    total = _entries(train)
    notes = published_size_note("train", total, published["train"])
    if test is not None:
        return Layout(
            {"train": Split(total, _Records(train)), "test": Split(_entries(test), _Records(test))}, notes=notes
        )
    held_out = sum(in_test_share(key, TEST_SHARE) for key in _keys(train))
    notes.append(f"no published test split: {held_out} of {total} pictures were chosen by a hash of their keys")
    splits = {"train": Split(total - held_out, _Records(train, False)), "test": Split(held_out, _Records(train, True))}
    return Layout({name: split for name, split in splits.items() if split.count}, notes=notes)


@dataclass(frozen=True)
class _Records:
    """The pictures of an lmdb in the order of their keys; all, or those that are held out for testing or not."""

    path: Path
    held_out: bool | None = None

    def __iter__(self) -> Iterator[tuple[str, Callable[[], Encoded]]]:
        with _transaction(self.path) as transaction:
            for key, value in transaction.cursor():
                if self.held_out is None or in_test_share(_text(key), TEST_SHARE) == self.held_out:
                    yield _text(key), partial(dict, image=value)


def _keys(path: Path) -> Iterator[str]:
    with _transaction(path) as transaction:
        for key in transaction.cursor().iternext(keys=True, values=False):
            yield _text(key)


def _entries(path: Path) -> int:
    with _transaction(path) as transaction:
        entries = transaction.stat()["entries"]
    if not entries:
        raise ImageError(f"{path}: the lmdb is empty. Download and unpack it again.")
    # lmdb ends a process that meets a damaged page: let it be another one.
    walk = subprocess.run(
        [sys.executable, "-c", WALK, str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    if walk.returncode:
        reason = walk.stderr.strip().rpartition("\n")[2] or f"signal {-walk.returncode}"
        raise ImageError(f"{path}: not a readable lmdb ({reason}). Download and unpack it again.")
    return entries


def _text(key: bytes | memoryview) -> str:
    return bytes(key).decode("ascii", "backslashreplace")


@contextmanager
def _transaction(path: Path) -> Iterator[lmdb.Transaction]:
    try:
        # Without a lock file the download may lie on a read-only disk.
        with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
            _require_whole(path, environment)
            yield transaction
    except lmdb.Error as error:
        raise ImageError(f"{path}: not a readable lmdb ({error}). Download and unpack it again.") from error


def _require_whole(path: Path, environment: lmdb.Environment) -> None:
    """Raises ImageError if the file is too short: lmdb maps it into memory, where reading beyond its end kills the process."""
    found = (path / "data.mdb").stat().st_size
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if found < needed:
        raise ImageError(
            f"{path / 'data.mdb'}: found {found} bytes, expected {needed}: the file is cut short. Download and unpack it again."
        )
