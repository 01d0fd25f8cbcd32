"""A training run of a small network on avatars (attributes, identity), from its configuration to its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from data_pipelines.avatars import AvatarSource, KeptAvatars
from data_pipelines.drawing.processes import DrawingError
from data_pipelines.loader import evaluation_batches, training_batches
from data_pipelines.preparation import Preparation
from data_pipelines.source import Source
from restyle_jax.jobs.training_data import fingerprint
from restyle_jax.train import distributed
from restyle_jax.train.avatar_config import AvatarTraining, problems
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.loop import Outcome, fit
from restyle_jax.train.task import Task


class Lesson(NamedTuple):
    """What is trained, and how avatars become what it is trained on: themselves, or pairs of them."""

    task: Task
    view: Callable[[AvatarSource], Source]


def train_on_avatars(
    config: AvatarTraining,
    workdir: Path,
    prepare: Callable[[AvatarSource, AvatarSource], Lesson],
    *,
    connect: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, or continue there; see `train.loop.fit`. The best network is in its folder `best`.

    prepare: avatars of training and test, not drawn yet -> what to do with them; a ValueError names what is impossible.
    connect: how this process finds the others of the run, see `train.distributed.connect`; None: there are none.

    Raises TrainingError: impossible options, and what `fit` raises.
    """
    if wrong := problems(config):
        raise TrainingError(f"{'; '.join(wrong)}.")
    if connect is not None:
        distributed.connect(connect)
    try:
        train = AvatarSource("train", config.pictures, config.resolution)
        test = AvatarSource("test", config.test_pictures, config.resolution)
        lesson = prepare(train, test)
        if not dry_run:
            if distributed.is_first():
                say(f"drawing {config.pictures + config.test_pictures} avatars")
            train, test = (KeptAvatars(source.split, len(source), config.resolution) for source in (train, test))
    except (ValueError, DrawingError) as error:
        raise TrainingError(f"{error}.") from error
    learned, tested = lesson.view(train), lesson.view(test)
    preparation = Preparation(height=config.resolution, width=config.resolution, flip=False)
    share: dict[str, Any] = {
        "process": jax.process_index(),
        "processes": jax.process_count(),
        "workers": config.workers,
    }
    outcome = fit(
        lesson.task,
        config,
        config,
        lambda start: training_batches(
            learned, preparation, batch_size=config.batch_size, seed=config.seed, start=start, **share
        ),
        lambda: evaluation_batches(tested, preparation, batch_size=config.test_batch_size, **share),
        workdir,
        name=learned.name,
        fingerprint=fingerprint(None, train),
        dry_run=dry_run,
        resume=resume,
        say=say,
    )
    if distributed.is_first() and not outcome.signal and not dry_run:
        best = f"; the best network, of step {outcome.best[1]}, is in {workdir / 'best'}" if outcome.best else ""
        say(f"Trained {outcome.step} steps{best}")
    return outcome
