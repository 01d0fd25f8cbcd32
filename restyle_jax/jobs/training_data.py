"""The pictures of a run: what tells them from any others, wherever they lie, and their classes."""

import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np

from data_pipelines.avatars import AvatarSource
from data_pipelines.folder import ImageError
from data_pipelines.manifest import read_manifest
from data_pipelines.source import Source, is_prepared, picture_folder
from restyle_jax.train.config import Run
from restyle_jax.train.errors import TrainingError

FIRST = 16  # avatars that stand for all
SHOWN = 5  # names in a message


def fingerprint(folder: Path | None, source: Source, split: Literal["train", "test"] = "train") -> str:
    """The pictures of a split in a few words: the checksum of a prepared data set, or a hash of the names in a folder; for
    avatars of the first pictures, as they change with the code that draws them."""
    if isinstance(source, AvatarSource):
        first = b"".join(source.open(index)[0].tobytes() for index in range(min(FIRST, len(source))))
        return f"{len(source)} avatars, sha256 of the first {hashlib.sha256(first).hexdigest()}"
    if folder is not None and is_prepared(folder):
        record = read_manifest(folder).splits[split]
        return f"{record.pictures} pictures, sha256 {record.sha256}"
    names = hashlib.sha256("\n".join(source.name(index) for index in range(len(source))).encode())
    return f"{len(source)} pictures, sha256 of their names {names.hexdigest()}"


def refuse_among_pictures(workdir: Path, config: Run) -> None:
    """Raises TrainingError if the folder of a run lies where its pictures are searched: the sheets that it writes would be some."""
    folders = {"train": config.data, "test": config.test_data or config.data}
    for split, folder in folders.items():
        if folder is None or not folder.is_dir() or is_prepared(folder):
            continue
        searched = picture_folder(folder, split)
        if split == "test" and config.test_data is None and searched == folder:
            continue  # there is no test split
        if workdir.resolve().is_relative_to(searched.resolve()):
            raise TrainingError(
                f"{workdir}: lies in {searched}, whose pictures are read for this run, so that the pictures which it writes would "
                "become some of them. Choose another --workdir."
            )


def read_labels(file: Path, source: Source) -> np.ndarray:
    """The class of each picture of a source, int32[N], from a JSON file {"labels": [[name, class], ...]}.

    Raises TrainingError if the file is none, a class is no number from 0 on, or a picture has none, or two, or is damaged.
    """
    try:
        entries = [(str(name), label) for name, label in json.loads(file.read_text(encoding="utf-8"))["labels"]]
        classes = dict(entries)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TrainingError(
            f"{file}: found no labels ({error or type(error).__name__}), expected JSON like "
            '{"labels": [["00000/img00000000.png", 3], ...]}, as the dataset.json of stylegan2-ada-pytorch.'
        ) from error
    wrong = [name for name, label in classes.items() if type(label) is not int or not 0 <= label < len(classes)]
    if wrong:
        raise TrainingError(
            f"{file}: found class {classes[wrong[0]]!r} for {wrong[0]}, expected whole numbers from 0 to below the number of "
            "pictures."
        )
    for name, label in entries:
        if label != classes[name]:
            raise TrainingError(
                f"{file}: found {name} with class {label} and with class {classes[name]}, expected one class for each picture. "
                "Remove the wrong one."
            )
    names = [source.name(index) for index in range(len(source))]
    absent = [index for index, name in enumerate(names) if name not in classes]
    if absent:
        first = absent[:SHOWN]
        try:  # the name of a damaged record cannot be read
            for index in first:
                source.head(index)
        except ImageError as error:
            raise TrainingError(str(error)) from error
        raise TrainingError(
            f"{file}: {len(absent)} of {len(names)} pictures have no label, such as {', '.join(names[i] for i in first)}; "
            f"the file has {len(classes)} names, such as {', '.join([*classes][:SHOWN])}. "
            "Names are relative to the folder of the pictures."
        )
    return np.array([classes[name] for name in names], np.int32)
