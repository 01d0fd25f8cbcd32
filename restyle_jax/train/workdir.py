"""The folder of a run: one run at a time in it, and only the run that it was made for."""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import importlib.metadata
import json
import os
import socket
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import restyle_jax
from restyle_jax.checkpoints.config_file import CONFIG
from restyle_jax.checkpoints.native import WEIGHTS
from restyle_jax.train import distributed
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.sharding import is_key
from restyle_jax.train.task import Frozen

FREE = frozenset(
    (
        *("max_steps", "log_every", "image_every", "eval_every", "save_every"),
        *("keep", "workers", "test_batch_size", "max_unreadable"),
    )
)
"""Fields that may change when a run is continued. Paths may change too: what they hold is compared instead."""

_OF_A_HOST = frozenset(("workers",))
"""Fields that may differ among the processes of a run."""

IDENTITY = frozenset(("config", "frozen", "data", "versions"))
"""What `identity` has said in every version."""

_OVERWRITTEN = ("config.json", "parameters.txt", "metrics.jsonl")
_VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
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


def identity(
    config: Any, frozen: Frozen, fingerprint: str, scorer: Any = None, test_fingerprint: str | None = None
) -> dict[str, Any]:
    """What makes a run this run, as JSON: configuration, checksums of the frozen networks and of that which scores, training
    and test data, versions."""
    return {
        "config": {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)},
        "frozen": _checksum({name: part for name, part in frozen.items() if name != "derived"}),
        "scorer": _checksum(scorer),
        "data": fingerprint,
        "test_data": test_fingerprint,
        "versions": {
            "restyle_jax": restyle_jax.__version__,
            **{name: importlib.metadata.version(name) for name in _VERSIONS},
        },
    }


def defaults(config: Any) -> dict[str, Any]:
    """The fields of a configuration that have a default, as JSON."""
    fields = (field for field in dataclasses.fields(config) if field.default is not dataclasses.MISSING)
    return {field.name: _plain(field.default) for field in fields}


def check_same(
    saved: Mapping[str, Any],
    current: Mapping[str, Any],
    defaults: Mapping[str, Any],
    workdir: Path,
    say: Callable[[str], None],
) -> None:
    """Raises TrainingError that lists how the run in `workdir` differs from the one that wants to continue it.

    defaults: what an earlier version did where it had no such field yet.
    """
    earlier = {"scorer": current["scorer"], "test_data": current["test_data"]}  # some versions did not record them
    saved = {**earlier, **saved, "config": {**defaults, **saved["config"]}}
    if differences := _differences(saved, current, FREE, "in the folder", "now"):
        raise TrainingError(
            f"{workdir}: holds a run with another configuration:\n  "
            + "\n  ".join(differences)
            + "\nGive the same options to "
            "continue it, or another --workdir for a new run. "
            f"What may change: {', '.join(sorted(FREE))}, and where files lie."
        )
    for name, version in saved["versions"].items():
        if current["versions"].get(name) != version:
            say(
                f"{name} was {version}, now it is {current['versions'].get(name)}: results may differ in their last digits"
            )


def check_alike(own: Mapping[str, Any], resume: str) -> None:
    """Raises TrainingError, in every process, that lists how the processes of a run differ from the first one.

    own: what `identity` says in this process, which every process has to ask. resume: as `loop.fit` has it.
    """
    first, *others = distributed.gathered({**own, "config": {**own["config"], "resume": resume}})
    for number, other in enumerate(others, 1):
        places = "in process 0", f"in process {number}"
        found = _differences(first, other, _OF_A_HOST, *places)
        found += [
            f"{name}: {version} {places[0]}, {other['versions'][name]} {places[1]}"
            for name, version in first["versions"].items()
            if other["versions"][name] != version
        ]
        if found:
            raise TrainingError(
                "the processes of this run do not agree:\n  "
                + "\n  ".join(found)
                + "\nStart the same command on all hosts, with the same versions and the same data; where files lie may differ. "
                "Nothing was changed."
            )


def _differences(
    one: Mapping[str, Any], other: Mapping[str, Any], ignored: Collection[str], here: str, there: str
) -> list[str]:
    """Sentences that say what two results of `identity` do not have in common, but for `ignored` fields, paths and versions."""
    old, new = one["config"], other["config"]
    found = []
    for name in sorted((old.keys() | new.keys()).difference(ignored)):
        before, now = (_shown(config[name]) if name in config else "(unknown)" for config in (old, new))
        if before != now and not (_is_path(old.get(name)) and _is_path(new.get(name))):
            found.append(f"{name}: {before} {here}, {now} {there}")
    if one["frozen"] != other["frozen"]:
        found.append("what stays as it is in training (generator, networks of the losses, labels) is not the same")
    if one["scorer"] != other["scorer"]:
        found.append("the weights of the network that scores (features) are not the same")
    for key, what in (("data", "training data"), ("test_data", "test data")):
        if one[key] != other[key]:
            found.append(f"{what}: {one[key]} {here}, {other[key]} {there}")
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return {"path": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _is_path(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"path"}


def _shown(value: Any) -> str:
    return value["path"] if _is_path(value) else json.dumps(value)


def _checksum(tree: Any) -> int:
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        total = zlib.crc32(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(array.tobytes(), total)
    return total
