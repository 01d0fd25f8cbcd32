"""The face network behind the identity loss: ArcFace with an IR-SE trunk (arXiv 1801.07698).

Follows `criteria/id_loss.py` and `models/encoders/model_irse.py` of yuval-alaluf/restyle-encoder. Always in evaluation
mode: running statistics, no dropout.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.residual import torch_bias_init, torch_kernel_init
from restyle_jax.ops.normalization import BatchNorm, unit_norm
from restyle_jax.ops.pooling import adaptive_mean

PICTURE = 256  # pixels of an aligned FFHQ face
TOP, LEFT, SIDE = 35, 32, 188  # the part of it that the network sees
IRSE50 = IRSEConfig()
INPUT, LAST = 112, 7  # pixels of the network's input and of its last map


class FaceNetwork(nnx.Module):
    """Crop, adaptive pooling to 112 px, IR-SE trunk, and a dense layer between two batch normalisations.

    config: the trunk; the embedding is as wide as its last group. Weights come from `checkpoints.networks.load_face`.
    size: rows and columns of the pictures that it takes.
    """

    size = PICTURE

    def __init__(self, config: IRSEConfig = IRSE50, *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        width = config.channels[-1]
        self.trunk = IRSE(config, dtype=dtype, rngs=rngs)
        self.norm1 = BatchNorm(width)
        self.dense = nnx.Linear(
            LAST * LAST * width,
            width,
            kernel_init=torch_kernel_init,
            bias_init=torch_bias_init(LAST * LAST * width),
            rngs=rngs,
        )
        self.norm2 = BatchNorm(width)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: f32[B, 256, 256, 3] in [-1, 1], faces aligned as in FFHQ -> unit vectors f32[B, 512].

        Raises ValueError for pictures of another size, in which the crop would cut elsewhere.
        """
        return self.embed(crop(x))

    def embed(self, x: jax.Array) -> jax.Array:
        """The network alone. x: f32[B, 112, 112, 3] in [-1, 1] -> unit vectors f32[B, 512]."""
        x = self.norm1(self.trunk(x)[-1])
        return unit_norm(self.norm2(self.dense(x.reshape(x.shape[0], -1))))


def crop(x: jax.Array) -> jax.Array:
    """The part of a face that the network sees: rows 35 ... 222, columns 32 ... 219, pooled to 112 px.

    x: f32[B, 256, 256, 3] -> f32[B, 112, 112, 3]. Raises ValueError on another shape.
    """
    if x.shape[1:] != (PICTURE, PICTURE, 3):
        raise ValueError(
            f"pictures for the face network have shape {x.shape}, expected [B, {PICTURE}, {PICTURE}, 3]: its crop is made for "
            f"aligned faces of {PICTURE} x {PICTURE} pixels"
        )
    return adaptive_mean(x[:, TOP : TOP + SIDE, LEFT : LEFT + SIDE], INPUT, INPUT)
