"""Files and folders that appear complete or not at all, and leave what was there if that fails."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from restyle_jax.convert.errors import CheckpointError

# Short, because a file system that takes the name of a file or directory must also take this one with a random end.
SCRATCH = ".restyle-"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`; turn a failure to write it (no space, no permission) into a CheckpointError, and leave no folder
    behind that was not there."""
    absent = [folder for folder in path.parents if not os.path.exists(folder)]
    try:
        with _removed_if_it_fails(absent):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield
    except (OSError, SafetensorError) as error:
        free = shutil.disk_usage(_existing(path.parent)).free
        raise CheckpointError.explain(
            path,
            found=f"that it cannot be written ({error})",
            expected="a writable place with enough free space",
            remedy=f"free some space (there are {free / 1e9:.1f} GB) or choose another place; nothing was left behind",
        ) from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The name of a new file to write, which then stands in place of `path`. Raises CheckpointError as `writing`."""
    with writing(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=SCRATCH) as scratch:
        fresh = Path(scratch) / "new"
        yield fresh
        fresh.replace(path)


@contextlib.contextmanager
def _removed_if_it_fails(folders: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for folder in folders:
            with contextlib.suppress(OSError):  # absent, or somebody else's meanwhile
                folder.rmdir()
        raise


def _existing(directory: Path) -> Path:
    return directory if os.path.exists(directory) else _existing(directory.parent)


@contextlib.contextmanager
def whole_folder(directory: Path, *, last: str) -> Iterator[Path]:
    """A new folder to fill with files, which then stands in place of `directory`; if that fails, what was there stays.

    last: the file that comes last where `directory` is empty: such a one stays and is filled, because nobody can move a mount
    point, or where the command was started. Raises CheckpointError where one of these would have to be replaced.
    """
    empty = directory.exists() and not any(directory.iterdir())
    if directory.exists() and not empty and (os.path.ismount(directory) or os.path.samefile(directory, os.curdir)):
        raise CheckpointError.explain(
            directory,
            found="a checkpoint in the current folder or a mount point",
            expected="a folder that can be replaced as a whole",
            remedy="remove the checkpoint first, or name another folder",
        )
    with tempfile.TemporaryDirectory(dir=directory if empty else directory.parent, prefix=SCRATCH) as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        yield fresh
        if empty:
            _move_into(directory, fresh, last)
        else:
            _replace(directory, fresh, Path(scratch) / "old")


def _move_into(directory: Path, fresh: Path, last: str) -> None:
    """All files into an empty directory, or none."""
    names = sorted((part.name for part in fresh.iterdir()), key=lambda name: name == last)
    try:
        for name in names:
            (fresh / name).rename(directory / name)
    except BaseException:
        for name in names:
            (directory / name).unlink(missing_ok=True)
        raise


def _replace(directory: Path, fresh: Path, old: Path) -> None:
    """Put `fresh` where `directory` is, which is moved to `old` and back if that fails."""
    try:
        if directory.exists():
            directory.rename(old)
        fresh.rename(directory)
    except BaseException:
        if old.exists() and not os.path.lexists(directory):
            old.rename(directory)
        raise
