"""pSp that turns faces into cartoons: FFHQ photos, a generator fine-tuned on cartoons.

    restyle train experiments/psp_toonify.py --workdir runs/psp_toonify

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers.

Source of the settings: eladrich/pixel2style2pixel, README "Toonify".
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/ffhq_cartoon_blended.pt"),
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
    identity=1.0,
    identity_weights=Path("pretrained_models/model_ir_se50.pth"),
    w_norm=0.025,
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=8,
    workers=8,
    max_steps=6000,
    eval_every=2500,
    save_every=5000,
)
