"""A perceptual distance in the form of LPIPS (`nets.perceptual`) on a small trunk that was trained on drawn pictures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax.nets.perceptual import PerceptualDistance
from restyle_jax.nets.small_trunk import SmallTrunk, check_sizes
from restyle_jax.nets.structure import structure
from restyle_jax.ops.normalization import unit_norm


@dataclasses.dataclass(frozen=True)
class PerceptualConfig:
    """What the network sees.

    resolution: rows and columns of the pictures. widths: of the trunk, all of whose stages are compared.

    Raises ValueError if the sizes do not fit each other.
    """

    resolution: int
    widths: tuple[int, ...] = (32, 48, 80, 96)

    def __post_init__(self) -> None:
        check_sizes(self.resolution, self.widths)


class PerceptualNetwork(PerceptualDistance):
    """The maps of a trunk, compared as LPIPS does. It takes the place of `nets.perceptual.LPIPS`."""

    def __init__(self, config: PerceptualConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        super().__init__(config.widths)
        self.config = config
        self.size = config.resolution
        self.trunk = SmallTrunk(config.resolution, config.widths, "perceptual network", dtype=dtype, rngs=rngs)

    def features(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """See `PerceptualDistance`; pictures have the resolution of the config."""
        return tuple(unit_norm(y) for y in self.trunk.maps(x))

    def differences(self, a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> jax.Array:
        """What the weights weigh, between two results of `features`: f32[B, C], mean squared differences of the C channels of all
        layers, one after the other."""
        return jnp.concatenate([jnp.square(p - q).mean(axis=(1, 2)) for p, q in zip(a, b, strict=True)], axis=-1)


def on_trunk(network: SmallTrunk, weights: np.ndarray) -> PerceptualNetwork:
    """The distance on the trunk of another network, which it shares; weights: f32[C], as `differences` orders channels.

    Raises ValueError if there are not C of them, or some are negative or not finite: then it is no distance.
    """
    widths = (network.input_layer.out_features, *(block.conv1.out_features for block in network.blocks))
    if weights.shape != (sum(widths),) or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"weights of shape {weights.shape}: expected {sum(widths)} numbers of 0 or more")
    config = PerceptualConfig(network.size, widths)
    found = structure(PerceptualNetwork, config)
    found.trunk.input_layer, found.trunk.blocks, found.trunk.norm = network.input_layer, network.blocks, network.norm
    parts = np.split(np.asarray(weights, np.float32), np.cumsum(widths)[:-1])
    found.weights = nnx.List([nnx.Param(jnp.array(part)) for part in parts])
    return found
