"""ReStyle over e4e for drawn faces: five steps, 64 px, from the weights of avatars64/e4e, whose offsets are all free.

    python -m experiments.avatars.make restyle-e4e

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/restyle-e4e`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

import dataclasses

from experiments.avatars.settings import BASE, around, e4e

config = dataclasses.replace(around("e4e", e4e(BASE)), progressive_start=0, progressive_every=1)
