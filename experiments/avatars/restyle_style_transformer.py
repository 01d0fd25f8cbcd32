"""ReStyle over the Style Transformer for drawn faces: five steps, 64 px. Nobody has published this combination.

    python -m experiments.avatars.make restyle-style-transformer

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/restyle-style-transformer`).
Sources of the settings: `experiments/avatars/settings.py`.
"""

import dataclasses

from experiments.avatars.settings import BASE

config = dataclasses.replace(BASE, head="style_transformer", head_width=None)
