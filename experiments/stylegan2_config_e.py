"""StyleGAN2, configuration E of the paper (arXiv 1912.04958): half the channels of F at high resolutions, stronger R1.

    restyle train experiments/stylegan2_config_e.py --data data/ffhq1024 --workdir runs/stylegan2_config_e

Needs: pictures of 1024 x 1024 (`restyle data prepare`; or any folder of such pictures).

Hardware: 8 accelerators for about a week.

Expected result: published FID (Inception, 50,000 pictures) 3.31.

Source of the settings: NVlabs/stylegan2, --config=config-e, whose gamma is 100.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    resolution=1024,
    channel_base=16384,
    batch_size=32,
    max_steps=781250,
    stddev_block=4,
    flip=True,
    r1=100.0,
)
