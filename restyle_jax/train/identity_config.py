"""What can be said about the training of an identity network. As `train.config`: an experiment builds one, without JAX."""

import dataclasses

from restyle_jax.train import avatar_config
from restyle_jax.train.avatar_config import AvatarTraining


@dataclasses.dataclass(frozen=True)
class IdentityTraining(AvatarTraining):
    """Training of a network that recognises an avatar (`nets.identity`), on pictures that are drawn at the start.

    Settings as of attribute networks, but for these. The defaults take a quarter of an hour on 2 CPU cores.

    batch_size: of pairs, two pictures of one identity each. num_features: see `nets.identity.IdentityConfig`.
    temperature: by which cosine similarities are divided before they are compared; the smaller, the more do the most
        similar of other identities count.
    """

    max_steps: int = 4000
    num_features: int = 64
    learning_rate: float = 2e-3
    temperature: float = 0.1


def problems(config: IdentityTraining) -> list[str]:
    """One sentence for each value that is impossible or contradicts another."""
    wrong = avatar_config.problems(config)
    if not wrong and config.temperature <= 0:
        wrong.append(f"temperature: found {config.temperature}, expected more than 0, such as 0.1")
    return wrong
