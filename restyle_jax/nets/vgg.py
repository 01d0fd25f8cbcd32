"""VGG16 (arXiv 1409.1556) up to its second dense layer, whose features are those of the published precision and recall.

Torchvision's network and weights. stylegan2-ada-pytorch has an archive of its own; whether its weights are these was not checked.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.perceptual import activations, trunk
from restyle_jax.ops.pooling import max_pool
from restyle_jax.ops.resizing import corner_bilinear

INPUT = 224  # pixels
LAST_MAP = 7 * 7 * 512


class VGG16(nnx.Module):
    """The trunk of LPIPS (`perceptual.TRUNKS`), a last pooling, two dense layers with ReLU. Always in evaluation mode.

    features: width of the dense layers, 4096 as published. Weights come from `checkpoints.networks.load_vgg16`.
    """

    def __init__(self, features: int = 4096, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        self.dtype = dtype
        self.layers = trunk("vgg", dtype=dtype, rngs=rngs)
        self.dense1 = nnx.Linear(LAST_MAP, features, dtype=dtype, rngs=rngs)
        self.dense2 = nnx.Linear(features, features, dtype=dtype, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """images: [B, H, W, 3] of any size, with the values 0 to 255 -> features f32[B, 4096].

        Raises ValueError on another shape.
        """
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"pictures for VGG16 have shape {images.shape}, expected [B, H, W, 3]")
        x = corner_bilinear(images.astype(jnp.float32), INPUT, INPUT) / 127.5 - 1
        *_, x = activations("vgg", self.layers, x, self.dtype)
        x = max_pool(x, 2, 2).reshape(len(x), LAST_MAP)
        return jax.nn.relu(self.dense2(jax.nn.relu(self.dense1(x)))).astype(jnp.float32)
