"""StyleGAN2 with adaptive augmentation, with settings that follow from the resolution and the number of devices: a first try on
pictures of one's own.

    restyle train experiments/stylegan2_auto.py --data pictures --workdir runs/stylegan2_auto

Needs: pictures of 256 x 256, or of what --resolution says, which other settings follow; edit the number of devices below.

Hardware: DEVICES accelerators for some days.

Expected result: not measured by us.

Source of the settings: `train.py` of NVlabs/stylegan2-ada-pytorch, --cfg=auto; bfloat16 everywhere in place of float16 in the four
highest resolutions.
"""

from restyle_jax.train.stylegan_config import StyleGANTraining

DEVICES = 1


def config(resolution: int = 256, batch_size: int | None = None) -> StyleGANTraining:
    """The settings for pictures of this size. Those of the regularisers stay if another batch size is given, as in the source."""
    # fits into the memory of a device, and no more than 64
    usual = max(min(DEVICES * min(4096 // max(resolution, 1), 32), 64), DEVICES)
    batch = max(batch_size or usual, 1)
    return StyleGANTraining(
        resolution=resolution,
        channel_base=32768 if resolution >= 512 else 16384,
        mapping_layers=2,
        batch_size=batch,
        max_steps=25_000_000 // batch,
        learning_rate=0.002 if resolution >= 1024 else 0.0025,
        r1=0.0002 * resolution**2 / usual,
        ema_kimg=usual * 10 / 32,
        ema_ramp=0.05,
        stddev_group=min(usual // DEVICES, 4),
        stddev_block=max(batch // DEVICES, 1),
        augment="bgc",
        dtype="bfloat16",
    )
