"""CelebA-HQ, 30,000 aligned faces of 1024 x 1024 pixels (Karras et al., 2018), with the partition of CelebA."""

import os
import re
from pathlib import Path

from data_pipelines.folder import ImageError, Photo
from data_pipelines.layout import Layout, find_folder, hashed_splits, photos_in, published_size_note, split_of

PARTITION = "list_eval_partition.txt"
MAPPINGS = ("CelebA-HQ-to-CelebA-mapping.txt", "image_list.txt")
SPLITS = {"0": "train", "1": "validation", "2": "test"}
TEST_PICTURES = 2824
EXPECTED = (
    "CelebA-HQ-img/ with 0.jpg ... 29999.jpg (CelebAMask-HQ), or images/, and beside it, for the published test split of "
    f"{TEST_PICTURES} pictures, {PARTITION} of CelebA and {MAPPINGS[0]} of CelebAMask-HQ (or {MAPPINGS[1]} of CelebA-HQ)"
)


def layout(source: Path) -> Layout:
    """Splits `train`, `validation`, `test` by CelebA's partition of the photo that each picture was made from.

    Without the two files that tell the partition, train and test by `layout.in_test_share`, with a note.

    Raises:
      ImageError: no pictures; a line of the two files cannot be understood; pictures that the files do not know.
    """
    folder = find_folder(source, ["CelebA-HQ-img", "images"], EXPECTED)
    photos = photos_in(folder)
    partition = _beside(folder, (PARTITION,))
    mapping = _beside(folder, MAPPINGS)
    if partition is None or mapping is None:
        splits, note = hashed_splits(photos)
        return Layout(
            splits, square=True, notes=[f"{note}. For the published split put {PARTITION} and {MAPPINGS[0]} beside"]
        )
    split_of_original = {columns[0]: columns[1] for columns in _table(partition, 2)}
    original = {columns[0]: columns[2] for columns in _table(mapping, 3)}
    chosen: dict[str, list[Photo]] = {name: [] for name in SPLITS.values()}
    for photo in photos:
        number = re.search(r"(\d+)$", Path(photo.name).stem)
        code = split_of_original.get(original.get(str(int(number[1])), "")) if number else None
        if code not in SPLITS:
            raise ImageError(
                f"{photo.path}: {mapping.name} and {PARTITION} do not tell which split this picture belongs to. "
                "Expected a file name that ends in the picture's number, such as 123.jpg; remove other pictures."
            )
        chosen[SPLITS[code]].append(photo)
    notes = published_size_note("test", len(chosen["test"]), TEST_PICTURES)
    return Layout({name: split_of(part) for name, part in chosen.items() if part}, square=True, notes=notes)


def _beside(folder: Path, names: tuple[str, ...]) -> Path | None:
    beside = (folder, Path(os.path.abspath(folder)).parent, folder.resolve().parent)  # the folder may be a link
    return next((place / name for place in beside for name in names if (place / name).is_file()), None)


def _table(path: Path, columns: int) -> list[list[str]]:
    """Rows of a text table, without a heading (whose second word is not a number)."""
    rows = [line.split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    rows = [row for row in rows if len(row) > 1 and row[1].isdigit()]
    if not rows or min(len(row) for row in rows) < columns:
        raise ImageError(
            f"{path}: expected lines with at least {columns} columns, as published. Download the file again."
        )
    return rows
