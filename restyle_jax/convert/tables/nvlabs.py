"""StyleGAN2 in the names of NVlabs/stylegan2-ada-pytorch (`training/networks.py`); the StyleGAN2 networks of the
stylegan3 repository use the same names.

These tables are only read. Up-convolution kernels have the same orientation as ours (the flip flags of the original
cancel), so nothing is flipped.
"""

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
