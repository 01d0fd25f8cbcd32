"""What the trainings of small networks on avatars have in common. As `train.config`: without JAX."""

import dataclasses

from restyle_jax.train import checks
from restyle_jax.train.config import Run


@dataclasses.dataclass(frozen=True)
class AvatarTraining(Run):
    """The settings that these trainings share; `AttributeTraining` describes them."""

    batch_size: int = 32
    test_batch_size: int = 100
    max_steps: int = 8000
    image_every: int = 3000
    workers: int = 1
    pictures: int = 40_000
    test_pictures: int = 2000
    resolution: int = 64
    widths: tuple[int, ...] = (32, 48, 80, 96)
    num_features: int = 128
    learning_rate: float = 3e-3
    warmup: int = 300


def problems(config: AvatarTraining) -> list[str]:
    """One sentence for each value that is impossible or contradicts another."""
    if wrong := checks.mistyped(config):
        return wrong
    wrong = checks.out_of_range(config)
    if config.warmup >= config.max_steps:
        wrong.append(f"warmup: found {config.warmup}, expected less than the {config.max_steps} steps of the run")
    if config.micro_batches != 1:
        wrong.append(f"micro_batches: found {config.micro_batches}, expected 1, as this network needs little memory")
    for name in ("data", "test_data"):
        if getattr(config, name) is not None:
            wrong.append(f"{name}: found {getattr(config, name)}, expected none, as the pictures are drawn")
    return wrong
