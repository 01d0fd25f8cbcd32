"""Analytic floating-point operations (two per multiply-add) of convolutions and matrix products for one image.

They follow from the sizes of the networks, not from the form in which a product is computed, so that a form which
multiplies zeros is not credited for it. Everything else (activations, filters, normalisation) is left out: 1-2 percent.
"""

from itertools import pairwise
from math import prod
from typing import NamedTuple

from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.face import INPUT, IRSE50, LAST
from restyle_jax.nets.image_encoders import ImageEncoderConfig
from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.perceptual import TRUNKS, Conv, Fire, NetName, Pool
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.style_transformer import StyleTransformerConfig
from restyle_jax.nets.stylegan2 import GeneratorConfig
from restyle_jax.train.config import EncoderTraining


def synthesis_flops(config: GeneratorConfig) -> int:
    """W+ to image. A transposed convolution counts its kernel at every input pixel; the affine layers of the styles are in."""
    total, previous = 0, None
    for index, width in enumerate(config.channels):
        pixels = 16 * 4**index
        if previous is not None:
            total += 9 * previous * width * pixels // 4 + previous * config.w_dim
        total += 9 * width * width * pixels + 3 * width * pixels + 2 * width * config.w_dim
        previous = width
    return 2 * total


def mapping_flops(config: GeneratorConfig) -> int:
    """Z to W, without labels."""
    return 2 * config.w_dim * (config.z_dim + (config.mapping_layers - 1) * config.w_dim)


def discriminator_flops(config: DiscriminatorConfig) -> int:
    """Image to score, without labels."""
    widths, pixels = config.channels, config.resolution**2
    total = 3 * widths[-1] * pixels
    for out, width in reversed([*pairwise(widths)]):
        total += 9 * width * width * pixels + (9 + 1) * width * out * pixels // 4
        pixels //= 4
    last = widths[0]
    return 2 * (total + pixels * (9 * (last + 1) * last + last * last) + last)


def encoder_flops(config: ImageEncoderConfig, height: int, width: int) -> int:
    """Image of height x width to K styles."""
    total, maps = _trunk_macs(config.trunk_config, height, width)
    if isinstance(config, StyleTransformerConfig):
        return 2 * (total + _decoder_macs(config, maps))
    stacks = zip(config.levels, maps[:-4:-1], strict=True) if config.pyramid else [(config.num_styles, maps[-1])]
    dim = config.head_channels
    for level, (heads, (rows, columns, channels)) in enumerate(stacks):
        if channels != dim:  # lateral or projecting 1x1 convolution
            total += rows * columns * channels * dim
        for _ in range(config.head_convs + level):
            rows, columns = -(-rows // 2), -(-columns // 2)
            total += heads * rows * columns * 9 * dim * dim
        total += heads * dim * config.style_dim
    return 2 * total


def lpips_flops(net: NetName, height: int, width: int) -> int:
    """The features of one picture that LPIPS compares."""
    total, channels, size = 0, 3, [height, width]
    for layer in TRUNKS[net]:
        match layer:
            case Pool(window, ceil):
                size = [(side - window + ceil) // 2 + 1 for side in size]
            case Conv(out, window, stride, padding):
                size = [(side + 2 * padding - window) // stride + 1 for side in size]
                total += prod(size) * window**2 * channels * out
                channels = out
            case Fire(squeeze, expand):
                total += prod(size) * squeeze * (channels + (1 + 9) * expand)
                channels = 2 * expand
    return 2 * total


def face_flops(config: IRSEConfig = IRSE50) -> int:
    """The embedding of one face by the network of the identity loss."""
    width = config.channels[-1]
    return 2 * (_trunk_macs(config, INPUT, INPUT)[0] + LAST**2 * width * width)


class Cost(NamedTuple):
    """Floating-point operations forward and backward."""

    forward: int
    backward: int


def training_flops(config: EncoderTraining, encoder: ImageEncoderConfig, generator: GeneratorConfig) -> Cost:
    """One training iteration with L2, LPIPS and identity, for one picture.

    Backward, the encoder costs twice its forward pass (gradients of inputs and weights), the fixed networks behind it once
    (inputs only). The networks of the losses see the target once for all steps.
    """
    trained = encoder_flops(encoder, config.height, config.width)
    of_losses = lpips_flops(config.lpips_net, config.height, config.width) if config.lpips else 0
    of_losses += face_flops() if config.identity else 0
    fixed = synthesis_flops(generator) + of_losses
    return Cost(config.steps_per_image * (trained + fixed) + of_losses, config.steps_per_image * (2 * trained + fixed))


def generator_training_flops(generator: GeneratorConfig, discriminator: DiscriminatorConfig) -> dict[str, int]:
    """The updates of StyleGAN2 training, for one picture: G and D main (for a real and a generated one), G path, D R1.

    A gradient costs a forward pass for the inputs of a network, and another for its weights. A gradient of an input gradient
    by the weights costs a pass twice for the inner gradient (for what came into it, and for the weights), and twice for the
    forward pass that it depends on: through the styles in the generator, in the discriminator through the minibatch standard
    deviation. Mapping counts twice, for the second code of style mixing.
    """
    mapping, synthesis = 2 * mapping_flops(generator), synthesis_flops(generator)
    judge = discriminator_flops(discriminator)
    return {
        "G main": 3 * (mapping + synthesis) + 2 * judge,
        "G path": 3 * mapping + (2 + 4) * synthesis,
        "D main": mapping + synthesis + 2 * 3 * judge,
        "D R1": (2 + 4) * judge,
    }


def _decoder_macs(config: StyleTransformerConfig, maps: list[tuple[int, int, int]]) -> int:
    """Multiply-adds from the last three maps of a trunk to the styles of a Style Transformer."""
    dim, tokens, total = config.style_dim, config.num_tokens, 0
    for rows, columns, channels in maps[:-4:-1]:
        pixels = rows * columns
        if channels != dim:  # lateral or projecting 1x1 convolution
            total += pixels * channels * dim
        total += 2 * tokens * (tokens + pixels) * dim  # scores and sums of both attentions
        total += (6 * tokens + 2 * pixels) * dim * dim + 2 * tokens * dim * config.hidden
    return total


def _trunk_macs(config: IRSEConfig | ResNetConfig, height: int, width: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Multiply-adds of a trunk, and (height, width, channels) of its map at the end of each group."""
    irse = isinstance(config, IRSEConfig)
    size = [height, width] if irse else [height // 2, width // 2]
    total = prod(size) * (9 if irse else 49) * config.in_channels * config.width
    units = config.units if irse else config.blocks
    expansion = 4 if not irse and config.bottleneck else 1
    channels, maps = config.width, []
    for group, count in enumerate(units):
        inner = config.width * 2**group
        for unit in range(count):
            before = prod(size)
            if unit == 0 and (irse or group > 0):
                size = [-(-side // 2) for side in size]
            after, out = prod(size), inner * expansion
            if irse:  # the stride is on the second convolution
                total += 9 * inner * (before * channels + after * inner) + 2 * inner * inner // config.reduction
            elif expansion == 1:
                total += after * 9 * inner * (channels + inner)
            else:
                total += before * channels * inner + after * inner * (9 * inner + out)
            if channels != out:
                total += after * channels * out
            channels = out
        maps.append((size[0], size[1], channels))
    return total, maps
