"""Style Transformer for cars: Stanford Cars, 512-px generator with black bars, one pass.

    restyle train experiments/style_transformer_cars.py --workdir runs/style_transformer_cars

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). Which the authors used, and for how long, is
not published.

Expected result: no numbers are known here.

Source of the settings: sapphire497/style-transformer, README "Training" and options/train_options.py; the trunk is that of
faces, as there. Three things are ours: the weight of the similarity loss, which is documented nowhere (0.5, as for e4e's
cars); 16 tokens, one for each style (as in the paper; the code always has 18); and the crop of the generator's black bars,
without which the official code compares pictures of unequal size. Eight workers read the pictures, there the trainer itself.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/cars"),
    generator=Path("pretrained_models/stylegan2-car-config-f.pt"),
    height=192,
    width=256,
    top=32,
    head="style_transformer",
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
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=4,
    workers=8,
    max_steps=600_000,
    image_every=5000,
    eval_every=5000,
    save_every=10_000,
)
