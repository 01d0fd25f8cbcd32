"""A network that reads attributes off a W+ code, without a picture (Style Transformer, arXiv 2203.07932, section 3.4).

Upstream: `LCNet_40` in `models/encoders/edit_transformer_encoders.py` of sapphire497/style-transformer.
"""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.residual import torch_bias_init, torch_kernel_init
from restyle_jax.ops.layers import at_least_float32, leaky_relu

CELEBA_ATTRIBUTES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose"),
    *("Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses"),
    *("Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks"),
    *("Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick"),
    *("Wearing_Necklace", "Wearing_Necktie", "Young"),
)
"""The names of the 40 outputs of official classifiers, in their order, that of CelebA."""


@dataclasses.dataclass(frozen=True)
class LatentClassifierConfig:
    """What the classifier reads and says. The defaults are the official sizes.

    num_styles, style_dim: K and D of the codes. attributes: names of the A outputs, in their order.
    widths: of the layers that all attributes share. embedding: E, how many numbers describe an attribute before its logit.

    Raises ValueError if a size is not positive, or names are missing or not different.
    """

    num_styles: int
    style_dim: int = 512
    attributes: tuple[str, ...] = CELEBA_ATTRIBUTES
    widths: tuple[int, ...] = (2048, 512)
    embedding: int = 32

    def __post_init__(self) -> None:
        sizes = (self.num_styles, self.style_dim, self.embedding, *self.widths)
        if not self.widths or min(sizes) < 1:
            raise ValueError(f"sizes {sizes}: expected positive numbers, and one shared layer at least")
        if not self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise ValueError(f"attributes {self.attributes}: expected at least one, all with different names")

    def index(self, attribute: str) -> int:
        """The number of an attribute. Raises ValueError that lists the known ones if there is no such attribute."""
        if attribute not in self.attributes:
            raise ValueError(
                f"attribute {attribute!r} is unknown to the classifier; it knows {', '.join(self.attributes)}"
            )
        return self.attributes.index(attribute)

    def values_of(self, attribute: str) -> tuple[int, ...]:
        """The numbers of the attributes that are meant: the one of that name, or the values of a choice, as `hair_colour` means
        `hair_colour_black`, `hair_colour_brown` and so on. Raises ValueError as `index` if there are none."""
        values = [i for i, name in enumerate(self.attributes) if name.startswith(f"{attribute}_")]
        return (self.index(attribute),) if attribute in self.attributes or not values else tuple(values)


class Reading(NamedTuple):
    """What B codes say. logits: f32[B, A], positive where an attribute is there; embeddings: f32[B, A, E]."""

    logits: jax.Array
    embeddings: jax.Array


class StackedLinear(nnx.Module):
    """A linear layers of their own: kernel [A, in, out], bias [A, out]."""

    def __init__(self, count: int, inputs: int, outputs: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        kernel_init = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform", batch_axis=0)
        self.kernel = nnx.Param(kernel_init(rngs.params(), (count, inputs, outputs), jnp.float32))
        self.bias = nnx.Param(torch_bias_init(inputs)(rngs.params(), (count, outputs), jnp.float32))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, in], common to all A, or [B, A, in] -> [B, A, out]."""
        pattern = "bi,aio->bao" if x.ndim == 2 else "bai,aio->bao"
        return jnp.einsum(pattern, x, self.kernel[...].astype(self.dtype)) + self.bias[...].astype(self.dtype)


class LatentClassifier(nnx.Module):
    """Shared dense layers over the flattened code; then for each attribute an embedding, and a logit read off that.

    Between the layers there are leaky ReLUs (slope 0.2) only, so that logits are piecewise linear in the code.
    """

    def __init__(self, config: LatentClassifierConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.config = config
        self.dtype = dtype
        sizes = (config.num_styles * config.style_dim, *config.widths)
        self.layers = nnx.List(
            nnx.Linear(*pair, kernel_init=torch_kernel_init, bias_init=torch_bias_init(pair[0]), dtype=dtype, rngs=rngs)
            for pair in itertools.pairwise(sizes)
        )
        count = len(config.attributes)
        self.embed = StackedLinear(count, sizes[-1], config.embedding, dtype=dtype, rngs=rngs)
        self.read = StackedLinear(count, config.embedding, 1, dtype=dtype, rngs=rngs)

    def __call__(self, w: jax.Array) -> Reading:
        """w: f32[B, K, D], absolute codes -> what they say. Raises ValueError on codes of another shape."""
        check_codes(w, self.config.num_styles, self.config.style_dim, "the classifier")
        x = w.reshape(len(w), -1).astype(self.dtype)
        for layer in self.layers:
            x = leaky_relu(layer(x))
        embeddings = self.embed(x)
        return Reading(at_least_float32(self.read(embeddings)[..., 0]), at_least_float32(embeddings))


def check_codes(w: jax.Array, num_styles: int, style_dim: int, reader: str) -> None:
    """Raises ValueError unless codes are [B, num_styles, style_dim], as `reader` (for the message) expects them."""
    if w.ndim != 3 or w.shape[1:] != (num_styles, style_dim):
        raise ValueError(
            f"codes of shape {w.shape}, but {reader} reads [B, {num_styles}, {style_dim}]: use one that was trained on codes "
            "of the same generator"
        )
