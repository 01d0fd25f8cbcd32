"""ReStyle over the Style Transformer for drawn faces: five steps, 64 px, from the weights of avatars64/style-transformer.

Nobody has published this combination.

    python -m experiments.avatars.make restyle-style-transformer

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/restyle-style-transformer`).
Sources of the settings: `experiments/avatars/settings.py`.
"""

import dataclasses

from experiments.avatars.settings import BASE, around
from experiments.avatars.style_transformer import config as single

config = dataclasses.replace(
    around("style-transformer", BASE),
    head=single.head,
    head_width=single.head_width,
    learning_rate=single.learning_rate,
)
