"""StyleGAN2 with adaptive augmentation at 1024 px, as in the experiments of arXiv 2006.06676 on MetFaces.

    restyle train experiments/stylegan2_paper1024.py --data data/ffhq1024 --workdir runs/stylegan2_paper1024

Needs: pictures of 1024 x 1024 (`restyle data prepare`; or any folder of such pictures).

Hardware: 8 accelerators for more than a week.

Expected result: not measured by us.

Source of the settings: `train.py` of NVlabs/stylegan2-ada-pytorch, --cfg=paper1024. Its eight reference devices are the blocks of
`stddev_block`; bfloat16 everywhere in place of float16 in the four highest resolutions.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

config = StyleGANTraining(
    resolution=1024,
    channel_base=32768,
    batch_size=32,
    max_steps=781250,
    r1=2.0,
    stddev_block=4,
    augment="bgc",
    dtype="bfloat16",
)
