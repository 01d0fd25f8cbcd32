"""What can be said about a training run. An experiment is a file that builds one of these; every field is also an option of
`restyle train`, with hyphens for underscores. JAX is not imported here, so that the help of that command starts at once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import optax

    from restyle_jax.nets.image_encoders import ImageEncoderConfig
    from restyle_jax.refine import Geometry

    MakeOptimizer = Callable[[], optax.GradientTransformation]
else:
    MakeOptimizer = Callable

OptimizerName = Literal["ranger", "adam"]


@dataclasses.dataclass(frozen=True)
class Run:
    """The part of a configuration that the loop reads, whatever is trained.

    data: a folder made by `restyle data prepare`, or a folder of pictures (with `train/` and `test/` inside, or else
        `test_data` beside it).
    batch_size: over all devices of all hosts, which share it equally. test_batch_size likewise.
    micro_batches: into how many parts the share of each device is split to save memory; their gradients are averaged.
    max_unreadable: how many damaged pictures training may skip before it gives up.
    keep: how many checkpoints are kept besides the best one.
    """

    data: Path | None = None
    test_data: Path | None = None
    batch_size: int = 8
    test_batch_size: int = 8
    micro_batches: int = 1
    max_steps: int = 500_000
    log_every: int = 50
    image_every: int = 100
    eval_every: int = 1000
    save_every: int = 1000
    keep: int = 2
    workers: int = 2
    max_unreadable: int = 100
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class EncoderTraining(Run):
    """Training of a ReStyle, pSp, e4e or Style Transformer encoder: the defaults are the published ReStyle-pSp settings for faces.

    generator: checkpoint with the StyleGAN2 generator that is inverted. checkpoint: a model to start from (its encoder, and
        its generator if `generator` is not given); the counters and the optimiser start anew. A single-pass encoder may start one
        that refines.
    head, trunk, in_channels: see `nets.encoders.EncoderConfig`, and for "style_transformer" `nets.style_transformer`; 6 channels
        refine, any other number is a single pass.
    trunk_width, head_width: channels of the first group of a new trunk, 64 in all published ones, and inside new style heads,
        where none means those of a style, as published.
    trunk_weights: IR-SE50 face network or torchvision ResNet to start the trunk from; None starts from random weights.
    extra_channels: how its input layer, or that of `checkpoint`, is extended to more channels; "fresh" does not take it from the
        file at all.
    task: what the source picture is, and how it relates to the target (pSp section 4); "inversion" has one picture for both.
        resize_factors: by one of which super-resolution reduces a picture. label_resize: the filter that brings the label maps of
        a segmentation to size; "bilinear" makes up labels along borders, as in the training of the published checkpoint.
    height, width, top: geometry of the encoder's input, see `refine.Geometry`.
    steps_per_image: N. random_steps: draw the number of steps of every batch from 1 ... N. through_steps: back-propagate
        through all steps (rematerialised) instead of treating each step's input as a constant. loss_on: "every" step or
        only the "last". average_steps: the mean of the steps' losses instead of the sum.
    random_noise: fresh generator noise in every step, as upstream, instead of the stored noise maps.
    l2 ... delta: weights of the losses; a weight of 0 leaves the term and its network out.
    lpips_net: which LPIPS, with the torchvision trunk and the LPIPS v0.1 linear layers read from `lpips_trunk_weights` and
        `lpips_linear_weights`; identity_weights: model_ir_se50.pth; moco_weights: moco_v2_800ep_pretrain.pt. Instead,
        lpips_trunk_weights and identity_weights may be folders of networks trained here (experiments/avatars/perceptual.py,
        experiments/avatars/identity.py), for pictures of their size. moco_normalise: show the MoCo network pictures normalised as
        in its own training, which the published settings do not.
    progressive_start, progressive_every: e4e's schedule: style i is freed at step start + (i - 1) every; None trains all.
    discriminator_learning_rate, r1, r1_every, pool_size: latent discriminator (in use if `adversarial` is not 0).
    discriminator_codes: show it the encoder's codes as they are used ("absolute"), or as ReStyle's code does without w_avg
        ("upstream", to reproduce the published schedule).
    optimizer: "ranger", "adam", or (in an experiment file) a function that returns an optax transformation, which has its own
        learning rate: `learning_rate` and `decay_from` do not concern it, and it is not logged.
    decay_from: the step from which the learning rate falls, as half a cosine, to 0 at `max_steps`; None keeps it constant.
    train_generator: also train the synthesis network. (No gradient reaches the mapping network, which W+ codes bypass; a Style
        Transformer has one of its own, which is always trained.)
    freeze_batch_norm: keep the running statistics of `checkpoint` and normalise with them, in training as in inversion, instead of
        those of each batch, which differ from one refinement step to the next.
    ema: decay of a moving average of what is trained, which is then evaluated and exported; None keeps none.
    remat: recompute the networks in the backward pass to save memory. dtype: in which the networks compute.
    """

    generator: Path | None = None
    checkpoint: Path | None = None
    head: Literal["backbone", "progressive", "fpn", "fpn_progressive", "style_transformer"] = "backbone"
    trunk: Literal["irse50", "irse100", "irse152", "resnet18", "resnet34", "resnet50"] = "irse50"
    in_channels: int = 6
    trunk_width: int = 64
    head_width: int | None = None
    trunk_weights: Path | None = None
    extra_channels: Literal["normal", "zero", "copy", "fresh"] = "normal"
    task: Literal["inversion", "sketch", "segmentation", "super_resolution", "frontalise"] = "inversion"
    height: int = 256
    width: int = 256
    top: int = 0
    flip: bool = True
    resize_factors: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    label_resize: Literal["nearest", "bilinear"] = "nearest"
    steps_per_image: int = 5
    random_steps: bool = False
    through_steps: bool = False
    loss_on: Literal["every", "last"] = "every"
    average_steps: bool = False
    random_noise: bool = True
    l2: float = 1.0
    lpips: float = 0.8
    identity: float = 0.0
    moco: float = 0.0
    w_norm: float = 0.0
    l2_crop: float = 0.0
    lpips_crop: float = 0.0
    adversarial: float = 0.0
    delta: float = 0.0
    lpips_net: Literal["alex", "vgg", "squeeze"] = "alex"
    lpips_trunk_weights: Path | None = None
    lpips_linear_weights: Path | None = None
    identity_weights: Path | None = None
    moco_weights: Path | None = None
    moco_normalise: bool = False
    progressive_start: int | None = None
    progressive_every: int = 2000
    discriminator_learning_rate: float = 2e-5
    r1: float = 10.0
    r1_every: int = 16
    pool_size: int = 50
    discriminator_codes: Literal["absolute", "upstream"] = "absolute"
    optimizer: OptimizerName | MakeOptimizer = "ranger"
    learning_rate: float = 1e-4
    decay_from: int | None = None
    train_generator: bool = False
    freeze_batch_norm: bool = False
    ema: float | None = None
    remat: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"

    @property
    def geometry(self) -> "Geometry":
        """Height, width and crop of the encoder's input."""
        from restyle_jax.refine import Geometry

        return Geometry(self.height, self.width, self.top)

    def encoder(self, num_styles: int, style_dim: int = 512, mapping_layers: int = 8) -> "ImageEncoderConfig":
        """The encoder for a generator with `num_styles` styles: its heads have as many convolutions as its pictures need, and a
        Style Transformer a mapping network like the generator's."""
        from restyle_jax.nets.encoders import EncoderConfig, head_convs
        from restyle_jax.nets.style_transformer import StyleTransformerConfig

        if self.head == "style_transformer":
            return StyleTransformerConfig(
                num_styles, self.in_channels, self.trunk, style_dim, self.trunk_width, mapping_layers=mapping_layers
            )
        heads = head_convs(max(self.height, self.width)), self.head_width
        return EncoderConfig(self.head, self.trunk, num_styles, self.in_channels, style_dim, self.trunk_width, *heads)
