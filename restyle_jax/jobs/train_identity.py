"""A training run of an identity network on avatars. Identities of the test do not occur in training."""

from pathlib import Path
from typing import Any

from data_pipelines.avatars import AvatarSource, IdentityPairs
from restyle_jax.jobs.train_avatars import Lesson, train_on_avatars
from restyle_jax.nets.identity import IdentityConfig
from restyle_jax.train.identity import identity_task
from restyle_jax.train.identity_config import IdentityTraining, problems
from restyle_jax.train.loop import Outcome


def train_identity(config: IdentityTraining, workdir: Path, **how: Any) -> Outcome:
    """Train in `workdir`, or continue there; see `train_avatars.train_on_avatars`."""

    def prepare(train: AvatarSource, test: AvatarSource) -> Lesson:
        if wrong := problems(config):
            raise ValueError("; ".join(wrong))
        network = IdentityConfig(config.resolution, config.widths, config.num_features)
        identities = IdentityPairs(train).identities, IdentityPairs(test).identities
        return Lesson(identity_task(config, network, identities), view=IdentityPairs)

    return train_on_avatars(config, workdir, prepare, **how)
