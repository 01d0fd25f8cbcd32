"""pSp from label maps of 19 classes to faces: CelebAMask-HQ, 1024-px FFHQ generator.

    restyle train experiments/psp_celebs_segmentation.py --workdir runs/psp_celebs_segmentation

Hardware: any number of devices (README.md has the cost of ReStyle-pSp). The official code uses one GPU; which kind,
and for how long, is not published.

Expected result: not published as numbers.

Source of the settings: eladrich/pixel2style2pixel, README "Training pSp" and options/train_options.py.

The data folder holds pairs: `train/source/NAME.png` and `train/target/NAME.jpg`, likewise in `test/`; make it with
`restyle data prepare folder`. The sources are grey pictures whose values are the classes 0 ... 18. The official code resizes them
bilinearly, which makes up labels along borders: `--label-resize bilinear` does so as well.
"""

from pathlib import Path

from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    data=Path("data/celeba_hq_segmentation"),
    generator=Path("pretrained_models/stylegan2-ffhq-config-f.pt"),
    task="segmentation",
    flip=False,
    head="fpn",
    trunk="irse50",
    in_channels=19,
    trunk_weights=Path("pretrained_models/model_ir_se50.pth"),
    extra_channels="fresh",
    steps_per_image=1,
    l2=1.0,
    lpips=0.8,
    lpips_net="alex",
    lpips_trunk_weights=Path("pretrained_models/alexnet-owt-7be5be79.pth"),
    lpips_linear_weights=Path("pretrained_models/alex.pth"),
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
