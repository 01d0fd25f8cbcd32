"""The compiled functions of a run, all over one mesh. They, too, are pure: state goes in and comes out."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from restyle_jax.train import averages
from restyle_jax.train.averages import Averages
from restyle_jax.train.sharding import abstract, replicated, split
from restyle_jax.train.task import Batch, Frozen, State, Task

SHOWN = 4  # rows of a sheet of pictures


class Progress(NamedTuple):
    """What a step changes: the task's state, and the averages of its metrics since they were last logged."""

    state: State
    averages: Averages


class Programs(NamedTuple):
    """train: (progress, frozen, batch, stop) -> (progress, metrics, stop), compiled; the first argument is donated.
    evaluate: (averages, state, frozen, batch, stop) -> (averages, stop), the first argument donated. show: (state, frozen,
    batch) -> the first rows of the task's sheets. forget, forget_test: averages of nothing, as train and evaluate take them.

    stop: int32[devices], each process fills in the number of the signal that asked it to stop, or 0; the result is the
    largest of them, so that all processes stop after the same step.
    """

    train: Any
    evaluate: Callable[..., tuple[Averages, jax.Array]]
    show: Callable[..., dict[str, jax.Array]]
    forget: Callable[[], Averages]
    forget_test: Callable[[Batch], Averages]


def state_target(task: Task, mesh: Mesh, seed: int) -> State:
    """Shapes, dtypes and sharding of the state, without computing anything."""
    return abstract(jax.eval_shape(task.init, jax.random.key(seed)), replicated(mesh))


def compile_programs(task: Task, mesh: Mesh, state: State, batch: Mapping[str, jax.ShapeDtypeStruct]) -> Programs:
    """Compile the training step for a state and (global) batches of these shapes;
    the other programs compile when they are first used."""
    everywhere = replicated(mesh)
    batch_target = abstract(batch, split(mesh))
    _, metrics = jax.eval_shape(task.step, state, task.frozen, batch_target)
    shapes = {name: value.shape for name, value in metrics.items()}

    def train(progress: Progress, frozen: Frozen, batch: Batch, stop: jax.Array) -> Any:
        state, metrics = task.step(progress.state, frozen, batch)
        return Progress(state, averages.add_step(progress.averages, metrics)), metrics, stop.max()

    def evaluate(counted: Averages, state: State, frozen: Frozen, batch: Batch, stop: jax.Array) -> Any:
        assert task.evaluate
        values = task.evaluate(state, frozen, batch)
        return averages.add_pictures(counted, values, batch["valid"]), stop.max()

    def show(state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        # Every device keeps a row, as a batch of fewer rows than devices cannot be split.
        rows = -(-SHOWN // mesh.size) * mesh.size
        few = {name: jax.lax.with_sharding_constraint(value[:rows], split(mesh)) for name, value in batch.items()}
        return {name: pictures[:SHOWN] for name, pictures in task.show(state, frozen, few).items()}

    def forget_test(batch: Batch) -> Averages:
        assert task.evaluate
        values = jax.eval_shape(task.evaluate, state, task.frozen, batch)
        return averages.empty({name: value.shape[1:] for name, value in values.items()})

    progress = Progress(state, abstract(jax.eval_shape(functools.partial(averages.empty, shapes)), everywhere))
    stop = jax.ShapeDtypeStruct((mesh.size,), jnp.int32, sharding=split(mesh))
    train_program = jax.jit(train, donate_argnums=0, out_shardings=everywhere)
    return Programs(
        train=train_program.lower(progress, abstract(task.frozen, everywhere), batch_target, stop).compile(),
        evaluate=jax.jit(evaluate, donate_argnums=0, out_shardings=everywhere),
        show=jax.jit(show, out_shardings=everywhere),
        forget=jax.jit(functools.partial(averages.empty, shapes), out_shardings=everywhere),
        forget_test=jax.jit(forget_test, out_shardings=everywhere),
    )
