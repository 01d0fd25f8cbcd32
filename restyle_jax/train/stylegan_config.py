"""What can be said about the training of a generator. JAX is not imported here, see `train.config`."""

import dataclasses
from pathlib import Path
from typing import Literal

from restyle_jax.augment.config import PRESETS
from restyle_jax.train import checks
from restyle_jax.train.config import Run

Augmentation = Literal[
    "none", "blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"
]
FILTERED = 32  # the smallest resolution that `augment.filters` can amplify bands of, whose filters reach over 21 pixels


@dataclasses.dataclass(frozen=True)
class StyleGANTraining(Run):
    """Training of a StyleGAN2 generator and discriminator: the defaults are configuration F of the paper (arXiv 1912.04958).

    resolution: of the pictures, which must have this size already; a power of two. avatars: train on this many drawn faces
        (`data_pipelines.avatars`) instead of `data`. avatar_style: in which they are drawn.
    channel_base, channel_max: a layer at r px has min(channel_base / r, channel_max) channels.
    mapping_layers: dense layers from Z to W, both of `w_dim` numbers. (Those of the discriminator, for labels, are 8.)
    checkpoint: a generator and discriminator to go on from (rosinality .pt, NVlabs .pkl or our own), whose sizes are then
        taken; the optimisers start anew. Our own holds the averaged generator only, which is then also the one trained.
    labels: classes of the pictures, a JSON file {"labels": [[name, class], ...]} as the dataset.json of stylegan2-ada-pytorch;
        generator and discriminator are then conditional.
    flip: mirror one half of the pictures at random.
    learning_rate: of both Adam optimisers (momentum 0, 0.99), which are corrected for the lazy regularisers.
    r1: gamma of R1, which is computed every `r1_every` steps. path_length: weight of the path length regulariser, computed every
        `path_length_every` steps on one half of a batch; 0 leaves either out.
    style_mixing: probability that a batch gets a second code from a random style on.
    ema_kimg: half-life of the averaged generator in thousands of pictures; ema_ramp limits it to this part of those seen. The
        average of a checkpoint is continued without this ramp.
    stddev_group: pictures that are compared for the minibatch standard deviation. stddev_block: groups are formed inside
        blocks of this many pictures of a batch, such as those of one device in a published run; none takes the whole batch.
    augment: which operations of ADA (arXiv 2006.06676) are applied to what the discriminator sees. augment_p: their fixed
        probability; none adapts it until the sign of the scores of real pictures is `ada_target` on average, at a speed of 1
        in `ada_kimg` thousand pictures.
    features: the network that scores snapshots by FID, KID, precision and recall (see `restyle eval-generator`); none
        leaves that out. snapshot_pictures: of the data and of the generator, for these scores.
    dtype: in which the networks compute; with bfloat16 activations are clamped at 256.
    """

    batch_size: int = 32
    max_steps: int = 781_250
    image_every: int = 1000
    eval_every: int = 5000
    resolution: int = 256
    avatars: int | None = None
    avatar_style: Literal["painted", "comic"] = "painted"
    channel_base: int = 32768
    channel_max: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    checkpoint: Path | None = None
    labels: Path | None = None
    flip: bool = False
    learning_rate: float = 0.002
    r1: float = 10.0
    r1_every: int = 16
    path_length: float = 2.0
    path_length_every: int = 4
    style_mixing: float = 0.9
    ema_kimg: float = 10.0
    ema_ramp: float | None = None
    stddev_group: int = 4
    stddev_block: int | None = None
    augment: Augmentation = "none"
    augment_p: float | None = None
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    features: Path | None = None
    snapshot_pictures: int = 10_000
    dtype: Literal["float32", "bfloat16"] = "float32"

    @property
    def regularised(self) -> dict[str, int]:
        """The networks that have a regulariser, each with the number of steps in one of which it is due."""
        weights = {
            "generator": (self.path_length, self.path_length_every),
            "discriminator": (self.r1, self.r1_every),
        }
        return {role: every for role, (weight, every) in weights.items() if weight}


def problems(config: StyleGANTraining) -> list[str]:
    """One sentence for each value that is impossible or contradicts another."""
    if wrong := checks.mistyped(config):
        return wrong
    wrong = checks.out_of_range(config)
    if config.resolution < 8 or config.resolution & (config.resolution - 1):
        wrong.append(f"resolution: found {config.resolution}, expected a power of two from 8 on")
    if config.checkpoint is None and config.channel_base < config.resolution:
        wrong.append(
            f"channel_base: found {config.channel_base}, expected {config.resolution} (resolution) or more, so that each layer has "
            "channels"
        )
    if "imgfilter" in PRESETS.get(config.augment, ()) and config.resolution < FILTERED:
        wrong.append(
            f"augment: found {config.augment} at {config.resolution} px, expected operations without filters, such as bgc, or a "
            f"resolution of {FILTERED} or more"
        )
    if config.style_mixing > 1:
        wrong.append(f"style_mixing: found {config.style_mixing}, expected a probability")
    if config.ada_kimg <= 0:
        wrong.append(f"ada_kimg: found {config.ada_kimg}, expected more than 0")
    if config.augment == "none" and config.augment_p is not None:
        wrong.append(f"augment_p: found {config.augment_p} with augment none, expected none, or operations to apply")
    if config.avatars is None and config.avatar_style != "painted":
        wrong.append(f"avatar_style: found {config.avatar_style} without avatars, expected avatars, a number to draw")
    if config.test_data is not None:
        wrong.append(
            f"test_data: found {config.test_data}, expected none: a generator is compared with what it is trained on"
        )
    if unequal := checks.unequal_parts(config):
        return wrong + unequal
    if min(config.batch_size, config.micro_batches, config.stddev_group, config.stddev_block or 1) < 1:
        return wrong  # named already, and nothing to divide by
    part = config.batch_size // config.micro_batches
    block = min(config.stddev_block or part, part)
    if part % block or block % min(config.stddev_group, block):
        wrong.append(
            f"stddev_group and stddev_block: {part} pictures in a batch (or a part of it) do not divide into blocks of {block} "
            f"and these into groups of {config.stddev_group}; change batch_size or stddev_block (none: the whole batch)"
        )
    return wrong
