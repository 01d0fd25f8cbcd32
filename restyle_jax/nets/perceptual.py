"""LPIPS: the learned perceptual distance of Zhang et al. (arXiv 1801.03924), as ReStyle computes it (`criteria/lpips`).

Version 0.1 with the AlexNet, VGG16 or SqueezeNet 1.1 of torchvision below. There is no dropout: the loss is always in
evaluation mode. `nets.small_perceptual` has the same distance on a network of our own.
"""

import abc
import functools
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.ops.convolution import for_flax
from restyle_jax.ops.normalization import unit_norm
from restyle_jax.ops.pooling import max_pool

NetName = Literal["alex", "vgg", "squeeze"]


Convolution = functools.partial(nnx.Conv, conv_general_dilated=for_flax)


class Conv(NamedTuple):
    """Convolution and ReLU."""

    channels: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    tap: bool = False


class Fire(NamedTuple):
    """SqueezeNet's module (arXiv 1602.07360): 1x1 to `squeeze` channels, then 1x1 and 3x3 to `expand` channels each."""

    squeeze: int
    expand: int
    tap: bool = False


class Pool(NamedTuple):
    """Max-pooling with stride 2."""

    size: int
    ceil: bool = False


Layer = Conv | Fire | Pool

# torchvision's `features`, up to the last layer that LPIPS looks at; `tap` marks the layers that it compares.
TRUNKS: dict[str, tuple[Layer, ...]] = {
    "alex": (
        Conv(64, 11, 4, 2, tap=True),
        Pool(3),
        Conv(192, 5, padding=2, tap=True),
        Pool(3),
        Conv(384, tap=True),
        Conv(256, tap=True),
        Conv(256, tap=True),
    ),
    "vgg": (
        Conv(64),
        Conv(64, tap=True),
        Pool(2),
        Conv(128),
        Conv(128, tap=True),
        Pool(2),
        Conv(256),
        Conv(256),
        Conv(256, tap=True),
        Pool(2),
        Conv(512),
        Conv(512),
        Conv(512, tap=True),
        Pool(2),
        Conv(512),
        Conv(512),
        Conv(512, tap=True),
    ),
    "squeeze": (
        Conv(64, stride=2, padding=0, tap=True),
        Pool(3, ceil=True),
        Fire(16, 64),
        Fire(16, 64, tap=True),
        Pool(3, ceil=True),
        Fire(32, 128),
        Fire(32, 128, tap=True),
        Pool(3, ceil=True),
        Fire(48, 192, tap=True),
        Fire(48, 192, tap=True),
        Fire(64, 256, tap=True),
        Fire(64, 256, tap=True),
    ),
}

# ImageNet's mean and standard deviation for pictures in [-1, 1].
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

SMALLEST = 32  # pixels: below, AlexNet has nothing left after its second pooling


