"""The convolutions below the small networks that we train ourselves on drawn pictures (attributes, identity, perception)."""

from itertools import pairwise

import jax
import jax.numpy as jnp
from einops import rearrange, reduce
from flax import nnx

from restyle_jax.nets.residual import conv
from restyle_jax.ops.layers import at_least_float32, leaky_relu

GROUP = 8  # channels that are normalised together

he_normal = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")


def check_sizes(resolution: int, widths: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a trunk of these widths for pictures of `resolution` px."""
    if not widths or any(width < GROUP or width % GROUP for width in widths):
        raise ValueError(f"widths {widths}: expected multiples of {GROUP}")
    if resolution < 2 ** len(widths) or resolution % 2 ** len(widths):
        raise ValueError(f"resolution {resolution}: expected a multiple of {2 ** len(widths)}")


class Block(nnx.Module):
    """Residual block with the activations before the convolutions (arXiv 1603.05027), which halves the resolution."""

    def __init__(self, in_channels: int, out_channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        def block_conv(channels: int, size: int, stride: int) -> nnx.Conv:
            return conv(channels, out_channels, size, stride, kernel_init=he_normal, dtype=dtype, rngs=rngs)

        self.norm1 = _norm(in_channels, dtype=dtype, rngs=rngs)
        self.conv1 = block_conv(in_channels, 3, 2)
        self.norm2 = _norm(out_channels, dtype=dtype, rngs=rngs)
        self.conv2 = block_conv(out_channels, 3, 1)
        self.shortcut = block_conv(in_channels, 1, 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, in] -> [B, H / 2, W / 2, out]."""
        y = self.conv1(leaky_relu(self.norm1(x)))
        y = self.conv2(leaky_relu(self.norm2(y)))
        return y + self.shortcut(reduce(x, "b (h i) (w j) c -> b h w c", "mean", i=2, j=2))


class SmallTrunk(nnx.Module):
    """Input layer and residual blocks, each of which halves the resolution, and a last normalisation.

    resolution: R, rows and columns of the pictures. widths: channels behind the input layer and behind each block.
    what: the network in words, for errors. Raises ValueError as `check_sizes`.
    """

    def __init__(
        self,
        resolution: int,
        widths: tuple[int, ...],
        what: str,
        *,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_sizes(resolution, widths)
        self.size = resolution
        self.what = what
        self.dtype = dtype
        self.input_layer = conv(3, widths[0], 3, 2, use_bias=True, kernel_init=he_normal, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List([Block(*pair, dtype=dtype, rngs=rngs) for pair in pairwise(widths)])
        self.norm = _norm(widths[-1], dtype=dtype, rngs=rngs)

    def maps(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """What each stage sees of x f32[B, R, R, 3] in [-1, 1]: the activations that enter the blocks, and the last ones.

        f32[B, R / 2, R / 2, widths[0]], f32[B, R / 4, R / 4, widths[1]], ... Raises ValueError on another shape.
        """
        if x.ndim != 4 or x.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"pictures for the {self.what} have shape {x.shape}, expected [B, {self.size}, {self.size}, 3]: resize them"
            )
        x, seen = self.input_layer(x.astype(self.dtype)), []
        for block in self.blocks:
            seen.append(leaky_relu(block.norm1(x)))
            x = block(x)
        return tuple(at_least_float32(y) for y in (*seen, leaky_relu(self.norm(x))))


class GatheringTrunk(SmallTrunk):
    """The same with a linear layer over the whole map that is left.

    A mean over space would forget where something was seen: many attributes are places, and others are seen in one place only.
    """

    def __init__(
        self,
        resolution: int,
        widths: tuple[int, ...],
        features: int,
        what: str,
        *,
        dtype: jax.typing.DTypeLike,
        rngs: nnx.Rngs,
    ):
        super().__init__(resolution, widths, what, dtype=dtype, rngs=rngs)
        cells = (resolution // 2 ** len(widths)) ** 2
        self.gather = nnx.Linear(cells * widths[-1], features, kernel_init=he_normal, rngs=rngs)

    def gathered(self, x: jax.Array) -> jax.Array:
        """x: f32[B, R, R, 3] in [-1, 1] -> f32[B, features], not activated. Raises ValueError on another shape."""
        return self.gather(rearrange(self.maps(x)[-1], "b h w c -> b (h w c)"))


def _norm(channels: int, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs) -> nnx.GroupNorm:
    return nnx.GroupNorm(channels, num_groups=None, group_size=GROUP, dtype=dtype, rngs=rngs)
