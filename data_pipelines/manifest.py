"""The record that lies beside a prepared data set: sizes and checksums of its splits, and what was left out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar, get_origin, get_type_hints

from data_pipelines.folder import ImageError

FILE = "checksums.json"
T = TypeVar("T")


@dataclass(frozen=True)
class SplitRecord:
    """Number of pictures, size of their files in bytes, and `Checksum` over all of them in the order of the records."""

    pictures: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class LeftOut:
    """A damaged picture that is not in the prepared data set."""

    split: str
    name: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """Contents of `checksums.json`. square, paired, notes: see `layout.Layout`."""

    name: str
    square: bool
    paired: bool
    splits: dict[str, SplitRecord]
    left_out: list[LeftOut]
    notes: list[str]

    def text(self) -> str:
        """Lines to print: the splits, what was left out and why, notes."""
        lines = [
            f"{self.name}, {split}: {record.pictures} pictures, {record.bytes / 1e6:.1f} MB, sha256 {record.sha256}"
            for split, record in self.splits.items()
        ]
        lines += [f"left out of {item.split}: {item.reason}" for item in self.left_out]
        return "\n".join(lines + [f"note: {note}" for note in self.notes])

    def write(self, folder: Path) -> None:
        """Write the record into the folder of the data set."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The record of a prepared data set.

    Raises:
      ImageError: the file is missing or damaged.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text())
        splits = {name: _made(SplitRecord, record) for name, record in values["splits"].items()}
        left_out = [_made(LeftOut, item) for item in values["left_out"]]
        if not splits:
            raise ValueError("it has no splits")
        return _made(Manifest, {**values, "splits": splits, "left_out": left_out})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImageError(f"{path}: cannot be read ({error}). Run `restyle data prepare` again.") from error


def _made(kind: type[T], values: dict[str, object]) -> T:
    """An instance of a dataclass. Raises TypeError if fields are missing or unknown, or a value has another type."""
    made = kind(**values)
    for name, hint in get_type_hints(kind).items():
        expected = get_origin(hint) or hint
        if not isinstance(values[name], expected):
            raise TypeError(f"{name} is {values[name]!r}, expected {expected.__name__}")
    return made


class Checksum:
    """Counts pictures and bytes, and hashes names and contents: SHA-256 over every name and file in turn, each after its
    length as 8 bytes, the lowest first."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pictures = self._bytes = 0

    def add(self, name: str, encoded: Mapping[str, bytes]) -> None:
        """Take in one picture; `encoded` are its files by role, hashed in alphabetic order of the roles."""
        self._pictures += 1
        for part in (name.encode(), *(encoded[role] for role in sorted(encoded))):
            self._hash.update(len(part).to_bytes(8, "little") + part)
        self._bytes += sum(map(len, encoded.values()))

    def record(self) -> SplitRecord:
        """What was taken in so far."""
        return SplitRecord(self._pictures, self._bytes, self._hash.hexdigest())
