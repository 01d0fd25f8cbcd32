"""StyleGAN2 on avatars, 64 px: a generator that anyone can train, from pictures that are drawn at the start.

    restyle train experiments/stylegan2_avatars64.py --workdir runs/avatars64

Hardware: 2 CPU cores for some hours (a small network); any GPU.

Expected result: experiments/RESULTS.md.

Source of the settings: our own, by the rules of stylegan2-ada-pytorch's configuration `auto` but for gamma: with its 0.05 the
discriminator was far ahead after 40,000 pictures (mean scores of real and generated pictures 4.0 and -3.6).
"""

from pathlib import Path

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    avatars=40_000,
    resolution=64,
    channel_base=1024,
    channel_max=128,
    w_dim=128,
    mapping_layers=2,
    batch_size=16,
    max_steps=62_500,
    learning_rate=0.0025,
    r1=1.0,
    ema_kimg=5.0,
    ema_ramp=0.05,
    image_every=500,
    eval_every=2500,
    save_every=500,
    features=Path("avatars64/attributes"),  # by which the best of the snapshots is found
    snapshot_pictures=5000,
)
