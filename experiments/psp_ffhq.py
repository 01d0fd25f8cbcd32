"""pSp for faces: FFHQ, 1024-px generator, one pass.

    restyle train experiments/psp_ffhq.py --workdir runs/psp_ffhq

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected, on the 2,824 test pictures of CelebA-HQ, by the table in the README of GANInverter: L2 0.0345, LPIPS-VGG
0.1591, PSNR 21.04 (the table says 18.03, because it counts the square of the peak as 2 instead of 4), ID 0.56 (by
another network than that of the loss); of pictures rounded to bytes.

Source of the settings: eladrich/pixel2style2pixel, README "Training pSp" and options/train_options.py.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    head="fpn",
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
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=8,
    workers=8,
    max_steps=500_000,
    eval_every=2500,
    save_every=5000,
)
