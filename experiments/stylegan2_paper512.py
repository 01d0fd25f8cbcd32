"""StyleGAN2 with adaptive augmentation at 512 px, as in the experiments of arXiv 2006.06676 on AFHQ.

    restyle train experiments/stylegan2_paper512.py --data data/ffhq512 --workdir runs/stylegan2_paper512

Needs: pictures of 512 x 512 (`restyle data prepare`; or any folder of such pictures).

Hardware: 8 accelerators for a week.

Expected result: not measured by us.

Source of the settings: `train.py` of NVlabs/stylegan2-ada-pytorch, --cfg=paper512. Its eight reference devices are the blocks of
`stddev_block`; bfloat16 everywhere in place of float16 in the four highest resolutions.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    resolution=512,
    channel_base=32768,
    batch_size=64,
    max_steps=390625,
    learning_rate=0.0025,
    r1=0.5,
    ema_kimg=20.0,
    stddev_group=8,
    stddev_block=8,
    augment="bgc",
    dtype="bfloat16",
)
