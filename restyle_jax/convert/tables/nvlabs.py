"""StyleGAN2 in the names of NVlabs/stylegan2-ada-pytorch (`training/networks.py`); the StyleGAN2 networks of the
stylegan3 repository use the same names.

These tables are only read. Up-convolution kernels have the same orientation as ours (the flip flags of the original
cancel), so nothing is flipped.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from restyle_jax.convert.engine import Entry, Ignored, Row
from restyle_jax.convert.tables.layers import AVERAGE_APART, dense, fir
from restyle_jax.convert.transforms import (
    CONV,
    DENSE_4X4,
    MATRIX,
    NUMBER,
    NVLABS_CONST,
    POINTWISE,
    VECTOR,
)

AVERAGE = "mapping.w_avg"


def generator(blocks: int, mapping_layers: int, *, conditional: bool) -> list[Entry]:
    """Rows of a skip-architecture generator with `blocks` resolutions."""
    rows: list[Entry] = [Row("synthesis.const", "synthesis.b4.const", NVLABS_CONST)]
    for block in range(blocks):
        ours, theirs = f"synthesis.blocks.{block}", f"synthesis.b{4 * 2**block}"
        rows.append(fir(f"{theirs}.resample_filter", gain=1))
        for conv in ("conv0", "conv1") if block else ("conv1",):
            rows += _styled_conv(f"{ours}.{conv}", f"{theirs}.{conv}")
        rows.append(Row(f"{ours}.to_rgb.kernel", f"{theirs}.torgb.weight", POINTWISE))
        rows.append(Row(f"{ours}.to_rgb.bias", f"{theirs}.torgb.bias", VECTOR))
        rows += dense(f"{ours}.to_rgb.modulation", f"{theirs}.torgb.affine")
    return [*rows, *_mapping(mapping_layers, conditional=conditional), Ignored(AVERAGE, AVERAGE_APART)]


def _styled_conv(ours: str, theirs: str) -> list[Entry]:
    return [
        Row(f"{ours}.kernel", f"{theirs}.weight", CONV),
        Row(f"{ours}.noise_strength", f"{theirs}.noise_strength", NUMBER),
        Row(f"{ours}.bias", f"{theirs}.bias", VECTOR),
        fir(f"{theirs}.resample_filter", gain=1),
        Row(f"{ours}.noise", f"{theirs}.noise_const", MATRIX),
        *dense(f"{ours}.modulation", f"{theirs}.affine"),
    ]


def _mapping(layers: int, *, conditional: bool) -> list[Entry]:
    rows = dense("mapping.embed", "mapping.embed") if conditional else []
    for layer in range(layers):
        rows += dense(f"mapping.layers.{layer}", f"mapping.fc{layer}")
    return rows


def discriminator(blocks: int, mapping_layers: int, *, conditional: bool) -> list[Entry]:
    """Rows of a residual discriminator with `blocks` blocks, the first at the full resolution 4 * 2**blocks."""
    full = f"b{4 * 2**blocks}"
    rows: list[Entry] = _conv("from_rgb", f"{full}.fromrgb") if blocks else []
    for block in range(blocks):
        ours, theirs = f"blocks.{block}", f"b{4 * 2 ** (blocks - block)}"
        rows += [
            fir(f"{theirs}.resample_filter", gain=1),
            *_conv(f"{ours}.conv0", f"{theirs}.conv0"),
            *_conv(f"{ours}.conv1", f"{theirs}.conv1"),
            Row(f"{ours}.skip.kernel", f"{theirs}.skip.weight", CONV),
            fir(f"{theirs}.skip.resample_filter", gain=1),
        ]
    if conditional:
        rows += _mapping(mapping_layers, conditional=True)
    return [
        *rows,
        *_conv("conv", "b4.conv"),
        Row("dense.kernel", "b4.fc.weight", DENSE_4X4),
        Row("dense.bias", "b4.fc.bias", VECTOR),
        *dense("out", "b4.out"),
    ]


def _conv(ours: str, theirs: str) -> list[Entry]:
    return [
        Row(f"{ours}.kernel", f"{theirs}.weight", CONV),
        Row(f"{ours}.bias", f"{theirs}.bias", VECTOR),
        fir(f"{theirs}.resample_filter", gain=1),
    ]


def architecture_fault(role: str, node: Mapping[str, Any]) -> str | None:
    """Why a network of NVlabs's is none of ours, or None."""
    state = node.get("state", {})
    if any(re.match(r"synthesis\.(L\d+_|input\.)", key) for key in state):
        return "a StyleGAN3 network"
    certain = "synthesis.b4.conv1.weight" if role == "generator" else "b4.fc.weight"
    if certain not in state:
        return f"a network without {certain}"
    wanted = {"architecture": "skip" if role == "generator" else "resnet", "img_channels": 3}
    for path, value in node["attributes"].items():
        name = path.rpartition(".")[2]
        if name in wanted and value != wanted[name]:
            return f"{name}={value!r} in place of {wanted[name]!r}"
        positive = value is None or (type(value) in (int, float) and 0 < value < math.inf)
        if name in ("conv_clamp", "group_size") and not positive:
            return f"{path}={value!r} in place of a number above 0"
        # Dense and convolutional layers have a leaky ReLU, except the affine, output, embedding and skip layers.
        if name == "activation" and value not in ("lrelu", "linear"):
            return f"activation={value!r} in place of 'lrelu'"
        if re.fullmatch(r"mapping\.fc\d+\.bias_gain", path) and value != 0.01:
            return f"a mapping network with lr_multiplier={value!r} in place of 0.01"
    return None
