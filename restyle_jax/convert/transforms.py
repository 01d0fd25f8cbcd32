"""Named layout changes between upstream (torch) arrays and ours, each with its inverse.

A transform is one einops pattern, written `upstream -> ours`; the inverse is the same pattern read from right to left.
All of them only permute, reverse or reshape, so that a round trip is exact to the bit; batch counts beyond int32 end there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from einops import EinopsError, rearrange


@dataclass(frozen=True)
class Transform:
    """An invertible rearrangement.

    name: how error messages call it.
    pattern: einops pattern from the upstream layout to ours.
    sizes: lengths of axes that the pattern joins, where they cannot be inferred.
    upstream_dtype: dtype in an official file; ours is float32 for floats and int32 for integers.
    turned: whether our first two axes, the window of a convolution, run the other way.
    """

    name: str
    pattern: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    upstream_dtype: type = np.float32
    turned: bool = False

    def forward(self, array: np.ndarray) -> np.ndarray:
        """Upstream layout -> ours."""
        array = rearrange(array, self.pattern, **self.sizes)
        return array[::-1, ::-1] if self.turned else array

    def inverse(self, array: np.ndarray) -> np.ndarray:
        """Our layout -> upstream."""
        array = array[::-1, ::-1] if self.turned else array
        theirs, ours = self.pattern.split("->")
        return rearrange(array, f"{ours} -> {theirs}", **self.sizes)

    def upstream_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that an upstream array must have to become one of our `shape`."""
        return self.inverse(_blank(shape)).shape

    @property
    def form(self) -> str:
        """What an upstream array must be, for error messages."""
        return f"a {self.name} ({self.pattern.partition('->')[0].strip()})"

    def our_shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape that an upstream array of `shape` becomes, or None if it does not fit the pattern."""
        try:
            return self.forward(_blank(shape)).shape
        except EinopsError:
            return None


def _blank(shape: tuple[int, ...]) -> np.ndarray:
    """An array of that shape that occupies one byte."""
    return np.broadcast_to(np.zeros((), np.uint8), shape)


VECTOR = Transform("vector", "c -> c")
MATRIX = Transform("matrix", "h w -> h w")
NUMBER = Transform("number", " -> ")
CONV = Transform("convolution", "o i h w -> h w i o")
LINEAR = Transform("linear", "o i -> i o")
POINTWISE = Transform("1x1 convolution as a dense layer", "o i 1 1 -> i o")
COUNT = Transform("batch count", " -> ", upstream_dtype=np.int64)


def nearest(count: np.ndarray, dtype: Any) -> np.ndarray:
    """A batch count [] of any dtype (a file that was cast as a whole has floats) as the nearest integer of `dtype`; NaN as 0."""
    number, limits = count.item(), np.iinfo(dtype)
    return np.array(0 if math.isnan(number) else round(min(max(number, limits.min), limits.max)), dtype)


# rosinality/stylegan2-pytorch keeps the leading axis of one that its modulated convolutions broadcast over samples.
MODULATED_CONV = Transform("modulated convolution", "1 o i h w -> h w i o")
TO_RGB = Transform("modulated 1x1 convolution", "1 o i 1 1 -> i o")
RGB_BIAS = Transform("RGB bias", "1 c 1 1 -> c")
CONST = Transform("learned constant", "1 c h w -> h w c")
NOISE = Transform("noise map", "1 1 h w -> h w")
NOISE_STRENGTH = Transform("noise strength", "1 -> ")

QUERIES = Transform("learned queries", "1 n c -> n c")

NVLABS_CONST = Transform("learned constant", "c h w -> h w c")

# StyleGAN's official code has its up-convolutions from 128 px on as transposed convolutions, whose kernel runs the other way
# (`ops.resample.nearest_up_convolution`); idinvert_pytorch keeps those in the layout of TensorFlow.
TRANSPOSED_CONV = Transform("kernel of a transposed convolution", "o i h w -> h w i o", turned=True)
TRANSPOSED_CONV_HWIO = Transform("kernel of a transposed convolution", "h w i o -> h w i o", turned=True)

# The discriminator flattens its last 4x4 map channel-major upstream and channel-last here.
DENSE_4X4 = Transform("dense layer over a 4x4 map", "o (c h w) -> (h w c) o", {"h": 4, "w": 4})
