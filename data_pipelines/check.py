"""What is wrong with the pictures of a data set: unreadable, odd-sized and duplicate ones, and changed files."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from data_pipelines.folder import ImageError, read_ahead
from data_pipelines.image_folder import SPLITS, elsewhere
from data_pipelines.manifest import FILE, read_manifest
from data_pipelines.prepare import checksum
from data_pipelines.source import FolderSource, PreparedSource, Source, is_prepared, open_split, stored_splits
from data_pipelines.transforms import to_rgb

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class CheckReport:
    """Findings; pictures are called `split/name`.

    pictures: how many each split has. usual_size: the size of more than half of the pictures, if there is one. unreadable:
    name and reason. odd_sized: pictures of another size; in a data set of square pictures also those that are not square.
    duplicates: groups of pictures with equal pixels, across splits too. changed: files that are not as they were prepared.
    """

    path: Path
    pictures: dict[str, int]
    usual_size: Size | None
    unreadable: list[tuple[str, str]]
    odd_sized: list[tuple[str, Size]]
    duplicates: list[list[str]]
    changed: list[str]

    @property
    def fine(self) -> bool:
        """Whether nothing was found."""
        return not (self.unreadable or self.odd_sized or self.duplicates or self.changed)

    def text(self) -> str:
        """All findings, one per line."""
        counts = ", ".join(f"{count} in {split}" for split, count in self.pictures.items())
        size = f"{self.usual_size[0]} x {self.usual_size[1]}" if self.usual_size else "varied sizes"
        return "\n".join(
            [
                f"{self.path}: pictures: {counts}; {size}",
                *(f"changed: {problem}" for problem in self.changed),
                *(f"unreadable: {name}: {reason}" for name, reason in self.unreadable),
                *(f"odd size: {name}: {width} x {height}" for name, (width, height) in self.odd_sized),
                *(f"duplicates: {', '.join(group)}" for group in self.duplicates),
                "all fine"
                if self.fine
                else f"found: {len(self.unreadable)} unreadable, {len(self.odd_sized)} of odd size, "
                f"{len(self.duplicates)} groups of duplicates, {len(self.changed)} changed splits",
            ]
        )


def check(path: Path, *, workers: int = 2, progress: bool = True) -> CheckReport:
    """Read every picture of a prepared data set (all splits, and their checksums) or of a folder.

    Of pairs both pictures must be readable; sizes and duplicates are those of the targets. Pictures of a folder that are in none
    of its splits count as a further one, `elsewhere`.

    Raises:
      ImageError: there are no pictures, pairs lack partners, or a prepared data set cannot be opened at all.
    """
    changed: list[str] = []
    square = False
    splits: dict[str, Source] = {}
    if is_prepared(path):
        manifest = read_manifest(path)
        square = manifest.square
        changed += [f"{split}: is not in {FILE}" for split in stored_splits(path) if split not in manifest.splits]
        for split, record in manifest.splits.items():
            source = splits[split] = PreparedSource(path, split)
            try:
                if checksum(source, f"checksum {split}", progress) != record:
                    changed.append(f"{split}: names or files are not those that were prepared (checksum)")
            except ImageError as error:
                changed.append(f"{split}: {error}")
    else:
        found: list[Literal["train", "test"]] = [split for split in SPLITS if (path / split).is_dir()]
        splits = {split: open_split(path, split) for split in found or SPLITS[:1]}
        if photos := elsewhere(path):
            splits["elsewhere"] = FolderSource(photos)

    sizes: dict[str, Size] = {}
    same: dict[bytes, list[str]] = defaultdict(list)
    unreadable = []
    for split, source in splits.items():
        for name, result in _look(split, source, workers, progress):
            label = f"{split}/{name}"
            if isinstance(result, ImageError):
                unreadable.append((label, str(result)))
            else:
                sizes[label], content = result
                same[content].append(label)
    usual, count = Counter(sizes.values()).most_common(1)[0] if sizes else ((0, 0), 0)
    usual_size = usual if 2 * count > len(sizes) else None
    odd = [
        (name, size)
        for name, size in sizes.items()
        if (usual_size and size != usual_size) or (square and size[0] != size[1])
    ]
    duplicates = [names for names in same.values() if len(names) > 1]
    counts = {split: len(source) for split, source in splits.items()}
    return CheckReport(path, counts, usual_size, unreadable, odd, duplicates, changed)


def _look(
    split: str, source: Source, workers: int, progress: bool
) -> Iterator[tuple[str, tuple[Size, bytes] | ImageError]]:
    def look(index: int) -> tuple[str, tuple[Size, bytes] | ImageError]:
        try:
            source_picture, picture = source.open(index)
            if source.paired:
                to_rgb(source_picture)
        except ImageError as error:
            return source.name(index), error
        except ValueError as error:
            return source.name(index), ImageError(f"{source.name(index)} (source): cannot be converted ({error}).")
        content = hashlib.blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=16).digest()
        return source.name(index), (picture.size, content)

    looked = read_ahead(look, range(len(source)), workers=workers, ahead=4 * workers)
    yield from tqdm(looked, f"check {split}", len(source), unit=" pictures", disable=None if progress else True)
