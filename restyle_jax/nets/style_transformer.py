"""The Style Transformer (arXiv 2203.07932): learned queries look at three levels of a feature pyramid, and become styles.

    queries ─► mapping network ─► coarse ─► medium ─► fine ─► K styles
                                    ▲         ▲        ▲
    x ─► trunk ─► feature pyramid:  16 px     32 px    64 px

Follows `models/encoders/style_transformer_encoders.py` of sapphire497/style-transformer.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import nnx

from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.residual import conv
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.stylegan2 import Mapping
from restyle_jax.nets.transformer import DecoderLayer, DecoderLayerConfig
from restyle_jax.nets.trunks import TRUNKS, finer_level, make_trunk, trunk_config


@dataclasses.dataclass(frozen=True)
class StyleTransformerConfig:
    """Sizes of a Style Transformer; the defaults are the published ones.

    num_styles: K, 2 log2(R) - 2 for a StyleGAN2 generator with images of R x R.
    in_channels: 3, or 6 for ReStyle (input and current reconstruction), which nobody has published.
    trunk, width: kind and depth of the residual network, and the channels of its first group.
    style_dim: width of tokens and styles.
    tokens: number of queries; None means K. Official files have 18 whatever the generator: those beyond K have no style, but the
        others attend to them.
    mapping_layers: of the mapping network that the queries pass through, which is the encoder's own.
    heads, hidden, dropout: of each decoder layer, see `nets.transformer.DecoderLayerConfig`.
    """

    num_styles: int
    in_channels: int = 3
    trunk: Literal["irse50", "irse100", "irse152", "resnet18", "resnet34", "resnet50"] = "irse50"
    style_dim: int = 512
    width: int = 64
    tokens: int | None = None
    mapping_layers: int = 8
    heads: int = 4
    hidden: int = 1024
    dropout: float = 0.1

    def __post_init__(self):
        if self.trunk not in TRUNKS:
            raise ValueError(f"unknown trunk {self.trunk!r}; there is " + ", ".join(TRUNKS))
        if not 1 <= self.num_styles <= self.num_tokens or self.mapping_layers < 1:
            raise ValueError(
                "a Style Transformer needs at least one style, as many tokens as styles and one mapping layer, but "
                f"num_styles={self.num_styles}, tokens={self.tokens}, mapping_layers={self.mapping_layers}"
            )

    @property
    def head(self) -> str:
        """What stands for this encoder where the others have their kind of style heads."""
        return "style_transformer"

    @property
    def num_tokens(self) -> int:
        """Number of queries."""
        return self.num_styles if self.tokens is None else self.tokens

    @property
    def trunk_config(self) -> IRSEConfig | ResNetConfig:
        """The config of the trunk, whose `channels` are those of its feature maps."""
        return trunk_config(self.trunk, self.in_channels, self.width)


class StyleTransformer(nnx.Module):
    """Image to K styles. What these are relative to, the mean latent or the previous step, is the caller's affair.

    Its mapping network starts as the generator's and is trained with the encoder: it is no longer one to sample with.
    """

    def __init__(self, config: StyleTransformerConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        width, trunk = config.style_dim, config.trunk_config
        self.trunk = make_trunk(trunk, dtype=dtype, rngs=rngs)

        def pointwise(channels: int) -> nnx.Conv:
            return conv(channels, width, 1, use_bias=True, dtype=dtype, rngs=rngs)

        def layer() -> DecoderLayer:
            sizes = DecoderLayerConfig(width, config.heads, config.hidden, config.dropout)
            return DecoderLayer(sizes, dtype=dtype, rngs=rngs)

        self.project = None if trunk.channels[-1] == width else pointwise(trunk.channels[-1])
        self.lateral1, self.lateral2 = pointwise(trunk.channels[-2]), pointwise(trunk.channels[-3])
        self.tokens = nnx.Param(jax.random.normal(rngs.params(), (config.num_tokens, width)))
        self.mapping = Mapping(width, width, config.mapping_layers, 0, rngs=rngs)
        self.coarse, self.medium, self.fine = layer(), layer(), layer()

    def __call__(
        self,
        x: jax.Array,
        stage: jax.typing.ArrayLike | None = None,
        train: bool = False,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """x: [B, H, W, in_channels] in [-1, 1] -> styles f32[B, K, style_dim].

        stage: None; only the encoders of e4e have one. train: normalise with batch statistics and update the running ones in
            place. key: for dropout; None drops nothing.
        Raises ValueError if `x` has the wrong number of channels, or if `stage` is given.
        """
        if x.shape[-1] != self.config.in_channels:
            raise ValueError(f"the encoder takes {self.config.in_channels} channels, but the image has {x.shape[-1]}")
        if stage is not None:
            raise ValueError("a Style Transformer has no progressive stage: call it with stage=None")
        tokens = jnp.broadcast_to(self.queries(), (x.shape[0], *self.tokens.shape))
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        layers = (self.coarse, self.medium, self.fine)
        for layer, memory, key in zip(layers, self.memories(x, train), keys, strict=True):
            tokens = layer(tokens, memory, key=key)
        return tokens[:, : self.config.num_styles].astype(jnp.float32)

    def queries(self) -> jax.Array:
        """What every picture begins with, f32[tokens, style_dim]."""
        return self.mapping(self.tokens[...])

    def memories(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, ...]:
        """x: [B, H, W, in_channels] -> what the coarse, the medium and the fine layer look at, [B, h w, style_dim] each.

        h and w are a sixteenth, an eighth and a quarter of H and W; pixels follow each other row by row.
        """
        *_, fine, middle, last = self.trunk(x, train)
        levels = [last if self.project is None else self.project(last)]
        for features, lateral in ((middle, self.lateral1), (fine, self.lateral2)):
            levels.append(finer_level(levels[-1], features, lateral))
        return tuple(rearrange(level, "b h w c -> b (h w) c") for level in levels)
