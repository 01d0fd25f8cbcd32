"""ReStyle over e4e for drawn faces: five steps, 64 px.

    python -m experiments.avatars.make restyle-e4e

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/restyle-e4e`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, e4e

config = e4e(BASE)
