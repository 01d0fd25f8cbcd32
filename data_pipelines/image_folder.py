"""Folders of pictures, and of pairs of pictures (pSp's image-to-image tasks)."""

from functools import partial
from pathlib import Path
from typing import Literal

from data_pipelines.folder import ImageError, Photo, list_photos, read_bytes
from data_pipelines.layout import Encoded, Layout, Split, hashed_splits, photos_in, require_folder, split_of

EXPECTED = (
    "train/ and test/ with pictures anywhere inside them (or, for pairs, with source/ and target/ in each, whose files have "
    "equal names), or a plain folder of pictures, of which some are made the test split"
)
SPLITS: tuple[Literal["train"], Literal["test"]] = ("train", "test")


def layout(source: Path) -> Layout:
    """Splits `train` and `test` if the folder has them (test may be missing), else by `layout.in_test_share`.

    Raises:
      ImageError: no pictures; pairs without partners; only one of the two splits has pairs.
    """
    require_folder(source)
    folders = [name for name in SPLITS if (source / name).is_dir()]
    if not folders:
        if has_pairs(source):
            raise ImageError(f"{source}: has pairs but no train/. Expected {EXPECTED}.")
        splits, note = hashed_splits(photos_in(source))
        return Layout(splits, notes=[note])
    if folders == ["test"]:
        raise ImageError(f"{source}: has test/ but no train/. Expected {EXPECTED}.")
    paired = {name: has_pairs(source / name) for name in folders}
    if len(set(paired.values())) > 1:
        raise ImageError(f"{source}: only one of train/ and test/ has source/ and target/ inside. Expected {EXPECTED}.")
    left = elsewhere(source)
    notes = [f"{len(left)} pictures are in no split and left out, such as {left[0].name}"] if left else []
    if not paired["train"]:
        return Layout({name: split_of(photos_in(source / name)) for name in folders}, notes=notes)
    splits = {}
    for name in folders:
        pairs = list_pairs(source / name)
        splits[name] = Split(len(pairs), [(target.name, partial(_read_pair, pair, target)) for pair, target in pairs])
    return Layout(splits, paired=True, notes=notes)


def _read_pair(source: Photo, target: Photo) -> Encoded:
    return {"source": read_bytes(source.path), "image": read_bytes(target.path)}


def elsewhere(folder: Path) -> list[Photo]:
    """The photos of a folder that are in no split: beside `train/` and `test/`, or of pairs beside `source/` and `target/`."""
    splits = [f"{name}/" for name in SPLITS if (folder / name).is_dir()] or [""]
    used = tuple(
        split + part for split in splits for part in (("source/", "target/") if has_pairs(folder / split) else ("",))
    )
    try:
        photos = list_photos([folder])
    except ImageError:  # links to folders are not followed, and there is nothing else
        return []
    return [photo for photo in photos if not photo.name.startswith(used)]


def has_pairs(folder: Path) -> bool:
    """Whether a folder holds pairs: sub-folders `source` and `target`."""
    return (folder / "source").is_dir() and (folder / "target").is_dir()


def list_pairs(folder: Path) -> list[tuple[Photo, Photo]]:
    """(source, target) photos under `source/` and `target/` with equal paths but for the extension, sorted.

    The official code pairs by rank and does not notice a missing file.

    Raises:
      ImageError: photos without a partner, or two files that differ only in the extension.
    """
    sides = {}
    for side in ("source", "target"):
        photos = photos_in(folder / side)
        by_stem = {str(Path(photo.name).with_suffix("")): photo for photo in photos}
        if len(by_stem) < len(photos):
            twice = next(p for p in photos if by_stem[str(Path(p.name).with_suffix(""))] is not p)
            raise ImageError(
                f"{twice.path}: there is another file of this name with another extension. Remove one of them."
            )
        sides[side] = by_stem
    for side, other in (("source", "target"), ("target", "source")):
        alone = [photo.name for stem, photo in sides[side].items() if stem not in sides[other]]
        if alone:
            shown = ", ".join(alone[:5]) + (" ..." if len(alone) > 5 else "")
            raise ImageError(
                f"{folder / side}: {len(alone)} of {len(sides[side])} files have no partner in {folder / other}: {shown}. "
                "Files that belong together have the same path and name in both folders; extensions may differ."
            )
    return [(photo, sides["target"][stem]) for stem, photo in sides["source"].items()]
