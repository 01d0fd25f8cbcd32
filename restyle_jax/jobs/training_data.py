"""What tells the pictures of a run from any others, wherever they lie."""

import hashlib
from pathlib import Path

from data_pipelines.avatars import AvatarSource
from data_pipelines.manifest import read_manifest
from data_pipelines.source import Source, is_prepared

FIRST = 16  # avatars that stand for all


def fingerprint(folder: Path | None, source: Source) -> str:
    """The training pictures in a few words: the checksum of a prepared data set, or a hash of the names in a folder; for
    avatars of the first pictures, as they change with the code that draws them."""
    if isinstance(source, AvatarSource):
        first = b"".join(source.open(index)[0].tobytes() for index in range(min(FIRST, len(source))))
        return f"{len(source)} avatars, sha256 of the first {hashlib.sha256(first).hexdigest()}"
    if folder is not None and is_prepared(folder):
        record = read_manifest(folder).splits["train"]
        return f"{record.pictures} pictures, sha256 {record.sha256}"
    names = hashlib.sha256("\n".join(source.name(index) for index in range(len(source))).encode())
    return f"{len(source)} pictures, sha256 of their names {names.hexdigest()}"
