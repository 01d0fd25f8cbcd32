"""The Style Transformer for drawn faces, 64 px: one pass, with the trunk, losses and budget of the other encoders.

    python -m experiments.avatars.make style-transformer

trains it and writes it where the zoo has it. Hardware and time: its card (`restyle zoo avatars64/style-transformer`). Sources of
the settings: `experiments/avatars/settings.py`.
"""

from experiments.avatars.settings import BASE, single_pass

# At the rate of the others, 1e-3, all tokens came to the same code.
config = single_pass(BASE, head="style_transformer", head_width=None, learning_rate=3e-4)
