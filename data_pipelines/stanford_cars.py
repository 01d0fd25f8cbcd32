"""Stanford Cars, 8,144 training and 8,041 test photos of varied sizes (Krause et al., 2013)."""

from pathlib import Path

from data_pipelines.layout import Layout, photos_in, published_size_note, split_of

EXPECTED = "cars_train/ and cars_test/, with the .jpg files of the download anywhere inside them"
PUBLISHED = {"train": 8_144, "test": 8_041}


def layout(source: Path) -> Layout:
    """Splits `train` and `test`, as downloaded. The pictures are resized, not cropped, when they are read (192 x 256).

    Raises:
      ImageError: a folder is missing or empty.
    """
    photos = {split: photos_in(source / f"cars_{split}") for split in PUBLISHED}
    notes = [note for split, size in PUBLISHED.items() for note in published_size_note(split, len(photos[split]), size)]
    return Layout({split: split_of(found) for split, found in photos.items()}, notes=notes)
