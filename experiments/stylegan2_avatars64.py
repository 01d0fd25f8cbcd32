"""StyleGAN2 on avatars, 64 px: a generator that anyone can train, from pictures that are drawn at the start.

    restyle train experiments/stylegan2_avatars64.py --workdir runs/avatars64

Hardware: 2 CPU cores for some hours (a small network); any GPU.

Expected result: experiments/RESULTS.md.

Source of the settings: our own. Learning rate, averaging, minibatch statistic and mapping layers follow the rules of
stylegan2-ada-pytorch's configuration `auto` for a batch of 16. In contrast to it, layers are narrow (1024 / r channels and at most
128, z and w of 128 numbers; there 16384 / r and 512), nothing is augmented (there ADA with bgc), it ends after a million
pictures (there 25 million), and gamma is 1: with the 0.05 of `auto` the discriminator was far ahead after 40,000 pictures
(mean scores of real and generated pictures 4.0 and -3.6).
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
