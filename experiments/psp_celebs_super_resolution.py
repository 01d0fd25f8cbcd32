"""pSp from small pictures to faces: CelebA-HQ, shrunk 1 to 32 times, 1024-px FFHQ generator.

    restyle train experiments/psp_celebs_super_resolution.py --workdir runs/psp_celebs_super_resolution

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers.

Source of the settings: eladrich/pixel2style2pixel, README "Training pSp" and options/train_options.py.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    task="super_resolution",
    flip=False,
    resize_factors=(1, 2, 4, 8, 16, 32),
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
    w_norm=0.005,
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=8,
    workers=8,
    max_steps=500_000,
    eval_every=2500,
    save_every=5000,
)
