"""A run under way: the steps, and what they do to the world."""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from restyle_jax.train import averages, distributed, sharding
from restyle_jax.train.checkpointing import Checkpoints
from restyle_jax.train.clock import Clock
from restyle_jax.train.config import Run
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.logs import Logs
from restyle_jax.train.programs import SHOWN, Programs, Progress
from restyle_jax.train.signals import NAMES, StopRequests
from restyle_jax.train.task import Batch, Task

Arrays = Mapping[str, np.ndarray]


class TrainingBatches(Protocol):
    """Endless batches of this process's rows; `position` counts the batches taken since the start of training."""

    position: int

    def __next__(self) -> Arrays: ...
    @property
    def unreadable(self) -> list[tuple[str, str]]: ...
    def close(self) -> None: ...


class TestBatches(Protocol):
    """Batches of this process's rows of the whole test set, with `valid`."""

    def __iter__(self) -> Iterator[Arrays]: ...
    @property
    def unreadable(self) -> list[tuple[str, str]]: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended. step: the last one. best: mean over the test set and its step, if there was an evaluation.

    signal: number of the signal that stopped it, 0 if it ran to its end (or was a dry run).
    """

    step: int
    best: tuple[float, int] | None = None
    signal: int = 0

    @property
    def exit_status(self) -> int:
        """0, or 128 + signal as shells count: 143 after SIGTERM, 130 after Ctrl-C."""
        return 128 + self.signal if self.signal else 0


class Taken(NamedTuple):
    """A step that the device was told to take. stop: what `Programs.train` says of it."""

    step: int
    batch: Batch
    metrics: Mapping[str, jax.Array]
    stop: jax.Array


@dataclasses.dataclass
class Trainer:
    """A run under way: what changes from step to step, and the effects of a step on the world."""

    task: Task
    run: Run
    mesh: Mesh
    programs: Programs
    frozen: Any
    workdir: Path
    checkpoints: Checkpoints
    identity: dict[str, Any]
    open_test: Callable[[], TestBatches] | None
    name: Callable[[int], str]
    tell: Callable[[str], None]
    say: Callable[[str], None]
    requests: StopRequests
    progress: Progress
    step: int
    batches: int
    best: tuple[float, int] | None
    evaluated: bool
    logs: Logs | None = None
    stop: int = 0  # the signal on which all processes have agreed
    reported: int = 0  # unreadable pictures
    reported_test: set[str] = dataclasses.field(default_factory=set)

    def train(self, batches: TrainingBatches, first: Arrays) -> Outcome:
        """Steps until the end or a request to stop."""
        if not self.evaluated:  # a request to stop had interrupted it
            self.evaluate()
            if self.evaluated:
                self.checkpoints.amend(self.step, {"evaluated": True, "best": self.best})
        clock = Clock(self.run.batch_size)
        unchecked: list[Taken] = []
        local: Arrays | None = first
        while self.step < self.run.max_steps and not self.stop:
            assert local is not None
            batch = sharding.place_batch(local, self.mesh)
            self.progress, metrics, stop = self.programs.train(self.progress, self.frozen, batch, self.flag())
            self.step, self.batches = self.step + 1, self.batches + 1
            unchecked.append(Taken(self.step, batch, metrics, stop))
            with clock.waiting():  # the device computes meanwhile
                local = next(batches) if self.step < self.run.max_steps else None
            # Of the step before, so that the device has one to compute at any time; of all before something is kept of them.
            while len(unchecked) > (0 if self.pauses else 1):
                self.check(unchecked.pop(0))
            clock.steps += 1
            self.report_unreadable(batches)
            if self.logs:
                self.logs.advance(self.step)
            if self.due(self.run.log_every):
                self.checkpoints.check()
                self.log(clock)
            with clock.paused():
                if self.due(self.run.image_every):
                    self.show(batch)
                improved = self.evaluate() if self.evaluates and self.due(self.run.eval_every) else False
                if improved or self.stop or self.due(self.run.save_every):
                    self.save()
        if self.stop:
            self.tell(f"stopped by {NAMES[self.stop]} after step {self.step}: the same command continues")
        return Outcome(self.step, self.best, self.stop)

    @property
    def evaluates(self) -> bool:
        """Whether there is anything to evaluate with."""
        return bool(self.open_test or self.task.score)

    @property
    def pauses(self) -> bool:
        """Whether more than the next step follows."""
        events = (self.run.log_every, self.run.image_every, self.run.eval_every, self.run.save_every)
        return bool(self.stop) or any(self.due(every) for every in events)

    def due(self, every: int) -> bool:
        """Whether something happens after this step; everything does after the last one."""
        return self.step % every == 0 or self.step == self.run.max_steps

    def flag(self) -> jax.Array:
        """This process's request to stop, for `Programs`."""
        rows = np.full(jax.local_device_count(), self.requests.number, np.int32)
        return sharding.place_batch({"stop": rows}, self.mesh)["stop"]

    def check(self, taken: Taken) -> None:
        """Wait for a step, and note whether it was asked to be the last.

        Raises TrainingError if a metric of the step is not finite, naming it and the pictures of the batch.
        """
        values = averages.named(jax.device_get(taken.metrics))
        self.stop = self.stop or int(taken.stop) or (self.requests.number if jax.process_count() == 1 else 0)
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if not bad:
            return
        terms = ", ".join(f"{name} = {value}" for name, value in bad.items())
        names = ", ".join(self.name(int(index)) for index in distributed.gather_rows(taken.batch["index"]))
        raise TrainingError(
            f"step {taken.step}: {terms} (a slash is followed by the refinement step). Pictures of the batch: {names}. Look at "
            f"them, or train with a lower learning rate, another seed or float32; {self.checkpoints.kept()}."
        )

    def log(self, clock: Clock) -> None:
        """The averages since the last log."""
        values = averages.compute(self.progress.averages)
        self.progress = Progress(self.progress.state, self.programs.forget())
        timing = clock.lap(self.run.max_steps - self.step)
        if self.logs:
            self.logs.write(self.step, "train", values, timing)

    def show(self, batch: Batch) -> None:
        """The sheets of pictures."""
        shown = self.programs.show(self.progress.state, self.frozen, batch)
        if not self.logs:
            return
        names = [self.name(int(index)) for index in np.asarray(batch["index"].addressable_data(0))[:SHOWN]]
        for name, pictures in shown.items():
            columns, rows = self.task.sheets[name]
            captions = [*(names if rows is None else rows), *[""] * len(pictures)][: len(pictures)]
            self.logs.pictures(self.step, name, np.asarray(pictures), columns, captions)

    def evaluate(self) -> bool:
        """Log the evaluated quantities; whether they are the best so far, which is then published.

        A request to stop ends it without a result; it is repeated when the run continues.
        """
        self.evaluated = False
        began = time.monotonic()
        values = self.task.score(self.progress.state) if self.task.score else self.over_test_set()
        if values is None:
            return False
        bad = [f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(
                f"evaluation after step {self.step}: {', '.join(bad)}, which is not finite. Train with a lower learning rate, "
                f"another seed or float32; {self.checkpoints.kept()}."
            )
        self.evaluated = True
        if self.logs:
            self.logs.write(self.step, "test", values, {"seconds": time.monotonic() - began})
        score = values[self.task.best]
        if self.best and score >= self.best[0]:
            return False
        # An earlier model that is finite is worth more, whatever this one scores.
        self.checkpoints.checksums(self.step, self.progress.state)
        self.best = (score, self.step)
        self.publish("best")
        return True

    def over_test_set(self) -> dict[str, float] | None:
        """The means over the test set; None if a request to stop came first."""
        assert self.open_test
        counted = None
        with contextlib.closing(self.open_test()) as batches:
            for local in batches:
                batch = sharding.place_batch(local, self.mesh)
                counted = self.programs.forget_test(batch) if counted is None else counted
                counted, stop = self.programs.evaluate(counted, self.progress.state, self.frozen, batch, self.flag())
                self.stop = self.stop or int(stop)
                if self.stop:
                    return None
            unreadable = batches.unreadable
        if counted is None:
            raise TrainingError("the test set is empty. Give pictures to test on, or none at all.")
        if not any(np.any(average.count) for average in jax.device_get(counted).values()):
            some = "\n".join(reason for _, reason in unreadable[:5])
            raise TrainingError(
                f"evaluation after step {self.step}: none of the test pictures can be read. Repair or replace them; "
                f"{self.checkpoints.kept()}. The first ones:\n{some}"
            )
        self.report_unreadable_test(unreadable)
        return averages.compute(counted)

    def save(self) -> None:
        """A checkpoint, and the model as it is now."""
        record = {
            **self.identity,
            "step": self.step,
            "batches": self.batches,
            "best": self.best,
            "averages": averages.to_json(self.progress.averages),
            "evaluated": self.evaluated,
        }
        self.checkpoints.save(self.step, self.progress.state, record, self.best and self.best[1])
        self.publish("latest")

    def publish(self, name: str) -> None:
        """The model, in a folder of its own."""
        distributed.together(functools.partial(self.task.publish, self.progress.state, self.workdir / name))

    def report_unreadable(self, batches: TrainingBatches) -> None:
        """Every process names the damaged pictures that it has skipped, once."""
        if len(batches.unreadable) > self.reported:
            for picture, reason in batches.unreadable[self.reported :]:
                self.say(f"step {self.step}: skipped {picture} ({reason})")
            self.reported = len(batches.unreadable)
            self.say(
                f"{self.reported} damaged pictures skipped so far; training gives up at {self.run.max_unreadable + 1}"
            )

    def report_unreadable_test(self, unreadable: list[tuple[str, str]]) -> None:
        """Every process names the damaged pictures of the test set that it has left out, once."""
        new = [(picture, reason) for picture, reason in unreadable if picture not in self.reported_test]
        for picture, reason in new:
            self.say(f"evaluation after step {self.step}: left out {picture} ({reason})")
        self.reported_test.update(picture for picture, _ in new)
        if new:
            self.say(f"{len(self.reported_test)} damaged test pictures left out so far")
