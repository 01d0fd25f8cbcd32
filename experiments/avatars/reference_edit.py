"""Edits by reference for drawn faces: the hair colour of one for another, in the form of the paper.

    python -m experiments.avatars.make editor-hair

trains it on codes of ReStyle-e4e (`experiments/avatars/codes.py`) and writes it where the zoo has it. Time and results: its card
(`restyle zoo avatars64/editor-hair`). Source of the settings: `experiments/reference_edit_ffhq.py`.
"""

from pathlib import Path

from restyle_jax.train.code_config import ReferenceEditTraining

STEPS = 8000

config = ReferenceEditTraining(
    data=Path("runs/avatar_codes.npz"),
    classifier=Path("avatars64/classifier"),
    attribute="hair_colour",
    heads=4,
    hidden=256,
    dropout=0.0,
    batch_size=64,
    test_batch_size=500,
    learning_rate=1e-3,
    weight_decay=0.0,
    max_steps=STEPS,
    eval_every=STEPS // 8,
    save_every=STEPS // 2,
)
