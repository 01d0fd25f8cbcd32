"""e4e for faces: FFHQ, 1024-px generator, one pass.

    restyle train experiments/e4e_ffhq.py --workdir runs/e4e_ffhq

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected, on the 2,824 test pictures of CelebA-HQ, by the table in the README of GANInverter: L2 0.0472, LPIPS-VGG
0.1974, PSNR 19.67 (the table says 16.66, because it counts the square of the peak as 2 instead of 4), ID 0.50 (by
another network than that of the loss); of pictures rounded to bytes.

Source of the settings: omertov/encoder4editing, README "Training the e4e Encoder" and options/train_options.py; the
README shows cars only.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    head="fpn_progressive",
    trunk="irse50",
    in_channels=3,
    trunk_weights=Path("pretrained_models/model_ir_se50.pth"),
    steps_per_image=1,
    l2=1.0,
    lpips=0.8,
    lpips_net="alex",
    lpips_trunk_weights=Path("pretrained_models/alexnet-owt-7be5be79.pth"),
    lpips_linear_weights=Path("pretrained_models/alex.pth"),
    identity=0.1,
    identity_weights=Path("pretrained_models/model_ir_se50.pth"),
    adversarial=0.1,
    discriminator_learning_rate=2e-5,
    r1=10.0,
    r1_every=16,
    pool_size=50,
    delta=2e-4,
    progressive_start=20_000,
    progressive_every=2000,
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=4,
    workers=8,
    max_steps=200_000,
    eval_every=10_000,
)
