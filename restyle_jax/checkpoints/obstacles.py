"""Why the official code could not build one of our models, and what it computes differently."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.opts import CARS, DATA_SETS, official_name
from restyle_jax.checkpoints.style_transformer import OFFICIAL_TOKENS
from restyle_jax.model import Model
from restyle_jax.nets import stylegan
from restyle_jax.nets.encoders import COARSE, MIDDLE
from restyle_jax.nets.generators import GeneratorConfig
from restyle_jax.nets.style_based import channel_widths
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig
from restyle_jax.refine import Geometry

Format = Literal["restyle", "style_transformer", "rosinality", "idinvert", "genforce"]

# What the constructors in the official repositories hard-code.
STYLE_DIM, MAPPING_LAYERS, CHANNEL_MULTIPLIER, TRUNK_WIDTH, HEAD_CONVS = 512, 8, 2, 64, 4


def obstacles(model: Model, format: Format) -> list[str]:
    """Every reason why the official code behind a format cannot represent this model."""
    match format:
        case "restyle":
            return _restyle_obstacles(model)
        case "style_transformer":
            return _style_transformer_obstacles(model)
        case "rosinality":
            return _rosinality_obstacles(model)
    return _stylegan_obstacles(model, format)


def differences(model: Model, format: Format) -> list[str]:
    """What the official code computes differently from this model, although every array has its place."""
    discriminator, config = model.discriminator, model.require_generator()[0].config
    found = []
    if isinstance(config, stylegan.GeneratorConfig):
        if config.final_tanh != (format == "idinvert" and config.distinct_styles):
            found.append(f"needs final_tanh={config.final_tanh} in the official code, which the file does not say")
    elif config.conv_clamp is not None:
        found.append(f"clamps activations at {config.conv_clamp}; the official code does not, where one is larger")
    if format in ("restyle", "style_transformer"):
        return found + _differences_of_encoders(model)
    if format == "genforce" and keeps_all_averages(config):
        return found
    if discriminator is not None and discriminator.config.stddev_group != 4:
        found.append(
            f"has a minibatch standard deviation over {discriminator.config.stddev_group} images; the official code takes 4"
        )
    if model.w_avg is not None and (np.asarray(model.w_avg) != np.asarray(model.w_avg[0])).any():
        found.append("has a different w_avg for each style; the file has room for one, and gets their mean")
    return found


def _differences_of_encoders(model: Model) -> list[str]:
    found = []
    if isinstance(model.encoder, StyleTransformer):
        theirs, ours = (flat_arrays(network.mapping) for network in (model.encoder, model.require_generator()[0]))
        if any(path not in ours or not np.array_equal(theirs[path], ours[path]) for path in theirs):
            found.append(
                "has a mapping network in its encoder and one in its generator; the file has room for the first one only"
            )
    task = model.metadata.get("task")
    if is_psp(model):
        if model.geometry == CARS:
            found.append("takes pictures of 192 x 256, for which the official pSp has no data set")
    elif task in DATA_SETS:
        found.append(
            f"was trained for {task}, for which the official code has no data set: give it pictures prepared for that"
        )
    return found


def is_psp(model: Model) -> bool:
    """Whether the code is pixel2style2pixel's, not ReStyle's, e4e's or Style Transformer's: it alone has data sets for tasks
    besides inversion, and none of cars."""
    encoder = model.require_encoder().config
    return encoder.in_channels != 6 and encoder.head not in ("fpn_progressive", "style_transformer")


def keeps_all_averages(config: GeneratorConfig) -> bool:
    """Whether genforce's code has a w_avg for each style of this generator."""
    return isinstance(config, stylegan.GeneratorConfig) and config.distinct_styles


def _restyle_obstacles(model: Model) -> list[str]:
    """Why pSp's hard-coded encoders and `Generator(size, 512, 8, channel_multiplier=2)` are not this model."""
    if model.generator is None or model.w_avg is None or model.encoder is None:
        return [f"no {'encoder' if model.encoder is None else 'generator'}"]
    generator, encoder = model.generator.config, model.encoder.config
    if isinstance(encoder, StyleTransformerConfig):
        return ["a Style Transformer, whose format is style_transformer"]
    reasons = _decoder_obstacles(generator, model.geometry)
    fixed = {
        "numbers per style of the encoder": (encoder.style_dim, STYLE_DIM),
        "channels inside the style heads": (encoder.head_channels, STYLE_DIM),
        "channels in the first stage of the trunk": (encoder.width, TRUNK_WIDTH),
        "convolutions per coarse head": (encoder.head_convs, HEAD_CONVS),
        "style heads": (encoder.num_styles, generator.num_styles),
    }
    if official_name(encoder.trunk, encoder.pyramid, encoder.progressive) is None:
        reasons.append(f"a {encoder.head} head on a {encoder.trunk} trunk, for which there is no official class")
    if encoder.head == "fpn" and encoder.num_styles < COARSE + MIDDLE:
        reasons.append(
            f"{encoder.num_styles} styles, of which the official feature pyramid takes {COARSE + MIDDLE} or more"
        )
    if encoder.head == "fpn_progressive":
        fixed["input channels of Encoder4Editing"] = (encoder.in_channels, 3)
    return reasons + _differing(fixed)


