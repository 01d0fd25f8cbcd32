"""Gives a code one attribute of another code (Style Transformer, arXiv 2203.07932, section 3.3).

Upstream: `EditTransformerEncoder` in `models/encoders/edit_transformer_encoders.py` of sapphire497/style-transformer.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.latent_classifier import check_codes
from restyle_jax.nets.transformer import DecoderLayer, DecoderLayerConfig
from restyle_jax.ops.layers import at_least_float32


@dataclasses.dataclass(frozen=True)
class EditTransformerConfig:
    """What is edited, and how.

    num_styles, style_dim: K and D of the codes. attribute: what is taken from the reference; a model is trained for one.
    heads, hidden, dropout: see `nets.transformer.DecoderLayerConfig`.
    form: "paper": a reference token is divided among the tokens of the source that attend to it, by one head, and the output
        is added to the source. "official", for files of the official code: ordinary attention, and the output is the code.

    Raises ValueError if a size is impossible, or the attribute has no name.
    """

    num_styles: int
    attribute: str
    style_dim: int = 512
    heads: int = 4
    hidden: int = 1024
    dropout: float = 0.1
    form: Literal["paper", "official"] = "paper"

    def __post_init__(self) -> None:
        if self.num_styles < 1 or not self.attribute:
            raise ValueError(
                f"{self.num_styles} styles and attribute {self.attribute!r}: expected at least one, and a name"
            )
        if self.form not in ("paper", "official"):
            raise ValueError(f"form {self.form!r}: expected 'paper' or 'official'")
        _ = self.layer  # refuses sizes that make no layer

    @property
    def layer(self) -> DecoderLayerConfig:
        """The one layer that the network consists of."""
        over = "queries" if self.form == "paper" else "keys"
        return DecoderLayerConfig(self.style_dim, self.heads, self.hidden, self.dropout, cross_attention=over)


class EditTransformer(nnx.Module):
    """A decoder layer, whose tokens are the styles of the source and whose memory are those of the reference."""

    def __init__(self, config: EditTransformerConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.layer = DecoderLayer(config.layer, dtype=dtype, rngs=rngs)
        if config.form == "paper":
            # Behind a layer normalisation the change would be longer than the codes. Training starts from none at all.
            self.layer.norm3.scale = nnx.Param(jnp.zeros(config.style_dim))

    def __call__(self, source: jax.Array, reference: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
        """source, reference: f32[B, K, D], absolute codes -> the edited source, f32[B, K, D]. key: for dropout.

        Raises ValueError on codes of another shape.
        """
        for codes in (source, reference):
            check_codes(codes, self.config.num_styles, self.config.style_dim, "the network for edits by reference")
        output = at_least_float32(self.layer(source, reference, key=key))
        return source + output if self.config.form == "paper" else output
