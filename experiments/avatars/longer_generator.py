"""StyleGAN2 on avatars, 64 px, trained on from avatars64/stylegan2-first with smaller batches: more steps in the same time.

    restyle train experiments/avatars/longer_generator.py --workdir runs/longer

Hardware: 2 CPU cores, three to four hours for 72,000 steps, after which the one of the zoo was stopped.

Expected result: experiments/RESULTS.md.

Source of the settings: our own. A step on 8 pictures takes half as long as one on 16, and what counted before was the number of
steps. Gamma is what the discriminator of 16 pictures stayed in balance with (mean scores of 1.4 and -1.4); the optimisers start
anew.
"""

import dataclasses
from pathlib import Path

from experiments.stylegan2_avatars64 import config as first

config = dataclasses.replace(
    first,
    checkpoint=Path("avatars64/stylegan2-first"),
    avatars=60_000,
    batch_size=8,
    max_steps=200_000,
    r1=0.2,
    ema_kimg=10.0,
    log_every=500,
    image_every=4000,
    eval_every=8000,
    save_every=1000,
)
