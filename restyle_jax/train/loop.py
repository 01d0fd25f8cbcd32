"""The training loop: takes batches, a task's pure step and a state; logs, evaluates, saves. All side effects are here."""

import contextlib
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
from clu import parameter_overview
from jax.sharding import Mesh

from restyle_jax.train import averages, distributed, plan, sharding
from restyle_jax.train.agreement import check_alike, check_same, defaults, identity
from restyle_jax.train.checkpointing import Checkpoints, Record, latest_record
from restyle_jax.train.config import Run
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.logs import Logs
from restyle_jax.train.programs import Programs, Progress, compile_programs, state_target
from restyle_jax.train.signals import StopRequests
from restyle_jax.train.task import State, Task
from restyle_jax.train.trainer import Arrays, Outcome, TestBatches, Trainer, TrainingBatches
from restyle_jax.train.workdir import locked, refuse_others, refuse_unusable, remove_unfinished, replace_text


def fit(
    task: Task,
    run: Run,
    config: Any,
    open_train: Callable[[int], TrainingBatches],
    open_test: Callable[[], TestBatches] | None,
    workdir: Path,
    *,
    name: Callable[[int], str],
    fingerprint: str,
    test_fingerprint: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, from the latest checkpoint there if there is one, until `run.max_steps` or a request to stop.

    config: frozen dataclass that is recorded, and compared when the run is continued.
    open_train: number of batches already consumed -> this process's training batches from there on.
    open_test: this process's batches of the whole test set, each with `valid`, equally many in every process; None: no test.
    name: number of a training picture (`index`) -> the name of its file. fingerprint: tells the training data from any other;
        where it lies may change. test_fingerprint: likewise of the test data; None if the other two say what it is.
    dry_run: print the plan and stop, before anything is written; what the folder holds is looked at.
    resume: "never" refuses a folder with checkpoints.

    Raises:
      TrainingError: a batch that the devices cannot share, processes that were not started alike or do not share the folder,
        another run in the folder or one of another configuration, files there that are not of a run, a loss or state that is not
        finite, something that cannot be written. Earlier checkpoints stay intact.
    """
    own = identity(config, task.frozen, fingerprint, task.scorer, test_fingerprint)
    check_alike(own, resume)
    mesh = sharding.data_mesh()
    sharding.check_batch_size("batch_size", run.batch_size, mesh, run.micro_batches)
    if open_test:
        sharding.check_batch_size("test_batch_size", run.test_batch_size, mesh)
    tell = say if distributed.is_first() else _ignore
    target = state_target(task, mesh, run.seed)
    usual = defaults(config)

    def accept(saved: Record) -> None:
        check_same(saved, own, usual, workdir, tell)

    if dry_run:
        distributed.together(functools.partial(_look_into, workdir, resume, accept))
        batches = open_train(0)
        _programs(task, run, mesh, target, next(batches), tell)
        batches.close()
        return Outcome(0)

    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(workdir))
        distributed.together(functools.partial(refuse_others, workdir, resume))
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir / "checkpoints", run.keep)))
        found = checkpoints.restore_latest(target, accept, tell)
        state, record = found or (None, {"step": 0, "batches": 0, "best": None, "averages": None, "evaluated": True})
        best = tuple(record["best"]) if record["best"] else None
        if state is not None:
            distributed.together(functools.partial(remove_unfinished, workdir))
            tell(f"continuing after step {record['step']} of {run.max_steps}, batch {record['batches']}")
        if record["step"] >= run.max_steps and record["evaluated"]:
            # The run may have been killed between its last checkpoint and this.
            distributed.together(functools.partial(task.publish, state, workdir / "latest"))
            return Outcome(record["step"], best)

        batches = stack.enter_context(contextlib.closing(open_train(record["batches"])))
        first = next(batches)
        programs = _programs(task, run, mesh, target, first, tell)
        if state is None:
            state = sharding.replicate(task.init(jax.random.key(run.seed)), mesh)
        counted = record["averages"]
        trainer = Trainer(
            task=task,
            run=run,
            mesh=mesh,
            programs=programs,
            frozen=sharding.replicate(task.frozen, mesh),
            workdir=workdir,
            checkpoints=checkpoints,
            identity=own,
            open_test=open_test,
            name=name,
            tell=tell,
            say=say,
            requests=stack.enter_context(StopRequests()),
            progress=Progress(
                state, sharding.replicate(averages.from_json(counted), mesh) if counted else programs.forget()
            ),
            step=record["step"],
            batches=record["batches"],
            best=best,
            evaluated=record["evaluated"],
        )
        if distributed.is_first():
            replace_text(workdir / "config.json", json.dumps(own, indent=2) + "\n")
            replace_text(workdir / "parameters.txt", _parameters(state))
            logs = Logs(workdir, record["step"], run.max_steps, evaluated=record["evaluated"])
            trainer.logs = stack.enter_context(contextlib.closing(logs))
        try:
            outcome = trainer.train(batches, first)
        except jax.errors.JaxRuntimeError as error:
            if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in str(error):
                raise
            raise TrainingError(
                f"step {trainer.step}: computing with the other processes failed ({str(error).splitlines()[0]}); most likely one "
                "of them was lost. The checkpoints are intact: start the same command on all hosts again to continue."
            ) from error
        checkpoints.wait()
        return outcome


def _look_into(workdir: Path, resume: str, accept: Callable[[Record], None]) -> None:
    """Raises TrainingError if a run would be refused for what the folder is or holds; nothing is changed."""
    refuse_unusable(workdir)
    refuse_others(workdir, resume)
    if record := latest_record(workdir / "checkpoints"):
        accept(record)


def _programs(task: Task, run: Run, mesh: Mesh, state: State, local: Arrays, tell: Callable[[str], None]) -> Programs:
    """Compile for batches like this process's `local`, and tell what that will need."""
    batch = {
        key: jax.ShapeDtypeStruct((len(rows) * jax.process_count(), *rows.shape[1:]), rows.dtype)
        for key, rows in local.items()
    }
    if batch["source"].shape[0] != run.batch_size:
        raise TrainingError(
            f"batches have {batch['source'].shape[0]} pictures over all processes, expected {run.batch_size}."
        )
    programs = compile_programs(task, mesh, state, batch)
    tell(_parameters(state).splitlines()[-1])
    for line in plan.plan(programs.train, run.batch_size, state, task.frozen, batch).lines(vars(run)):
        tell(line)
    return programs


def _parameters(state: State) -> str:
    """Table of everything trained, with totals in the last line."""
    parts = {"": state, **state}  # a discriminator has a part of its own
    trained = {name: part["params"] for name, part in parts.items() if isinstance(part, dict) and "params" in part}
    leaves = {
        name + jax.tree_util.keystr(path): leaf
        for name, params in (trained or {"": state}).items()
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    table, _ = parameter_overview.get_parameter_overview(leaves, include_stats=False).rsplit("\n", 1)
    count = sum(leaf.size for leaf in leaves.values())  # which is 1.0 for a scalar in the line that is left out
    return f"{table}\nTotal: {count:,} -- {plan.tree_bytes(leaves):,} bytes\n"


def _ignore(_: str) -> None: ...
