"""ReStyle over pSp for horses: LSUN horse, 256-px generator.

    restyle train experiments/restyle_psp_horse.py --workdir runs/restyle_psp_horse

Hardware: any number of devices (README.md has the cost). The official code uses one GPU; which kind, and for how long,
is not published.

Expected result: none is published; the paper trains on horses over e4e only. These are the settings of its other domains.

Source of the settings: yuval-alaluf/restyle-encoder, README "Training ReStyle" and options/train_options.py,
"Additional Notes".
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/lsun_horse"),
    generator=Path("pretrained_models/stylegan2-horse-config-f.pt"),
    head="backbone",
    trunk="resnet34",
    in_channels=6,
    trunk_weights=Path("pretrained_models/resnet34-333f7ec4.pth"),
    steps_per_image=5,
    l2=1.0,
    lpips=0.8,
    lpips_net="alex",
    lpips_trunk_weights=Path("pretrained_models/alexnet-owt-7be5be79.pth"),
    lpips_linear_weights=Path("pretrained_models/alex.pth"),
    moco=0.5,
    moco_weights=Path("pretrained_models/moco_v2_800ep_pretrain.pt"),
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=8,
    workers=8,
    max_steps=500_000,
    eval_every=5000,
    save_every=10_000,
)
