"""A training run of an attribute network on avatars."""

from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.avatars import AvatarSource
from data_pipelines.drawing.factors import FACTORS, Continuous, Discrete
from restyle_jax.jobs.train_avatars import Lesson, train_on_avatars
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.train.attribute_config import AttributeTraining
from restyle_jax.train.attributes import attribute_task, table
from restyle_jax.train.loop import Outcome


def train_attributes(config: AttributeTraining, workdir: Path, **how: Any) -> Outcome:
    """Train in `workdir`, or continue there; see `train_avatars.train_on_avatars`."""

    def prepare(train: AvatarSource, test: AvatarSource) -> Lesson:
        network = avatar_attributes(config.resolution, config.widths, config.num_features)
        known = [table(network, source.described(np.arange(len(source)))) for source in (train, test)]
        return Lesson(attribute_task(config, network, *known), view=lambda avatars: avatars)

    return train_on_avatars(config, workdir, prepare, **how)


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
