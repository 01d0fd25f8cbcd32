"""Between network modules and flat dicts of arrays."""

import dataclasses
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets import stylegan, stylegan2
from restyle_jax.nets.attributes import AttributeConfig, AttributeNetwork
from restyle_jax.nets.discriminators import Discriminator, DiscriminatorConfig
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig, PerceptualNetwork
from restyle_jax.nets.structure import structure
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig

# The network that each config describes.
NETWORKS: dict[type, Any] = {
    stylegan.GeneratorConfig: stylegan.Generator,
    stylegan2.GeneratorConfig: stylegan2.Generator,
    EncoderConfig: Encoder,
    StyleTransformerConfig: StyleTransformer,
    DiscriminatorConfig: Discriminator,
    AttributeConfig: AttributeNetwork,
    LatentClassifierConfig: LatentClassifier,
    EditTransformerConfig: EditTransformer,
    IdentityConfig: IdentityNetwork,
    PerceptualConfig: PerceptualNetwork,
}

M = TypeVar("M", bound=nnx.Module)


@dataclasses.dataclass(frozen=True)
class Blueprint(Generic[M]):
    """A network without its arrays: structure, shapes and dtypes."""

    graph: nnx.GraphDef[M]
    state: nnx.State

    @classmethod
    def of(cls, kind: type[M], config: Any, dtype: jax.typing.DTypeLike = jnp.float32) -> "Blueprint[M]":
        """The blueprint of `kind(config)` with the given compute dtype. Nothing is computed or allocated.

        Raises ValueError if the sizes in the config do not make a network.
        """
        try:
            return cls(*nnx.split(structure(kind, config, dtype=dtype)))
        except (ArithmeticError, LookupError, TypeError) as error:
            raise ValueError(f"{config} is not a network: {error}") from error

    @property
    def targets(self) -> dict[str, jax.ShapeDtypeStruct]:
        """{dotted path: shape and dtype} of every array that is stored with the network."""
        return {_name(path): variable.get_value() for path, variable in nnx.to_flat_state(self.state)}

    def fill(self, arrays: dict[str, np.ndarray], prefix: str = "") -> M:
        """The network with these arrays, {prefix + dotted path: array}. Takes them out of the dict, to keep memory low.

        The arrays must not be views of a mapped file: on CPU they become the network's own memory.
        """
        flat = [
            (path, variable.replace(jax.device_put(arrays.pop(prefix + _name(path)))))
            for path, variable in nnx.to_flat_state(self.state)
        ]
        return nnx.merge(self.graph, nnx.from_flat_state(flat))


def flat_arrays(module: nnx.Module) -> dict[str, np.ndarray]:
    """{dotted path: array} of everything that is stored with a network: parameters, statistics and buffers."""
    return {_name(path): np.asarray(variable.get_value()) for path, variable in nnx.to_flat_state(nnx.state(module))}


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)
