"""What the encoders of drawn faces have in common: data, generator, losses, sizes and budget.

The trunk and the heads are narrow versions of the published ones. The budget is counted in pictures that pass through the encoder
and the generator, forward and backward: a training step with N refinement steps costs N times as much as one with a single
pass, so single passes get N times as many training steps. ReStyle from random weights, as published, needs more than that to be
better than a single pass (experiments/RESULTS.md); the zoo's starts from one. The weights of the losses are the published ones for
faces. The published learning rate is constant, over hundreds of thousands of steps; so short a training ends with better encoders
if the rate falls.
"""

import dataclasses
from pathlib import Path
from typing import Any

from restyle_jax.train.config import EncoderTraining

STEPS = 1600  # training steps with N = 5
PASSES = 5

BASE = EncoderTraining(
    data=Path("data/avatars64"),
    generator=Path("avatars64/stylegan2"),
    head="backbone",
    trunk="resnet18",
    in_channels=6,
    trunk_width=16,
    head_width=48,
    height=64,
    width=64,
    flip=False,  # names of avatars say where the light comes from
    steps_per_image=PASSES,
    random_noise=False,  # the noise maps of inference: short trainings have no time for others
    l2=1.0,
    lpips=0.8,
    lpips_trunk_weights=Path("avatars64/perceptual"),
    identity=0.1,
    identity_weights=Path("avatars64/identity"),
    optimizer="adam",
    learning_rate=1e-3,
    decay_from=STEPS // 2,
    ema=0.99,
    batch_size=16,
    test_batch_size=100,
    max_steps=STEPS,
    image_every=STEPS // 8,
    eval_every=STEPS // 8,
    save_every=STEPS // 16,
    log_every=20,
)


def single_pass(config: EncoderTraining, **changes: Any) -> EncoderTraining:
    """The same for an encoder that sees each picture once, with the same budget; schedules and averages stretch with it."""
    assert config.ema is not None
    steps = ("max_steps", "decay_from", "image_every", "eval_every", "save_every", "log_every")
    longer = {name: PASSES * getattr(config, name) for name in steps}
    ema = 1 - (1 - config.ema) / PASSES
    return dataclasses.replace(config, in_channels=3, steps_per_image=1, ema=ema, **longer, **changes)


def e4e(config: EncoderTraining) -> EncoderTraining:
    """The same with what e4e adds: offsets that are freed one after the other and kept small, and a discriminator of codes.

    The published schedule frees the first offset after a tenth of the training, and all of them in a sixth of it; here both come
    in half of that, as the learning rate falls from the middle on.
    """
    first = config.max_steps // 20
    return dataclasses.replace(
        config,
        head="progressive",
        adversarial=0.1,
        delta=2e-4,
        progressive_start=first,
        progressive_every=first // 10,
        discriminator_learning_rate=1e-4,
    )


def around(single: str, config: EncoderTraining) -> EncoderTraining:
    """The same for ReStyle around a single pass of the zoo, in half of the budget that this one had.

    It starts as that encoder, which does not look at the reconstruction yet, and keeps its BatchNorm statistics: those of batches
    differ from one refinement step to the next, and running ones of all steps fit none.
    """
    return dataclasses.replace(
        config,
        checkpoint=Path("avatars64") / single,
        extra_channels="zero",
        freeze_batch_norm=True,
        batch_size=config.batch_size // 2,
    )
