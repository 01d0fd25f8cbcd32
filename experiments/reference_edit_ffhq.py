"""Edits by reference for faces: the bangs of one photo for another, in the form of the paper.

    restyle invert --checkpoint runs/style_transformer_ffhq --input downloads/ffhq/images1024x1024 \
        --output data/ffhq_codes
    restyle train experiments/reference_edit_ffhq.py --workdir runs/reference_edit_ffhq

A model is trained for one attribute: --attribute Smiling makes another one. The classifier reads codes of the same generator;
experiments/latent_classifier_ffhq.py trains it.

Hardware: any; the network has 3 million parameters and sees codes, no pictures. The 70,000 codes take 2.6 GB of memory.

Expected result: not published as numbers (the paper shows pictures).

Source of the settings: sapphire497/style-transformer, training/coach_ref_edit.py and options (Adam 1e-4, weight decay 5e-4,
batch 8, all weights 1, the first nine tenths of the codes for training); how long is not published.
"""

from pathlib import Path

from restyle_jax.train.code_config import ReferenceEditTraining

config = ReferenceEditTraining(
    data=Path("data/ffhq_codes/latents.npz"),
    classifier=Path("runs/latent_classifier_ffhq"),
    attribute="Bangs",
    form="paper",
    batch_size=8,
    l2=1.0,
    l2_ref=1.0,
    l2_src=1.0,
    learning_rate=1e-4,
    weight_decay=5e-4,
    test_share=0.1,
)
