"""What all small encoders of avatars have in common: 64 px, a narrow trunk, and our own networks behind the losses.

An experiment says with `dataclasses.replace(BASE, ...)` what is its own.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

BASE = EncoderTraining(
    generator=Path("avatars64/stylegan2"),
    lpips_trunk_weights=Path("avatars64/perceptual"),
    identity_weights=Path("avatars64/identity"),
    identity=0.1,
    trunk="resnet18",
    trunk_width=16,
    height=64,
    width=64,
    flip=False,  # light and gaze would no longer fit their factors
    random_noise=False,  # the noise maps of inference: short trainings have no time for others
    optimizer="adam",
    learning_rate=1e-3,
    batch_size=16,
    test_batch_size=50,
    log_every=10,
    eval_every=250,
    save_every=250,
)
