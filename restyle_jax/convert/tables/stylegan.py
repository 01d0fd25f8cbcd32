"""StyleGAN in the names of genforce/idinvert_pytorch (`models/stylegan_generator_network.py`) and of genforce/genforce
(`models/stylegan_generator.py`).

Both have transposed convolutions from 128 px on, as NVlabs/stylegan.
"""

from collections.abc import Sequence

import numpy as np

from restyle_jax.convert.engine import Constant, Entry, Ignored, Row
from restyle_jax.convert.tables.layers import AVERAGE_APART, dense
from restyle_jax.convert.transforms import (
    CONST,
    CONV,
    LINEAR,
    MATRIX,
    NOISE,
    TRANSPOSED_CONV,
    TRANSPOSED_CONV_HWIO,
    VECTOR,
)

AVERAGE, COEFFICIENTS = "truncation.w_avg", "truncation.truncation"
FIRST_TRANSPOSED = 128
LEVEL_OF_DETAIL = Constant(
    "synthesis.lod", np.zeros((), np.float32), "the level of detail at the end of progressive growing"
)


def idinvert(channels: Sequence[int], mapping_layers: int, *, conditional: bool) -> list[Entry]:
    """Rows of a generator with these widths from 4 px upwards, in the state-dict order of idinvert_pytorch."""
    rows = _embedding(conditional)
    for layer in range(mapping_layers):
        rows += _scaled_dense(f"mapping.layers.{layer}", f"mapping.dense{layer}")
    coefficients = Ignored(COEFFICIENTS, "how far each style is truncated, which is an argument here")
    rows += [Ignored(AVERAGE, AVERAGE_APART), coefficients, LEVEL_OF_DETAIL]
    for block, width in enumerate(channels):
        ours, output = f"synthesis.blocks.{block}", f"synthesis.output{block}"
        first, second = (f"synthesis.layer{2 * block + i}" for i in (0, 1))
        if block:
            name, transform = ("weight", TRANSPOSED_CONV_HWIO) if _transposed(block) else ("conv.weight", CONV)
            rows += [Row(f"{ours}.conv0.kernel", f"{first}.{name}", transform), _blur(first, width)]
        else:
            rows.append(Row("synthesis.const", f"{first}.const", CONST))
        rows += [
            *_epilogue(f"{ours}.epilogue0", f"{first}.epilogue"),
            Row(f"{ours}.conv1.kernel", f"{second}.conv.weight", CONV),
            *_epilogue(f"{ours}.epilogue1", f"{second}.epilogue"),
            Row(f"{ours}.to_rgb.bias", f"{output}.bias", VECTOR),
            Row(f"{ours}.to_rgb.conv.kernel", f"{output}.conv.weight", CONV),
        ]
    return rows


def _epilogue(ours: str, theirs: str) -> list[Entry]:
    return [
        Row(f"{ours}.bias", f"{theirs}.bias", VECTOR),
        *_noise(ours, f"{theirs}.apply_noise"),
        *_scaled_dense(f"{ours}.style", f"{theirs}.style_mod.dense"),
    ]


def _scaled_dense(ours: str, theirs: str) -> list[Entry]:
    """A linear layer whose bias belongs to the layer behind it."""
    return [Row(f"{ours}.kernel", f"{theirs}.fc.weight", LINEAR), Row(f"{ours}.bias", f"{theirs}.wscale.bias", VECTOR)]


def genforce(channels: Sequence[int], mapping_layers: int, *, conditional: bool) -> list[Entry]:
    """Rows of a generator with these widths from 4 px upwards, in the state-dict order of genforce."""
    rows = _embedding(conditional)
    for layer in range(mapping_layers):
        rows += dense(f"mapping.layers.{layer}", f"mapping.dense{layer}")
    rows += [Ignored(AVERAGE, AVERAGE_APART), LEVEL_OF_DETAIL]
    for block, width in enumerate(channels):
        ours, output = f"synthesis.blocks.{block}", f"synthesis.output{block}"
        first, second = (f"synthesis.layer{2 * block + i}" for i in (0, 1))
        if block:
            transform = TRANSPOSED_CONV if _transposed(block) else CONV
            rows += _layer(f"{ours}.epilogue0", first, Row(f"{ours}.conv0.kernel", f"{first}.weight", transform))
            rows.append(_blur(first, width))
        else:
            rows += _layer(f"{ours}.epilogue0", first, Row("synthesis.const", f"{first}.const", CONST))
        rows += [
            *_layer(f"{ours}.epilogue1", second, Row(f"{ours}.conv1.kernel", f"{second}.weight", CONV)),
            Row(f"{ours}.to_rgb.bias", f"{output}.bias", VECTOR),
            Row(f"{ours}.to_rgb.conv.kernel", f"{output}.weight", CONV),
        ]
    return rows


def _layer(ours: str, theirs: str, weight: Row) -> list[Entry]:
    """A convolution (or the constant) and the epilogue `ours`, which are one module there."""
    return [
        Row(f"{ours}.bias", f"{theirs}.bias", VECTOR),
        weight,
        *_noise(ours, f"{theirs}.apply_noise"),
        *dense(f"{ours}.style", f"{theirs}.style"),
    ]


def _embedding(conditional: bool) -> list[Entry]:
    return [Row("mapping.embedding", "mapping.label_weight", MATRIX)] if conditional else []


def _transposed(block: int) -> bool:
    return 4 * 2**block >= FIRST_TRANSPOSED


def _blur(layer: str, channels: int) -> Constant:
    taps = np.asarray(np.outer([1, 2, 1], [1, 2, 1]) / 16, np.float32)
    return Constant(f"{layer}.blur.kernel", np.broadcast_to(taps, (channels, 1, 3, 3)))


def _noise(ours: str, theirs: str) -> list[Entry]:
    return [Row(f"{ours}.noise_strength", f"{theirs}.weight", VECTOR), Row(f"{ours}.noise", f"{theirs}.noise", NOISE)]
