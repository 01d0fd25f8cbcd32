"""ReStyle over e4e for horses: LSUN horse, 256-px generator.

    restyle train experiments/restyle_e4e_horse.py --workdir runs/restyle_e4e_horse

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers (the paper shows curves and pictures).

Source of the settings: yuval-alaluf/restyle-encoder, README "Training ReStyle" and options/e4e_train_options.py,
"Additional Notes".

The official code shows the latent discriminator the encoder's codes without the average code, which this run does not
copy; `--discriminator-codes upstream` does.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/lsun_horse"),
    generator=Path("pretrained_models/stylegan2-horse-config-f.pt"),
    head="progressive",
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
    test_batch_size=8,
    workers=8,
    max_steps=500_000,
    eval_every=1000,
)
