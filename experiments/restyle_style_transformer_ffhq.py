"""ReStyle over the Style Transformer for faces: FFHQ, 1024-px generator. Nobody has published this combination.

    restyle train experiments/restyle_style_transformer_ffhq.py --workdir runs/restyle_style_transformer_ffhq

Hardware: any number of devices (README.md has the cost of ReStyle; a refinement takes as long as a pass of the Style Transformer).

Expected result: unknown. To be compared with experiments/style_transformer_ffhq.py and experiments/restyle_psp_ffhq.py.

Source of the settings: the encoder and its losses from sapphire497/style-transformer, README "Training" and
options/train_options.py; everything about refinement from yuval-alaluf/restyle-encoder, README "Training ReStyle".
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/ffhq"),
    test_data=Path("data/celeba_hq"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    head="style_transformer",
    trunk="irse50",
    in_channels=6,
    trunk_weights=Path("pretrained_models/model_ir_se50.pth"),
    steps_per_image=5,
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
    eval_every=5000,
    save_every=10_000,
)
