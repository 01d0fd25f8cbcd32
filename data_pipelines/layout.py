"""What a data set looks like before it is prepared: its splits, and the pictures in them, still encoded."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from data_pipelines.folder import ImageError, Photo, list_photos, read_bytes

TEST_SHARE = 0.05

Encoded = dict[str, bytes]
"""The bytes of a picture's files by role: `image`, `source` in paired data sets, and where they are known `factors`, JSON."""


@dataclass(frozen=True)
class Split:
    """`count` pictures: pairs of a name and a function that reads the bytes (called in any thread; may raise OSError and
    ImageError)."""

    count: int
    pictures: Iterable[tuple[str, Callable[[], Encoded]]]


@dataclass(frozen=True)
class Layout:
    """The splits found in a download. square: pictures of this data set are square. paired: they have a `source`. factors:
    they have `factors`. notes: what the user should know."""

    splits: dict[str, Split]
    square: bool = False
    paired: bool = False
    factors: bool = False
    notes: list[str] = field(default_factory=list)


def split_of(photos: Sequence[Photo]) -> Split:
    """A split of picture files."""
    return Split(len(photos), [(photo.name, partial(_read, photo.path)) for photo in photos])


def _read(path: Path) -> Encoded:
    return {"image": read_bytes(path)}


def in_test_share(name: str, share: float = TEST_SHARE) -> bool:
    """Whether the picture called `name` belongs to the test split, where no published split exists.

    True for a fraction `share` of all names: those whose SHA-256, read as a binary fraction, is below it. It depends on
    the name alone, so that a picture stays in its split when others are added.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) < share * 2**64


def hashed_splits(photos: Sequence[Photo]) -> tuple[dict[str, Split], str]:
    """Train and test splits by `in_test_share`, and a note that says so. Either may be missing if there are few pictures."""
    chosen = {
        "train": [p for p in photos if not in_test_share(p.name)],
        "test": [p for p in photos if in_test_share(p.name)],
    }
    note = (
        f"no published split was found: {len(chosen['test'])} of {len(photos)} pictures were made the test split, "
        f"chosen by a hash of their names ({TEST_SHARE:.0%} on average)"
    )
    return {name: split_of(part) for name, part in chosen.items() if part}, note


def find_folder(source: Path, names: Sequence[str], expected: str) -> Path:
    """The first folder of `names` inside `source`, or `source` itself if it has one of these names.

    Raises:
      ImageError: `source` or the folder does not exist; the message describes what was `expected`.
    """
    require_folder(source)
    for name in names:
        if (source / name).is_dir():
            return source / name
    if {source.absolute().name, source.resolve().name} & set(names):  # either may be a link to the other
        return source
    raise ImageError(f"{source}: contains none of {', '.join(f'{name}/' for name in names)}. Expected {expected}.")


def require_folder(source: Path) -> None:
    """Raises ImageError if `source` is not a folder."""
    if not source.is_dir():
        raise ImageError(f"{source}: there is no such folder. Check the path that the pictures are read from.")


def published_size_note(split: str, found: int, published: int) -> list[str]:
    """A note if a split does not have the published number of pictures: the download may be incomplete."""
    if found == published:
        return []
    return [f"{split}: {found} pictures found, {published} are published; the download may be incomplete"]


def photos_in(folder: Path) -> list[Photo]:
    """All photos of a folder, see `list_photos`."""
    require_folder(folder)
    return list_photos([folder])
