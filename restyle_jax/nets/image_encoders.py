"""The encoders that a model may have."""

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig

ImageEncoder = Encoder | StyleTransformer
ImageEncoderConfig = EncoderConfig | StyleTransformerConfig

ARCHITECTURES: dict[str, type[ImageEncoderConfig]] = {
    "style_heads": EncoderConfig,
    "style_transformer": StyleTransformerConfig,
}


def make_encoder(
    config: ImageEncoderConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> ImageEncoder:
    """The encoder of a config."""
    if isinstance(config, StyleTransformerConfig):
        return StyleTransformer(config, dtype=dtype, rngs=rngs)
    return Encoder(config, dtype=dtype, rngs=rngs)
