"""e4e for drawn faces, 64 px: the single pass that ReStyle over e4e is compared with, with its trunk, heads and budget.

    python -m experiments.avatars.make e4e

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/e4e`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, e4e, single_pass

config = e4e(single_pass(BASE))
