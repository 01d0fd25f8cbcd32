"""Checkpoints of a run: everything that is needed to continue it bit for bit, written by Orbax in the background, each complete
or not there at all."""

import contextlib
import dataclasses
import functools
import itertools
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from restyle_jax.train import distributed
from restyle_jax.train.agreement import IDENTITY
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.sharding import is_key
from restyle_jax.train.workdir import replace_text, saved_steps

Record = dict[str, Any]
"""What is saved as JSON beside the arrays."""

_NEEDED = IDENTITY | {"step", "batches", "best", "averages", "evaluated", "sums"}


@dataclasses.dataclass
class _Keep:
    """Keep the latest checkpoints and the best one."""

    latest: int
    best: int | None = None

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        del context
        newest = {info.step for info in checkpoints[-self.latest :]}
        return [info.step in newest or info.step == self.best for info in checkpoints]


class Checkpoints:
    """The checkpoints in `directory`, by step."""

    def __init__(self, directory: Path, keep: int) -> None:
        """Removes what an earlier process left unfinished."""
        self.directory = directory
        logging.getLogger("absl").setLevel(
            logging.CRITICAL
        )  # Orbax tells every stage of every save, and failures twice
        self._keep = _Keep(max(keep, 1))
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._keep,
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(directory.resolve(), options=options, item_names=("state", "record"))

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, record: Record, best: int | None) -> None:
        """Start writing. best: the step whose checkpoint is never removed.

        Returns as soon as the arrays are on the host. Raises TrainingError if the state is not finite (an earlier good
        checkpoint is worth more), if there is no room for it, or if an earlier save failed.
        """
        if step in self.steps():
            return
        self._keep.best = best
        sums = self.checksums(step, state)
        arrays = _without_keys(state)
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)), shutil.disk_usage(self.directory).free
        if distributed.any_process(free < needed):  # before Orbax's threads fail, each with a traceback
            raise TrainingError(
                f"{self.directory}: a checkpoint cannot be written (it needs {needed:,} bytes, {free:,} are free). Make room, then "
                f"run the same command again; {self.kept()}."
            )
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays),
            record=ocp.args.JsonSave({**record, "sums": sums}),
        )
        self._writing(functools.partial(self._manager.save, step, args=items))

    def checksums(self, step: int, state: Any) -> list[int]:
        """One for each array of the state after a step. Raises TrainingError if the state is not finite."""
        finite, sums = jax.device_get(_examine(state))
        names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
        broken = [name for name, good in zip(names, finite, strict=True) if not good]
        if broken:
            raise TrainingError(
                f"after step {step} these arrays are not finite: {_some(broken)}. Nothing was saved for this step; "
                f"{self.kept()}."
            )
        return [int(value) for value in sums]

    def amend(self, step: int, changes: Record) -> None:
        """Replace entries of the record of a finished checkpoint."""

        def write() -> None:
            replace_text(_record(self.directory, step), json.dumps({**_read_record(self.directory, step), **changes}))

        distributed.together(write)

    def check(self) -> None:
        """Raises TrainingError if writing in the background has failed."""
        self._writing(self._manager.check_for_errors)

    def wait(self) -> None:
        """Until everything is written. Raises TrainingError if that fails."""
        self._writing(self._manager.wait_until_finished)

    def kept(self) -> str:
        """A sentence that says what there is to continue from, once everything is written."""
        self.wait()
        return self._earlier()

    def close(self) -> None:
        """Waits, and frees what Orbax holds."""
        self._writing(self._manager.close)

    def restore_latest(
        self, target: Any, accept: Callable[[Record], None], say: Callable[[str], None]
    ) -> tuple[Any, Record] | None:
        """The state and record of the latest checkpoint that is undamaged, or None if there are no checkpoints.

        target: pytree of ShapeDtypeStruct with shardings, which may be on any number of devices.
        accept: raises if the record is of another run. Damaged checkpoints are reported and moved aside.

        Raises TrainingError if none can be read, or if one is of other networks; then nothing is moved.
        """
        damaged: dict[int, str] = {}
        for step in reversed(self.steps()):
            state, record, problem = None, {}, ""
            try:
                record = _read_record(self.directory, step)
            except Exception as error:  # whatever a damaged file makes the libraries raise
                problem = _short(error)
            else:
                accept(record)
                try:
                    state = self._read_state(step, target, record)
                except TrainingError:
                    raise
                except Exception as error:
                    problem = _short(error)
            if not distributed.any_process(bool(problem)):
                for later, reason in damaged.items():
                    folder, aside = self.directory / str(later), _free(self.directory.parent / "damaged" / str(later))
                    distributed.together(functools.partial(_move, folder, aside))
                    say(f"the checkpoint of step {later} is damaged ({reason}); it was moved to {aside}")
                self._manager.reload()
                return state, record
            damaged[step] = problem or "another process could not read it"
        if damaged:
            reasons = "\n  ".join(f"step {step}: {reason}" for step, reason in damaged.items())
            raise TrainingError(
                f"{self.directory}: no checkpoint can be read.\n  {reasons}\nNothing was changed. Put a good copy there, or start "
                "a new run in another folder."
            )
        return None

    def _read_state(self, step: int, target: Any, record: Record) -> Any:
        found, expected = len(record["sums"]), len(jax.tree.leaves(target))
        if found != expected:
            raise TrainingError(
                f"{self.directory}: the checkpoint of step {step} has {found} arrays, expected the {expected} that this version of "
                "restyle_jax trains with these settings. Continue the run with the version that began it, or start a new one in "
                "another folder."
            )
        items = ocp.args.Composite(state=ocp.args.StandardRestore(_without_keys(target)))
        restored = self._manager.restore(step, args=items)["state"]
        state = jax.tree.map(_with_key, target, restored)
        sums = [int(value) for value in jax.device_get(_examine(state))[1]]
        if sums != record["sums"]:
            raise ValueError("the arrays do not have the checksums that they were saved with")
        return state

    def _writing(self, action: Callable[[], object]) -> None:
        try:
            action()
        except TrainingError:
            raise
        except Exception as error:  # Orbax and TensorStore have many kinds
            raise TrainingError(
                f"{self.directory}: a checkpoint cannot be written ({_short(error)}). Make room or give access, then run the same "
                f"command again; {self._earlier()}."
            ) from error

    def _earlier(self) -> str:
        steps = saved_steps(self.directory)
        return f"the checkpoint of step {steps[-1]} is kept" if steps else "there is no earlier checkpoint"


