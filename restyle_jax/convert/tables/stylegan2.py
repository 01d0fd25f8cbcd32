"""StyleGAN2 in the names of rosinality/stylegan2-pytorch (`model.py`), which pSp, e4e and ReStyle share.

Blocks are counted from 4x4 upwards in the generator, and from the full resolution downwards in the discriminator.
"""

from restyle_jax.convert.engine import Entry, Row
from restyle_jax.convert.tables.layers import dense, fir
from restyle_jax.convert.transforms import (
    CONST,
    CONV,
    DENSE_4X4,
    LINEAR,
    MODULATED_CONV,
    NOISE,
    NOISE_STRENGTH,
    RGB_BIAS,
    TO_RGB,
    VECTOR,
)


def generator(blocks: int, mapping_layers: int) -> list[Entry]:
    """Rows of a generator with `blocks` resolutions (4 px .. 4 * 2**(blocks-1) px), in state-dict order."""
    rows: list[Entry] = []
    # style.0 is the pixel norm, which has no parameters.
    for layer in range(mapping_layers):
        rows += dense(f"mapping.layers.{layer}", f"style.{layer + 1}")
    rows.append(Row("synthesis.const", "input.input", CONST))
    rows += _styled_conv("synthesis.blocks.0.conv1", "conv1", up=False)
    rows += _to_rgb("synthesis.blocks.0.to_rgb", "to_rgb1", up=False)
    for block in range(1, blocks):
        rows += _styled_conv(f"synthesis.blocks.{block}.conv0", f"convs.{2 * block - 2}", up=True)
        rows += _styled_conv(f"synthesis.blocks.{block}.conv1", f"convs.{2 * block - 1}", up=False)
    for block in range(1, blocks):
        rows += _to_rgb(f"synthesis.blocks.{block}.to_rgb", f"to_rgbs.{block - 1}", up=True)
    rows.append(Row("synthesis.blocks.0.conv1.noise", "noises.noise_0", NOISE))
    for block in range(1, blocks):
        rows.append(Row(f"synthesis.blocks.{block}.conv0.noise", f"noises.noise_{2 * block - 1}", NOISE))
        rows.append(Row(f"synthesis.blocks.{block}.conv1.noise", f"noises.noise_{2 * block}", NOISE))
    return rows


def _styled_conv(ours: str, theirs: str, *, up: bool) -> list[Entry]:
    blur = [fir(f"{theirs}.conv.blur.kernel", gain=4)] if up else []
    return [
        Row(f"{ours}.kernel", f"{theirs}.conv.weight", MODULATED_CONV),
        *blur,
        *dense(f"{ours}.modulation", f"{theirs}.conv.modulation"),
        Row(f"{ours}.noise_strength", f"{theirs}.noise.weight", NOISE_STRENGTH),
        Row(f"{ours}.bias", f"{theirs}.activate.bias", VECTOR),
    ]


def _to_rgb(ours: str, theirs: str, *, up: bool) -> list[Entry]:
    upsample = [fir(f"{theirs}.upsample.kernel", gain=4)] if up else []
    return [
        Row(f"{ours}.bias", f"{theirs}.bias", RGB_BIAS),
        *upsample,
        Row(f"{ours}.kernel", f"{theirs}.conv.weight", TO_RGB),
        *dense(f"{ours}.modulation", f"{theirs}.conv.modulation"),
    ]


def discriminator(blocks: int) -> list[Entry]:
    """Rows of a discriminator with `blocks` residual blocks (down to 8 px), in state-dict order."""
    rows: list[Entry] = _conv("from_rgb", "convs.0", first=0)
    for block in range(blocks):
        ours, theirs = f"blocks.{block}", f"convs.{block + 1}"
        rows += [
            *_conv(f"{ours}.conv0", f"{theirs}.conv1", first=0),
            fir(f"{theirs}.conv2.0.kernel", gain=1),
            *_conv(f"{ours}.conv1", f"{theirs}.conv2", first=1),
            fir(f"{theirs}.skip.0.kernel", gain=1),
            Row(f"{ours}.skip.kernel", f"{theirs}.skip.1.weight", CONV),
        ]
    return [
        *rows,
        *_conv("conv", "final_conv", first=0),
        Row("dense.kernel", "final_linear.0.weight", DENSE_4X4),
        Row("dense.bias", "final_linear.0.bias", VECTOR),
        Row("out.kernel", "final_linear.1.weight", LINEAR),
        Row("out.bias", "final_linear.1.bias", VECTOR),
    ]


def _conv(ours: str, theirs: str, *, first: int) -> list[Entry]:
    """A convolution and the activation after it, which owns the bias; `first` counts the modules before them."""
    return [
        Row(f"{ours}.kernel", f"{theirs}.{first}.weight", CONV),
        Row(f"{ours}.bias", f"{theirs}.{first + 1}.bias", VECTOR),
    ]
