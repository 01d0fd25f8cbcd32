"""What makes a run this run: whether one continues another, and whether its processes were started alike."""

import dataclasses
import importlib.metadata
import json
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

import restyle_jax
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

_VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")


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
