"""e4e for drawn faces, 64 px: the single pass that ReStyle over e4e starts from, and is compared with.

    python -m experiments.avatars.make e4e

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/e4e`). Sources of the
settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, e4e, single_pass

config = e4e(single_pass(BASE))
