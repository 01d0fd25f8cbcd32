"""StyleGAN2, configuration F of the paper (arXiv 1912.04958), on FFHQ at 1024 px.

    restyle train experiments/stylegan2_config_f.py --data data/ffhq1024 --workdir runs/stylegan2_config_f

Needs: pictures of 1024 x 1024 (`restyle data prepare`; or any folder of such pictures).

Hardware: 8 accelerators for more than a week.

Expected result: published FID (Inception, 50,000 pictures) 2.84.

Source of the settings: NVlabs/stylegan2, --config=config-f.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    resolution=1024,
    channel_base=32768,
    batch_size=32,
    max_steps=781250,
    stddev_block=4,
    flip=True,
)
