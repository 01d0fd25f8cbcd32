"""The latent classifier of drawn faces: what is in a code, for edits by a label, and to train networks for edits by reference with.

    python -m experiments.avatars.make classifier

trains it on codes of ReStyle-e4e (`experiments/avatars/codes.py`) and writes it where the zoo has it. Time and accuracy: its card
(`restyle zoo avatars64/classifier`). Source of the settings: `experiments/latent_classifier_ffhq.py`, with narrower
layers, since these codes have 1280 instead of 9216 numbers, and a larger learning rate.
"""

from pathlib import Path

from restyle_jax.train.code_config import LatentClassifierTraining

STEPS = 3000

config = LatentClassifierTraining(
    data=Path("runs/avatar_codes.npz"),
    widths=(192, 96),
    embedding=8,
    batch_size=256,
    learning_rate=1e-3,
    max_steps=STEPS,
    decay_at=STEPS // 2,
    eval_every=STEPS // 10,
    save_every=STEPS // 2,
)
