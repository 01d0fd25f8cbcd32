"""pSp that turns faces to the front: FFHQ, source and target mirrored independently.

    restyle train experiments/psp_ffhq_frontalize.py --workdir runs/psp_ffhq_frontalize

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers. The test compares with the photo itself, which is not turned to the front, so that its
losses are no measure of this task.

Source of the settings: eladrich/pixel2style2pixel, README "Training pSp" and options/train_options.py.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    task="frontalise",
    head="fpn",
    trunk="irse50",
    in_channels=3,
    trunk_weights=Path("pretrained_models/model_ir_se50.pth"),
    steps_per_image=1,
    l2=0.001,
    l2_crop=0.01,
    lpips_crop=0.8,
    lpips=0.08,
    lpips_net="alex",
    lpips_trunk_weights=Path("pretrained_models/alexnet-owt-7be5be79.pth"),
    lpips_linear_weights=Path("pretrained_models/alex.pth"),
    identity=1.0,
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
