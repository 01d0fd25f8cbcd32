"""FFHQ, 70,000 aligned faces of 1024 x 1024 pixels (Karras et al., 2019; github.com/NVlabs/ffhq-dataset)."""

from pathlib import Path

from data_pipelines.layout import Layout, find_folder, photos_in, published_size_note, split_of

EXPECTED = (
    "the folder images1024x1024/ of the download with 00000.png ... 69999.png, in sub-folders or not, or its parent. "
    "All are training pictures; CelebA-HQ is the usual test set (--test-data)"
)


def layout(source: Path) -> Layout:
    """The training split: every picture under `images1024x1024`, as published for inversion. There is no test split.

    Raises:
      ImageError: the folder is missing or empty.
    """
    photos = photos_in(find_folder(source, ["images1024x1024"], EXPECTED))
    return Layout({"train": split_of(photos)}, square=True, notes=published_size_note("train", len(photos), 70_000))
