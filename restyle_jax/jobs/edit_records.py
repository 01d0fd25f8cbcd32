"""What an editing job has finished so far: one file for each photo, whose appearance makes it count."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_pipelines.npz import UNREADABLE, load_archive
from restyle_jax.jobs.outputs import OutputError, OutputFolder


@dataclass(frozen=True)
class Edited:
    """One finished photo.

    name: the photo's. output: the name of its pictures. checksum: of what was edited. values: {judge: f32[1 + n, attributes]}
    before and after each of n edits, as lists. identity: n similarities, if they were measured. files: all its pictures in the
    output folder.
    """

    name: str
    output: str
    checksum: int
    values: Mapping[str, list[list[float]]]
    identity: list[float] | None
    files: Sequence[str] = ()


class EditRecords:
    """The finished photos of an output folder, by name. One whose record is damaged does not count as finished."""

    def __init__(self, folder: OutputFolder):
        self._folder = folder
        self.edited: dict[str, Edited] = {}
        self._files: dict[str, Path] = {}
        for path in sorted(self._place.glob("*.npz")):
            try:
                with load_archive(path) as file:
                    edited = Edited(**json.loads(str(file["about"])))
            except UNREADABLE:
                continue
            self._add(path, edited)

    @property
    def _place(self) -> Path:
        return self._folder.work / "edited"

    def _add(self, path: Path, edited: Edited) -> None:
        self.edited[edited.name] = edited
        self._files[edited.name] = path

    def is_whole(self, name: str) -> bool:
        """Whether the photo is finished and none of its pictures has been removed since."""
        return name in self.edited and all(
            self._folder.place(PurePosixPath(file)).exists() for file in self.edited[name].files
        )

    def commit(self, edited: Edited, codes: np.ndarray) -> None:
        """Record a finished photo, again perhaps, and its edited codes f32[n, ...]."""
        path = self._files.get(edited.name)
        if path is None:
            number = len(self.edited)
            while (path := self._place / f"{number:08d}.npz").exists():
                number += 1
        with self._folder.writing_npz(path) as add:
            add("about", np.array(json.dumps(asdict(edited))))
            add("codes", codes)
        self._add(path, edited)

    def codes(self, name: str) -> np.ndarray:
        """The edited codes of a finished photo. Raises OutputError if they are damaged."""
        try:
            with load_archive(self._files[name]) as file:
                return file["codes"]
        except UNREADABLE as error:
            raise OutputError(
                f"{self._files[name]}: the codes of {name} are damaged ({error}). Remove this file and run the same command again."
            ) from error
