"""The latent classifier of label and reference edits: 40 attributes of CelebA, read off codes of FFHQ's 1024-px generator.

    restyle invert --checkpoint pretrained_models/psp_ffhq_encode.pt --input downloads/celeba_hq/CelebA-HQ-img \
        --output data/celeba_hq_codes
    restyle train experiments/latent_classifier_ffhq.py --workdir runs/latent_classifier_ffhq

The photos of CelebA-HQ need the names of the labels: CelebA-HQ's own list (CelebAMask-HQ-attribute-anno.txt) fits its numbered
photos, list_attr_celeba.txt the photos of CelebA.

Hardware: 30,000 codes take 1.1 GB of memory; the training itself is a matter of minutes on any device.

Expected result: not published, neither weights nor numbers. metrics.jsonl has accuracy, average precision and calibration error
of each attribute on the last tenth of the codes.

Source of the settings: InterDigitalInc/latent-transformer, pretraining/latent_classifier.py, the closest public recipe (Adam 1e-4,
weight decay 5e-4, batch 256, 20 epochs, a tenth of the rate after 10); the network is that of sapphire497/style-transformer.
"""

from pathlib import Path

from restyle_jax.train.code_config import LatentClassifierTraining

TRAINING_CODES, EPOCHS, DECAY_AFTER, BATCH = 27_000, 20, 10, 256

config = LatentClassifierTraining(
    data=Path("data/celeba_hq_codes/latents.npz"),
    labels=Path("data/CelebAMask-HQ-attribute-anno.txt"),
    batch_size=BATCH,
    max_steps=EPOCHS * TRAINING_CODES // BATCH,
    decay_at=DECAY_AFTER * TRAINING_CODES // BATCH,
    learning_rate=1e-4,
    weight_decay=5e-4,
    test_share=0.1,
)
