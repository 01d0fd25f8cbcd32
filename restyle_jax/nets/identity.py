"""A small network that says who is in a picture, trained on drawn faces (`train.identity`), for the identity loss."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.small_trunk import GatheringTrunk, check_sizes
from restyle_jax.ops.normalization import unit_norm


@dataclasses.dataclass(frozen=True)
class IdentityConfig:
    """What the network sees, and how it describes a face.

    resolution: rows and columns of the pictures. widths: channels behind the input layer and behind each block, all of which
    halve the resolution. features: D, numbers that describe a face.

    Raises ValueError if there are no features, or the sizes do not fit each other.
    """

    resolution: int
    widths: tuple[int, ...] = (32, 48, 80, 96)
    features: int = 64

    def __post_init__(self) -> None:
        check_sizes(self.resolution, self.widths)
        if self.features < 1:
            raise ValueError(f"features {self.features}: expected 1 or more")


class IdentityNetwork(GatheringTrunk):
    """Trunk, a linear layer over the whole map that is left, and unit length. It takes the place of `nets.face.FaceNetwork`."""

    def __init__(self, config: IdentityConfig, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        sizes = (config.resolution, config.widths, config.features)
        super().__init__(*sizes, "identity network", dtype=dtype, rngs=rngs)
        self.config = config

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: f32[B, R, R, 3] in [-1, 1], R as in the config -> unit vectors f32[B, D]. Raises ValueError on another shape."""
        return unit_norm(self.gathered(x))
