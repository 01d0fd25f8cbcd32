"""The folder of a run: one run at a time in it, whose processes share it, and nothing of others lost."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from restyle_jax.checkpoints.config_file import CONFIG
from restyle_jax.checkpoints.native import WEIGHTS
from restyle_jax.convert.writing import SCRATCH
from restyle_jax.train import distributed
from restyle_jax.train.agreement import IDENTITY
from restyle_jax.train.errors import TrainingError

_OVERWRITTEN = ("config.json", "parameters.txt", "metrics.jsonl")
_VISIBLE_SECONDS = 5  # after which what one host has written on a shared file system should be there for all


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Make the folder and hold it; the lock ends with the process, however that ends.

    Raises TrainingError naming the process that holds it already, if the folder cannot be made, or if the processes of the run
    do not share it.
    """
    held: list[int] = []
    holder = f"process {os.getpid()} on {socket.gethostname()} since {datetime.datetime.now().isoformat()}"

    def take() -> None:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held.append(os.open(workdir / ".lock", os.O_RDWR | os.O_CREAT, 0o644))
            fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES) and held:
                other = os.pread(held[0], 500, 0).decode(errors="replace") or "another process"
                raise TrainingError(
                    f"{workdir}: another run is active in this folder ({other}). Wait until it ends, stop it, or choose another "
                    "--workdir."
                ) from error
            raise _unusable(workdir, error.strerror) from error
        os.ftruncate(held[0], 0)
        os.pwrite(held[0], holder.encode(), 0)
        os.fsync(held[0])  # for the other hosts

    try:
        distributed.together(take)
        if jax.process_count() > 1:
            _check_shared(workdir, distributed.gathered(holder)[0])
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _check_shared(workdir: Path, holder: str) -> None:
    """Raises TrainingError, in every process, unless each finds that `holder` has the lock of its folder."""

    def found() -> bool:
        try:
            return (workdir / ".lock").read_text(encoding="utf-8", errors="replace") == holder
        except OSError:
            return False

    end = time.monotonic() + _VISIBLE_SECONDS
    while not (same := found()) and time.monotonic() < end:
        time.sleep(0.1)
    apart = [str(number) for number, seen in enumerate(distributed.gathered(same)) if not seen]
    if apart:
        raise TrainingError(
            f"{workdir}: process 0 holds this folder, but process {', '.join(apart)} found another one, or none, in its place. "
            "Expected one folder that all processes of the run share, such as one on a network file system; choose another "
            "--workdir."
        )


def refuse_unusable(workdir: Path) -> None:
    """Raises TrainingError if a folder for a run cannot be made here, or cannot be written; nothing is changed."""
    place = next(path for path in (workdir, *workdir.parents) if path.exists())
    if not place.is_dir():
        raise _unusable(workdir, f"{place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise _unusable(workdir, f"{place} is not writable")


def _unusable(workdir: Path, reason: str | None) -> TrainingError:
    return TrainingError(
        f"{workdir}: cannot be used as the folder of a run ({reason}). It must be writable, on a file system that can lock files; "
        "choose another --workdir."
    )


def saved_steps(checkpoints: Path) -> list[int]:
    """Steps of the finished checkpoints in a folder, ascending; none if there is no such folder."""
    return sorted(int(path.name) for path in checkpoints.glob("*") if path.name.isdecimal())


def refuse_others(workdir: Path, resume: str) -> None:
    """Raises TrainingError if the folder holds checkpoints that shall not be continued (`resume` as `loop.fit` has it); or if one
    without checkpoints holds files that no run has written and that one would replace, or that would keep it from saving."""
    checkpoints = workdir / "checkpoints"
    if saved_steps(checkpoints):
        if resume == "never":
            raise TrainingError(
                f"{workdir}: holds an earlier run. Choose another --workdir, or --resume auto to continue it."
            )
        return
    models = [workdir / name for name in ("best", "latest")]
    foreign = [path for path in (checkpoints, *models) if path.exists() and not path.is_dir()]
    foreign += [
        path for model in models if model.is_dir() for path in model.iterdir() if path.name not in (CONFIG, WEIGHTS)
    ]
    if not _of_a_run(workdir / "config.json"):  # which a run writes first
        foreign += [path for name in _OVERWRITTEN if (path := workdir / name).exists()]
    if foreign:
        raise TrainingError(
            f"{workdir}: found {', '.join(str(path.relative_to(workdir)) for path in foreign[:5])}, which no training run has "
            "written. Expected a new or empty folder, or that of a run; nothing was changed. Choose another --workdir."
        )


def _of_a_run(file: Path) -> bool:
    """Whether this is the config.json of a training run."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= IDENTITY


def remove_unfinished(workdir: Path) -> None:
    """Remove models that a killed process had begun to publish in the folder of a run."""
    for scratch in workdir.glob(f"{SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)  # room, no more


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` (no space, no permission) into a TrainingError."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror or error}). The checkpoints are intact: make room or give access, then "
            "run the same command again."
        ) from error


def replace_text(path: Path, text: str) -> None:
    """Write a file that is there completely or not at all. Raises TrainingError if it cannot be written."""
    scratch = path.with_name(f".{path.name}")
    with writing(path):
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
