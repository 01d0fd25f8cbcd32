"""Style Transformer for faces: FFHQ, 1024-px generator, one pass.

    restyle train experiments/style_transformer_ffhq.py --workdir runs/style_transformer_ffhq

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). Which the authors used, and for how long, is
not published.

Expected result: no numbers are known here; the paper claims smaller errors than pSp and e4e with a sixth of pSp's parameters.

Source of the settings: sapphire497/style-transformer, README "Training" and options/train_options.py. (Its training script
does not run: it passes its loss one argument too many. The encoder with its mapping network is trained, the generator not.)
Eight workers read the pictures, there the trainer itself.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
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
    identity=0.1,
    identity_weights=Path("pretrained_models/model_ir_se50.pth"),
    optimizer="ranger",
    learning_rate=1e-4,
    batch_size=8,
    test_batch_size=8,
    workers=8,
    max_steps=600_000,
    image_every=5000,
    eval_every=5000,
    save_every=10_000,
)
