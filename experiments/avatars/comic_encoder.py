"""ReStyle over pSp that turns drawn faces into comic ones: painted avatars, and the generator that was fine-tuned on the comic.

    python -m experiments.avatars.bootstrapping --output runs/bootstrapping --data data/avatars64

trains the generator, then this. Hardware and time: there. Expected result: experiments/RESULTS.md.

Source of the settings: the losses are the published ones (`experiments/restyle_psp_toonify.py`); sizes, learning rate and the rest
as for the other encoders of avatars. It starts from random weights, so that it knows nothing of the encoder that it is bootstrapped
from. (The published one is meant to start from a face network, but ReStyle's code finds none of its weights.)
"""

import dataclasses
from pathlib import Path

from experiments.avatars.settings import BASE

STEPS = 300

config = dataclasses.replace(
    BASE,
    generator=Path("runs/bootstrapping/generator"),
    identity=1.0,
    w_norm=0.025,
    max_steps=STEPS,
    image_every=STEPS,
    eval_every=STEPS,
    save_every=STEPS // 6,
)