def _style_transformer_obstacles(model: Model) -> list[str]:
    """Why sapphire497's encoder, of one size for all generators, and the same generator are not this model."""
    if model.generator is None or model.w_avg is None or model.encoder is None:
        return [f"no {'encoder' if model.encoder is None else 'generator'}"]
    encoder = model.encoder.config
    if not isinstance(encoder, StyleTransformerConfig):
        return ["an encoder with style heads, whose format is restyle"]
    fixed = {
        "as the trunk": (encoder.trunk, "irse50"),
        "input channels": (encoder.in_channels, 3),
        "numbers per style of the encoder": (encoder.style_dim, STYLE_DIM),
        "channels in the first stage of the trunk": (encoder.width, TRUNK_WIDTH),
        "tokens": (encoder.num_tokens, OFFICIAL_TOKENS),
        "mapping layers of the encoder": (encoder.mapping_layers, MAPPING_LAYERS),
        "attention heads": (encoder.heads, 4),
        "hidden units": (encoder.hidden, 1024),
    }
    return _decoder_obstacles(model.generator.config, model.geometry) + _differing(fixed)


def _decoder_obstacles(generator: GeneratorConfig, geometry: Geometry) -> list[str]:
    reasons = _generator_obstacles(generator)
    if _multiplier(generator.channels) not in (CHANNEL_MULTIPLIER, None):
        reasons.append(f"channels {generator.channels} in place of those of channel multiplier {CHANNEL_MULTIPLIER}")
    if geometry not in (CARS, Geometry()):
        reasons.append(f"{geometry}, which is neither the square nor the one of cars")
    fixed = {
        "mapping layers": (generator.mapping_layers, MAPPING_LAYERS),
        "numbers per style": (generator.w_dim, STYLE_DIM),
    }
    return reasons + _differing(fixed)


def _differing(fixed: Mapping[str, tuple[int | str, int | str]]) -> list[str]:
    return [f"{found} {name} in place of {wanted}" for name, (found, wanted) in fixed.items() if found != wanted]


def _rosinality_obstacles(model: Model) -> list[str]:
    if model.generator is None or model.w_avg is None:
        return ["no generator"]
    reasons = _generator_obstacles(model.generator.config)
    if model.discriminator is not None:
        config = model.discriminator.config
        if config.label_dim:
            reasons.append(f"a discriminator conditional on {config.label_dim} labels")
        if _multiplier(config.channels) is None:
            reasons.append(f"discriminator channels {config.channels}, which follow no channel multiplier")
    return reasons


def _stylegan_obstacles(model: Model, format: Format) -> list[str]:
    """Why the constructors of idinvert_pytorch and genforce cannot make this generator."""
    if model.generator is None or model.w_avg is None:
        return ["no generator"]
    config = model.generator.config
    if not isinstance(config, stylegan.GeneratorConfig):
        return ["a StyleGAN2 generator in place of StyleGAN"]
    reasons, channels = [], config.channels
    if channels != channel_widths(config.resolution, channels[-1] * config.resolution, channels[0]):
        reasons.append(f"channels {channels}, which are not min(base / resolution, maximum)")
    if format == "idinvert" and config.mapping_width != channels[0]:
        reasons.append(
            f"a mapping network of width {config.mapping_width} in place of {channels[0]}, as the 4-px block"
        )
    return reasons


def _generator_obstacles(config: GeneratorConfig) -> list[str]:
    if isinstance(config, stylegan.GeneratorConfig):
        return ["a StyleGAN generator in place of StyleGAN2"]
    reasons = []
    if config.label_dim:
        reasons.append(f"a generator conditional on {config.label_dim} labels")
    if config.z_dim != config.w_dim:
        reasons.append(f"z of {config.z_dim} and w of {config.w_dim} numbers, which must be equal")
    if _multiplier(config.channels) is None:
        reasons.append(f"channels {config.channels}, which follow no channel multiplier")
    return reasons


def _multiplier(channels: tuple[int, ...]) -> int | None:
    """rosinality's channel multiplier behind the widths from 4 px upwards (its default where they do not tell), or None."""
    multiplier = channels[4] // 256 if len(channels) > 4 else CHANNEL_MULTIPLIER
    official = [512] * 4 + [256 * multiplier // 2**i for i in range(5)]
    return multiplier if multiplier and list(channels) == official[: len(channels)] else None
