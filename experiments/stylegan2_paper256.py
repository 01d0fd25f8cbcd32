"""StyleGAN2 with adaptive augmentation at 256 px, as in the experiments of arXiv 2006.06676 on FFHQ.

    restyle train experiments/stylegan2_paper256.py --data data/ffhq256 --workdir runs/stylegan2_paper256

Needs: pictures of 256 x 256 (`restyle data prepare`; or any folder of such pictures).

Hardware: 8 accelerators for some days.

Expected result: not measured by us.

Source of the settings: `train.py` of NVlabs/stylegan2-ada-pytorch, --cfg=paper256. Its eight reference devices are the blocks of
`stddev_block`; bfloat16 everywhere in place of float16 in the four highest resolutions.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    resolution=256,
    channel_base=16384,
    batch_size=64,
    max_steps=390625,
    learning_rate=0.0025,
    r1=1.0,
    ema_kimg=20.0,
    stddev_group=8,
    stddev_block=8,
    augment="bgc",
    dtype="bfloat16",
)