class FireModule(nnx.Module):
    """The layers of a `Fire`."""

    def __init__(self, in_channels: int, fire: Fire, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs):
        self.squeeze = Convolution(in_channels, fire.squeeze, (1, 1), dtype=dtype, rngs=rngs)
        self.expand1x1 = Convolution(fire.squeeze, fire.expand, (1, 1), dtype=dtype, rngs=rngs)
        self.expand3x3 = Convolution(fire.squeeze, fire.expand, (3, 3), padding=1, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x: [B, H, W, in] -> [B, H, W, 2 expand]."""
        x = jax.nn.relu(self.squeeze(x))
        return jnp.concatenate([self.expand1x1(x), self.expand3x3(x)], axis=-1)


def trunk(net: NetName, *, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs) -> nnx.List:
    """The layers of `TRUNKS[net]` that have parameters."""
    layers, channels = [], 3
    for layer in TRUNKS[net]:
        match layer:
            case Conv(out_channels, size, stride, padding):
                window = (size, size)
                layers.append(
                    Convolution(channels, out_channels, window, stride, padding=padding, dtype=dtype, rngs=rngs)
                )
                channels = out_channels
            case Fire(_, expand):
                layers.append(FireModule(channels, layer, dtype=dtype, rngs=rngs))
                channels = 2 * expand
    return nnx.List(layers)


def activations(net: NetName, modules: nnx.List, x: jax.Array, dtype: jax.typing.DTypeLike) -> Iterator[jax.Array]:
    """x: f32[B, H, W, 3] in [-1, 1] -> what comes out of each layer of `TRUNKS[net]`, [B, h, w, C] in `dtype`."""
    x = ((x - jnp.array(MEAN)) / jnp.array(STD)).astype(dtype)
    remaining = iter(modules)
    for layer in TRUNKS[net]:
        pooled = isinstance(layer, Pool)
        x = max_pool(x, layer.size, 2, ceil=layer.ceil) if pooled else jax.nn.relu(next(remaining)(x))
        yield x


class PerceptualDistance(nnx.Module):
    """Weighted squared differences of channel-normalised features, averaged over space and summed over layers.

    size: rows and columns of the pictures that it takes, or None for any. weights: one for each channel of each layer.
    """

    size: int | None = None

    def __init__(self, channels: Sequence[int]):
        self.weights = nnx.List([nnx.Param(jnp.ones((width,))) for width in channels])

    def __call__(self, y: jax.Array, x: jax.Array) -> jax.Array:
        """y, x: pictures as `features` takes them -> distances f32[B], 0 for equal pictures.

        Symmetric. Its mean over the batch is the official loss. Raises ValueError on other shapes.
        """
        return self.distances(self.features(y), self.features(x)).sum(axis=-1)

    @abc.abstractmethod
    def features(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """x: f32[B, H, W, 3] in [-1, 1] -> the features that are compared, f32[B, h, w, C] of unit length along C.

        With them, the features of one picture serve many comparisons. Raises ValueError on other shapes.
        """

    def distances(self, a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> jax.Array:
        """The distance in every layer between two results of `features`: f32[B, layers]."""

        def distance(p: jax.Array, q: jax.Array, weight: nnx.Param) -> jax.Array:
            # Fused with the division that makes its unit vectors, p - q is rounded once only, and not zero where p equals q.
            difference = jnp.where(p == q, 0.0, p - q)
            return jnp.sum(jnp.square(difference) * weight[...], axis=-1).mean(axis=(1, 2))

        return jnp.stack([distance(*parts) for parts in zip(a, b, self.weights, strict=True)], axis=-1)


class LPIPS(PerceptualDistance):
    """The published distance, with a network of torchvision.

    net: the network below. Raises ValueError if it is not one of "alex", "vgg", "squeeze". Weights come from
    `checkpoints.networks.load_lpips`. Features are computed in `dtype`, distances in float32.
    """

    def __init__(self, net: NetName = "alex", *, dtype: jax.typing.DTypeLike = jnp.float32, rngs: nnx.Rngs):
        if net not in TRUNKS:
            raise ValueError(
                f"there is no LPIPS with the network {net!r}, expected one of {', '.join(get_args(NetName))}"
            )
        tapped = [layer for layer in TRUNKS[net] if not isinstance(layer, Pool) and layer.tap]
        super().__init__([layer.channels if isinstance(layer, Conv) else 2 * layer.expand for layer in tapped])
        self.net: NetName = net
        self.dtype = dtype
        self.layers = trunk(net, dtype=dtype, rngs=rngs)

    def features(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """See `PerceptualDistance`; pictures are at least 32 px high and wide."""
        if x.ndim != 4 or x.shape[3] != 3 or min(x.shape[1:3]) < SMALLEST:
            raise ValueError(
                f"pictures for LPIPS have shape {x.shape}, expected [B, H, W, 3] with H and W of at least {SMALLEST}"
            )
        walked = zip(TRUNKS[self.net], activations(self.net, self.layers, x, self.dtype), strict=True)
        tapped = (y for layer, y in walked if not isinstance(layer, Pool) and layer.tap)
        return tuple(unit_norm(y.astype(jnp.float32)) for y in tapped)
