"""A training run of an encoder, from its configuration to its end."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax

from data_pipelines.loader import evaluation_batches, training_batches
from restyle_jax.jobs.requirements import DIRECTORIES, require
from restyle_jax.jobs.training_data import fingerprint
from restyle_jax.jobs.workdir import model_in
from restyle_jax.train import distributed
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder_task import encoder_task
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.loop import Outcome, fit


def train_encoder(
    config: EncoderTraining,
    workdir: Path,
    *,
    connect: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, or continue there; see `train.loop.fit`.

    connect: how this process finds the others of the run, see `train.distributed.connect`; None: there are none.

    Raises:
      TrainingError: pictures or weights are missing (all are named), options contradict each other or the files, and what
        `fit` raises.
      CheckpointError: a file is not what it should be. ImageError: the pictures are not what the task needs.
    """
    data = require(config)
    if connect is not None:
        distributed.connect(connect)
    named = {name: getattr(config, name) for name in ("checkpoint", *DIRECTORIES)}
    config = dataclasses.replace(config, **{name: path and model_in(path) for name, path in named.items()})
    try:
        task = encoder_task(config, paired=data.train.paired or data.test.paired)
    except ValueError as error:
        raise TrainingError(f"{error}.") from error
    share = {"process": jax.process_index(), "processes": jax.process_count(), "workers": config.workers}
    outcome = fit(
        task,
        config,
        config,
        lambda start: training_batches(
            data.train,
            data.preparation,
            batch_size=config.batch_size,
            seed=config.seed,
            start=start,
            max_unreadable=config.max_unreadable,
            **share,
        ),
        lambda: evaluation_batches(data.test, data.preparation, batch_size=config.test_batch_size, **share),
        workdir,
        name=data.train.name,
        fingerprint=fingerprint(config.data, data.train),
        test_fingerprint=fingerprint(config.test_data or config.data, data.test, "test"),
        dry_run=dry_run,
        resume=resume,
        say=say,
    )
    if distributed.is_first() and not outcome.signal and not dry_run:
        best = f"; the best model, of step {outcome.best[1]}, is in {workdir / 'best'}" if outcome.best else ""
        say(f"Trained {outcome.step} steps{best}")
    return outcome
