"""A training run of an attribute network on avatars, from its configuration to its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from data_pipelines.avatars import AvatarSource, KeptAvatars
from data_pipelines.drawing.factors import FACTORS, Continuous, Discrete
from data_pipelines.loader import evaluation_batches, training_batches
from data_pipelines.preparation import Preparation
from restyle_jax.jobs.training_data import fingerprint
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.train import distributed
from restyle_jax.train.attribute_config import AttributeTraining, problems
from restyle_jax.train.attributes import attribute_task, table
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.loop import Outcome, fit


def train_attributes(
    config: AttributeTraining,
    workdir: Path,
    *,
    connect: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, or continue there; see `train.loop.fit`. The best network is in its folder `best`.

    connect: how this process finds the others of the run, see `train.distributed.connect`; None: there are none.

    Raises TrainingError: impossible options, and what `fit` raises.
    """
    if wrong := problems(config):
        raise TrainingError(f"{'; '.join(wrong)}.")
    if connect is not None:
        distributed.connect(connect)
    kind = AvatarSource if dry_run else KeptAvatars
    if distributed.is_first() and not dry_run:
        say(f"drawing {config.pictures + config.test_pictures} avatars")
    try:
        network = avatar_attributes(config.resolution, config.widths, config.num_features)
        train = kind("train", config.pictures, config.resolution)
        test = kind("test", config.test_pictures, config.resolution)
    except ValueError as error:
        raise TrainingError(f"{error}.") from error
    known = [table(network, source.described(np.arange(len(source)))) for source in (train, test)]
    preparation = Preparation(height=config.resolution, width=config.resolution, flip=False)
    share = {"process": jax.process_index(), "processes": jax.process_count(), "workers": config.workers}
    outcome = fit(
        attribute_task(config, network, *known),
        config,
        config,
        lambda start: training_batches(
            train, preparation, batch_size=config.batch_size, seed=config.seed, start=start, **share
        ),
        lambda: evaluation_batches(test, preparation, batch_size=config.test_batch_size, **share),
        workdir,
        name=train.name,
        fingerprint=fingerprint(None, train),
        dry_run=dry_run,
        resume=resume,
        say=say,
    )
    if distributed.is_first() and not outcome.signal and not dry_run:
        best = f"; the best network, of step {outcome.best[1]}, is in {workdir / 'best'}" if outcome.best else ""
        say(f"Trained {outcome.step} steps{best}")
    return outcome


def avatar_attributes(resolution: int, widths: tuple[int, ...], features: int) -> AttributeConfig:
    """A network for all factors of avatars. An angle whose range is a whole turn goes round; all others are scalars.

    Raises ValueError if the sizes do not make a network.
    """
    numbers = {name: factor for name, factor in FACTORS.items() if isinstance(factor, Continuous)}
    round_ = tuple(name for name, f in numbers.items() if f.kind == "angle" and f.high - f.low == 360)
    return AttributeConfig(
        resolution,
        scalars=tuple((name, float(f.low), float(f.high)) for name, f in numbers.items() if name not in round_),
        angles=round_,
        choices=tuple((name, f.values) for name, f in FACTORS.items() if isinstance(f, Discrete)),
        widths=widths,
        features=features,
    )
