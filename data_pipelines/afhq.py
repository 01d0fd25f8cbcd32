"""AFHQ Wild, animal faces of 512 x 512 pixels (Choi et al., 2020; github.com/clovaai/stargan-v2)."""

from pathlib import Path

from data_pipelines.layout import Layout, find_folder, photos_in, published_size_note, split_of

EXPECTED = "train/wild/ and val/wild/ (first version of AFHQ) or test/wild/ (second version)"
PUBLISHED = {"train": 4_738, "test": 500}


def layout(source: Path) -> Layout:
    """Splits `train` and `test`, as downloaded.

    Raises:
      ImageError: a folder is missing or empty.
    """
    folders = {
        "train": find_folder(source, ["train/wild"], EXPECTED),
        "test": find_folder(source, ["val/wild", "test/wild"], EXPECTED),
    }
    photos = {split: photos_in(folder) for split, folder in folders.items()}
    notes = [note for split, size in PUBLISHED.items() for note in published_size_note(split, len(photos[split]), size)]
    return Layout({split: split_of(found) for split, found in photos.items()}, square=True, notes=notes)
