"""The generator of drawn faces, fine-tuned on the same faces drawn as a comic.

    python -m restyle_jax train experiments/avatars/comic_generator.py --workdir runs/comic_generator

`experiments.avatars.bootstrapping` trains it, too. Hardware: 2 CPU cores, some 8 minutes. Expected result:
experiments/RESULTS.md.

Source of the settings: those of `experiments/stylegan2_avatars64.py`. The generator that it goes on from is avatars64/stylegan2,
which `experiments/avatars/longer_generator.py` made. The paper's cartoon generator then got layers of the first one back
("blended"); here none are exchanged. The averaged generator has a half-life of a twentieth of the pictures, so that none of the
painted faces are left in it.
"""

import dataclasses
from pathlib import Path

from experiments.stylegan2_avatars64 import config as painted

config = dataclasses.replace(
    painted,
    checkpoint=Path("avatars64/stylegan2"),
    avatars=10_000,
    avatar_style="comic",
    max_steps=800,
    ema_kimg=0.64,
    log_every=50,
    image_every=400,
    eval_every=800,
    save_every=200,
)
