"""e4e for cars: Stanford Cars, 512-px generator with black bars, one pass.

    restyle train experiments/e4e_cars.py --workdir runs/e4e_cars

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers.

Source of the settings: omertov/encoder4editing, README "Training the e4e Encoder" and options/train_options.py.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/cars"),
    generator=Path("pretrained_models/stylegan2-car-config-f.pt"),
    height=192,
    width=256,
    top=32,
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
    moco=0.5,
    moco_weights=Path("pretrained_models/moco_v2_800ep_pretrain.pt"),
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
