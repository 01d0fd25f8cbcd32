"""The network behind the similarity loss of domains other than faces: ResNet-50 trained with MoCo v2 (arXiv 2003.04297).

Follows `criteria/moco_loss.py` of yuval-alaluf/restyle-encoder, which does not filter when it resizes, and does not normalise
its input as MoCo's own training did (an option here). Always in evaluation mode.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.perceptual import MEAN, STD
from restyle_jax.nets.resnet import DEPTHS, ResNet, ResNetConfig
from restyle_jax.ops.normalization import unit_norm
from restyle_jax.ops.pooling import nearest

INPUT = 224  # pixels

RESNET50 = ResNetConfig(DEPTHS[50], bottleneck=True, max_pool=True)


class MoCoNetwork(nnx.Module):
    """Nearest-neighbour resizing to 224 px, ResNet-50, mean over space.

    normalise: by ImageNet's mean and standard deviation, before the trunk. Weights come from `checkpoints.networks.load_moco`.
    """

    def __init__(
        self,
        config: ResNetConfig = RESNET50,
        *,
        normalise: bool = False,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.normalise = normalise
        self.trunk = ResNet(config, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: f32[B, H, W, 3] in [-1, 1], of any size and ratio -> unit vectors f32[B, 2048]. Raises ValueError on another shape."""
        if x.ndim != 4 or x.shape[3] != 3:
            raise ValueError(f"pictures for the MoCo network have shape {x.shape}, expected [B, H, W, 3]")
        return unit_norm(self.feature_map(x).mean(axis=(1, 2)))

    def feature_map(self, x: jax.Array) -> jax.Array:
        """x: f32[B, H, W, 3] -> f32[B, 7, 7, 2048], before the mean over space."""
        x = nearest(x, INPUT, INPUT)
        if self.normalise:
            x = (x - jnp.array(MEAN)) / jnp.array(STD)
        return self.trunk(x)[-1].astype(jnp.float32)
