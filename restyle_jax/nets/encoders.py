"""The encoders of pSp, e4e and ReStyle: a residual trunk and K style heads (arXiv 2008.00951, 2102.02766, 2104.02699).

Upstream has one class per combination (`models/encoders/*.py`); here the head and the trunk are two fields of a config.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.residual import conv
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.style_heads import StyleHeads
from restyle_jax.nets.trunks import TRUNKS, finer_level, make_trunk, trunk_config

# Styles taken from the coarsest and the middle map of the feature pyramid; the finest map gives the rest.
COARSE, MIDDLE = 3, 4


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Which encoder: a head, a trunk and their sizes.

    head: "backbone", all K styles from the last map of the trunk; "fpn", from three levels of a feature pyramid
        (upstream "gradual"); "progressive" and "fpn_progressive", the same two in the parameterisation of e4e, in which
        head 0 gives w and head i gives the offset of style i from w.
    trunk: kind and depth of the residual network.
    num_styles: K, 2 log2(R) - 2 for a StyleGAN2 generator with images of R x R.
    in_channels: 6 for ReStyle (input and current reconstruction), 3 for pSp and e4e, 1 or 19 for sketches or label maps.
    style_dim: width of a style. head_width: channels inside the heads; None makes them as wide as a style, as published.
    width: channels of the first group of the trunk.
    head_convs: number of stride-2 convolutions between the last map of the trunk and a style; the middle and the fine
        level of the pyramid have one and two more. Height and width of an image may be anything up to
        16 * 2**head_convs, that is 256 by default: smaller maps reach one position earlier and stay there.
    """

    head: Literal["backbone", "progressive", "fpn", "fpn_progressive"]
    trunk: Literal["irse50", "irse100", "irse152", "resnet18", "resnet34", "resnet50"]
    num_styles: int
    in_channels: int = 6
    style_dim: int = 512
    width: int = 64
    head_convs: int = 4
    head_width: int | None = None

    def __post_init__(self):
        for name, known in (("head", HEADS), ("trunk", TRUNKS)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; there is " + ", ".join(known))
        if self.num_styles < 1 or self.head_convs < 1 or self.head_channels < 1:
            raise ValueError(
                f"an encoder needs at least one style, and one convolution and one channel per head, "
                f"but num_styles={self.num_styles}, head_convs={self.head_convs}, head_width={self.head_width}"
            )

    @property
    def head_channels(self) -> int:
        """Channels inside the heads."""
        return self.style_dim if self.head_width is None else self.head_width

    @property
    def pyramid(self) -> bool:
        """Whether the styles come from three levels of a feature pyramid."""
        return self.head in ("fpn", "fpn_progressive")

    @property
    def progressive(self) -> bool:
        """Whether the heads give w and offsets from it (e4e) instead of the styles themselves."""
        return self.head in ("progressive", "fpn_progressive")

    @property
    def levels(self) -> tuple[int, int, int]:
        """Number of styles from the coarse, the middle and the fine level of a pyramid; their sum is `num_styles`."""
        coarse = min(COARSE, self.num_styles)
        middle = min(MIDDLE, self.num_styles - coarse)
        return coarse, middle, self.num_styles - coarse - middle

    @property
    def max_size(self) -> int:
        """Largest height and width of an image for which every head ends at a single position."""
        return 16 * 2**self.head_convs

    @property
    def trunk_config(self) -> IRSEConfig | ResNetConfig:
        """The config of the trunk, whose `channels` are those of its feature maps."""
        return trunk_config(self.trunk, self.in_channels, self.width)


def head_convs(side: int) -> int:
    """The least number of convolutions of a head, `EncoderConfig.head_convs`, for images whose larger side is `side`; 4 for 256."""
    return max(1, (side - 1).bit_length() - 4)


HEADS = ("backbone", "progressive", "fpn", "fpn_progressive")

# Head and trunk of the official classes, by the name that their checkpoints carry in opts["encoder_type"]: the six of
# ReStyle (of which GradualStyleEncoder is pSp's), and e4e's.
OFFICIAL: dict[str, tuple[str, str]] = {
    "BackboneEncoder": ("backbone", "irse50"),
    "ResNetBackboneEncoder": ("backbone", "resnet34"),
    "GradualStyleEncoder": ("fpn", "irse50"),
    "ResNetGradualStyleEncoder": ("fpn", "resnet34"),
    "ProgressiveBackboneEncoder": ("progressive", "irse50"),
    "ResNetProgressiveBackboneEncoder": ("progressive", "resnet34"),
    "Encoder4Editing": ("fpn_progressive", "irse50"),
}


class Encoder(nnx.Module):
    """Image to K styles. What these are relative to, the mean latent or the previous step, is the caller's affair."""

    def __init__(self, config: EncoderConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        trunk = config.trunk_config
        self.trunk = make_trunk(trunk, dtype=dtype, rngs=rngs)

        def pointwise(channels: int) -> nnx.Conv:
            return conv(channels, config.head_channels, 1, use_bias=True, dtype=dtype, rngs=rngs)

        def heads(level: int, count: int) -> StyleHeads:
            sizes = (config.head_channels, config.style_dim, config.head_convs + level)
            return StyleHeads(count, *sizes, dtype=dtype, rngs=rngs)

        equal = trunk.channels[-1] == config.head_channels
        self.project = None if equal else pointwise(trunk.channels[-1])
        if config.pyramid:
            coarse, middle, fine = config.levels
            self.coarse = heads(0, coarse)
            self.middle = heads(1, middle) if middle else None
            self.fine = heads(2, fine) if fine else None
            self.lateral1 = pointwise(trunk.channels[-2])
            self.lateral2 = pointwise(trunk.channels[-3])
        else:
            self.heads = heads(0, config.num_styles)

    def __call__(
        self,
        x: jax.Array,
        stage: jax.typing.ArrayLike | None = None,
        train: bool = False,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """x: [B, H, W, in_channels] in [-1, 1] -> styles f32[B, K, style_dim].

        stage: for a progressive head, the last style that differs from style 0, as an integer that may be traced;
            None means all of them.
        train: normalise with batch statistics and update the running ones in place.
        key: without effect; encoders with dropout take it in the same place (`nets.style_transformer`).
        Raises ValueError if `x` has the wrong number of channels or is larger than `config.max_size`, or if `stage` is
        given to a head that has none.
        """
        del key
        config = self.config
        _, height, width, channels = x.shape
        if channels != config.in_channels or max(height, width) > config.max_size:
            raise ValueError(
                f"the encoder takes {config.in_channels} channels and at most {config.max_size} x {config.max_size} "
                f"pixels, but the image has {channels} channels and {height} x {width} pixels"
            )
        if stage is not None and not config.progressive:
            raise ValueError(f"a {config.head!r} head has no progressive stage: call it with stage=None")
        *_, fine, middle, last = self.trunk(x, train)
        if self.project is not None:
            last = self.project(last)
        styles = self.pyramid_styles(fine, middle, last) if config.pyramid else self.heads(last)
        styles = styles.astype(jnp.float32)
        return offsets_to_styles(styles, stage) if config.progressive else styles

    def end_at(self, stage: jax.typing.ArrayLike) -> None:
        """Make the styles of a progressive head beyond a stage equal style 0 for good: without a stage, the encoder then gives what
        it gave at this one."""
        every = (self.coarse, self.middle, self.fine) if self.config.pyramid else (self.heads,)
        first = 0
        for heads in every:
            if heads is not None:
                kernel, bias = heads.linear.kernel, heads.linear.bias
                kept = first + jnp.arange(len(bias[...])) <= stage
                kernel[...] *= kept[:, None, None]
                bias[...] *= kept[:, None]
                first += len(kept)

    def pyramid_styles(self, fine: jax.Array, middle: jax.Array, last: jax.Array) -> jax.Array:
        """The last three maps of the trunk -> [B, K, style_dim]; each level is enlarged and added to the next finer one."""
        level, styles = last, [self.coarse(last)]
        for features, lateral, heads in ((middle, self.lateral1, self.middle), (fine, self.lateral2, self.fine)):
            if heads is not None:
                level = finer_level(level, features, lateral)
                styles.append(heads(level))
        return jnp.concatenate(styles, 1)


def offsets_to_styles(outputs: jax.Array, stage: jax.typing.ArrayLike | None = None) -> jax.Array:
    """e4e's parameterisation: style 0 is output 0, style i is output 0 plus output i for 1 <= i <= stage, else output 0.

    outputs: [B, K, D] -> [B, K, D]. `stage` None means K - 1. Gradients of the outputs beyond the stage are zero.
    """
    index = jnp.arange(outputs.shape[1])
    active = (index > 0) & (index <= (outputs.shape[1] if stage is None else stage))
    return outputs[:, :1] + jnp.where(active[:, None], outputs, 0)
