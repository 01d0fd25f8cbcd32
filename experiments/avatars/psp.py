"""pSp for drawn faces, 64 px: the single pass that ReStyle starts from, and is compared with.

    python -m experiments.avatars.make psp

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/psp`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, single_pass

config = single_pass(BASE)