def latest_record(directory: Path) -> Record | None:
    """The record of the latest checkpoint in a folder that has an undamaged one; nothing is changed."""
    for step in reversed(saved_steps(directory)):
        with contextlib.suppress(Exception):  # whatever a damaged file makes the libraries raise
            return _read_record(directory, step)
    return None


def _record(directory: Path, step: int) -> Path:
    return directory / str(step) / "record" / "metadata"


def _read_record(directory: Path, step: int) -> Record:
    record = json.loads(_record(directory, step).read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("step") != step:
        raise ValueError(f"the record is not that of step {step}")
    if absent := sorted(_NEEDED - record.keys()):
        raise ValueError(f"the record has no {', '.join(absent)}")
    return record


def _without_keys(tree: Any) -> Any:
    """Typed keys as the words that they consist of, with the same sharding."""

    def words(leaf: Any) -> Any:
        if not is_key(leaf):
            return leaf
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.random.key_data(leaf)
        data = jax.eval_shape(jax.random.key_data, leaf)
        return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=leaf.sharding)

    return jax.tree.map(words, tree)


def _with_key(target: Any, leaf: Any) -> Any:
    if not is_key(target):
        return leaf
    kinds: list[Any] = []
    jax.eval_shape(lambda key: kinds.append(jax.random.key_impl(key)), target)  # key_impl takes no ShapeDtypeStruct
    return jax.random.wrap_key_data(leaf, impl=kinds[0])


@jax.jit
def _examine(state: Any) -> tuple[list[jax.Array], list[jax.Array]]:
    """For every leaf whether it is finite, and a checksum of its bits that any changed element changes; on any devices."""

    def finite(leaf: jax.Array) -> jax.Array:
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.isfinite(leaf).all() if inexact else jnp.bool(True)

    def checksum(leaf: jax.Array) -> jax.Array:
        bits = leaf
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            bits = jax.lax.bitcast_convert_type(leaf, np.dtype(f"uint{8 * leaf.dtype.itemsize}"))
        bits = bits.ravel().astype(jnp.uint32)
        return (bits * (2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1)).sum(dtype=jnp.uint32)

    leaves = jax.tree.leaves(_without_keys(state))
    return [finite(leaf) for leaf in leaves], [checksum(leaf) for leaf in leaves]


def _free(path: Path) -> Path:
    """The path, or with a number behind it the first that does not exist."""
    names = itertools.chain([path], (path.with_suffix(f".{number}") for number in itertools.count(1)))
    return next(name for name in names if not name.exists())


def _move(folder: Path, aside: Path) -> None:
    try:
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
    except OSError as error:
        raise TrainingError(
            f"{folder}: this checkpoint is damaged, and cannot be moved to {aside} ({error.strerror}). {aside.parent} must be a "
            "folder that can be written, or not exist yet: rename what is there or give access, then run the same command again."
        ) from error


def _short(error: Exception) -> str:
    """One line for an exception of any kind; the libraries make pages of some, whose end says why."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= 300 else f"{line[:150]} ... {line[-150:]}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
