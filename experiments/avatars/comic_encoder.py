"""ReStyle over pSp that turns drawn faces into comic ones: painted avatars, and the generator that was fine-tuned on the comic.

    python -m experiments.avatars.bootstrapping --output runs/bootstrapping --data data/avatars64

trains the generator, then this. Hardware and time: there. Expected result: experiments/RESULTS.md.

Source of the settings: the losses are the published ones (`experiments/restyle_psp_toonify.py`); sizes, learning rate and the rest
as for the other encoders of avatars, but that the rate stays constant. The published one starts from a face network. Here the
encoder of painted avatars is what knows faces, and the training is short: from random weights, the identity loss was still 0.92
after 80 steps.
"""

import dataclasses
from pathlib import Path

from experiments.avatars.settings import BASE

STEPS = 150

config = dataclasses.replace(
    BASE,
    checkpoint=Path("avatars64/restyle-psp"),
    generator=Path("runs/bootstrapping/generator"),
    identity=1.0,
    w_norm=0.025,
    decay_from=None,
    ema=0.97,  # of so few steps
    max_steps=STEPS,
    image_every=STEPS,
    eval_every=STEPS,
    save_every=STEPS // 3,
)
