"""ReStyle over pSp for drawn faces: five steps, 64 px, from the weights of avatars64/psp.

    python -m experiments.avatars.make restyle-psp

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/restyle-psp`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, around

config = around("psp", BASE)
