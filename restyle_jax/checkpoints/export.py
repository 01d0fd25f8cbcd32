"""From our networks to official PyTorch checkpoints."""

import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from restyle_jax.checkpoints import sizes
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.native import writing
from restyle_jax.checkpoints.opts import CARS, official_name
from restyle_jax.convert import engine, torch_file
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import stylegan as stylegan_tables
from restyle_jax.model import Model
from restyle_jax.nets import stylegan
from restyle_jax.nets.encoders import EncoderConfig
from restyle_jax.nets.generators import GeneratorConfig
from restyle_jax.nets.style_based import channel_widths
from restyle_jax.refine import Geometry

Format = Literal["restyle", "rosinality", "idinvert", "genforce"]
CODE = {
    "restyle": "ReStyle, pSp and e4e",
    "rosinality": "rosinality",
    "idinvert": "idinvert_pytorch",
    "genforce": "genforce",
}

# What the constructors in the official repositories hard-code.
STYLE_DIM, MAPPING_LAYERS, CHANNEL_MULTIPLIER, TRUNK_WIDTH, HEAD_CONVS = 512, 8, 2, 64, 4

# How idinvert_pytorch truncates; genforce takes it as arguments.
PSI, CUTOFF = 0.7, 8


def export_torch(
    model: Model, path: str | os.PathLike[str], format: Format = "restyle", *, overwrite: bool = False
) -> None:
    """Write a PyTorch checkpoint that the official code loads with `strict=True`. PyTorch itself is not needed.

    format: "restyle" for a ReStyle, pSp or e4e checkpoint {state_dict, opts, latent_avg}; "rosinality" for a StyleGAN2 one
        {g_ema, latent_avg[, d]}; "idinvert" or "genforce" for a StyleGAN generator, as a bare state dict or
        {generator_smooth}. Keys come in the official order, with noise maps, FIR buffers and batch counts.
    overwrite: replace an existing file.
    The file appears complete or not at all. Raises CheckpointError if the official code could not represent the model, naming
    every reason; if the file exists; or if it cannot be written.
    """
    path = Path(path)
    if format not in CODE:
        raise ValueError(f"format is {format!r}, expected one of {', '.join(CODE)}")
    obstacles = _obstacles(model, format)
    if obstacles:
        raise CheckpointError.explain(
            path,
            found=f"that {model.name} has " + "; ".join(obstacles),
            expected=f"what the official {CODE[format]} code can build",
            remedy="keep the model in our own format",
        )
    _check_new(path, overwrite)
    _warn_of_differences(model, format)
    make = {
        "restyle": restyle_tree,
        "rosinality": rosinality_tree,
        "idinvert": idinvert_tree,
        "genforce": genforce_tree,
    }
    write_torch(path, make[format](model), overwrite=overwrite)


def write_torch(path: Path, tree: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write nested dicts of arrays as a PyTorch file, which appears complete or not at all; errors as `export_torch`."""
    _check_new(path, overwrite)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
            fresh = Path(scratch) / path.name
            with fresh.open("xb") as file:
                torch_file.write(file, tree)
            fresh.replace(path)


def _check_new(path: Path, overwrite: bool) -> None:
    if path.is_dir() or (path.exists() and not overwrite):
        raise CheckpointError.explain(
            path, found="something that already exists", expected="the name of a new file", remedy="choose another name"
        )


def usual_format(model: Model) -> Format:
    """The format in which a model is passed on unless somebody asks for another one."""
    if model.encoder is not None or model.generator is None:
        return "restyle"
    return "idinvert" if isinstance(model.generator.config, stylegan.GeneratorConfig) else "rosinality"


def restyle_tree(model: Model) -> dict[str, Any]:
    """The contents of a ReStyle, pSp or e4e checkpoint, as nested dicts of numpy arrays in torch's layout."""
    generator, w_avg = model.require_generator()
    encoder = model.require_encoder()
    table = [
        *engine.prefixed(sizes.encoder_table(encoder.config), ours="encoder.", theirs="encoder."),
        *engine.prefixed(sizes.generator_table(generator.config), ours="generator.", theirs="decoder."),
    ]
    arrays = {f"encoder.{path}": array for path, array in flat_arrays(encoder).items()}
    arrays |= {f"generator.{path}": array for path, array in flat_arrays(generator).items()}
    return {
        "state_dict": engine.write(table, arrays),
        "opts": _opts(model, encoder.config, generator.config),
        "latent_avg": np.asarray(w_avg, np.float32),
    }


def rosinality_tree(model: Model) -> dict[str, Any]:
    """The contents of a rosinality checkpoint, as nested dicts of numpy arrays in torch's layout."""
    generator, w_avg = model.require_generator()
    tree: dict[str, Any] = {
        "g_ema": engine.write(sizes.generator_table(generator.config), flat_arrays(generator)),
        "latent_avg": _single(w_avg),
    }
    if model.discriminator is not None:
        table = sizes.discriminator_table(model.discriminator.config)
        tree["d"] = engine.write(table, flat_arrays(model.discriminator))
    return tree


def idinvert_tree(model: Model) -> dict[str, Any]:
    """The state dict of an idinvert_pytorch generator, as numpy arrays in torch's layout."""
    generator, w_avg = model.require_generator()
    coefficients = np.ones((1, generator.config.num_styles, 1), np.float32)
    coefficients[:, :CUTOFF] = PSI
    ignored = {stylegan_tables.AVERAGE: _single(w_avg), stylegan_tables.COEFFICIENTS: coefficients}
    return engine.write(sizes.generator_table(generator.config, "idinvert"), flat_arrays(generator), ignored)


def genforce_tree(model: Model) -> dict[str, Any]:
    """The contents of a genforce checkpoint, as nested dicts of numpy arrays in torch's layout."""
    generator, w_avg = model.require_generator()
    average = np.asarray(w_avg, np.float32).reshape(-1) if _keeps_all_averages(generator.config) else _single(w_avg)
    table = sizes.generator_table(generator.config, "genforce")
    return {"generator_smooth": engine.write(table, flat_arrays(generator), {stylegan_tables.AVERAGE: average})}


def _single(w_avg: Any) -> np.ndarray:
    """f32[K, w_dim] -> f32[w_dim]: the one row, or the mean of different ones."""
    rows = np.asarray(w_avg, np.float32)
    return rows[0] if (rows == rows[0]).all() else rows.mean(0)


def _keeps_all_averages(config: GeneratorConfig) -> bool:
    """Whether genforce's code has a w_avg for each style of this generator."""
    return isinstance(config, stylegan.GeneratorConfig) and config.distinct_styles


def _opts(model: Model, encoder: EncoderConfig, generator: GeneratorConfig) -> dict[str, Any]:
    """Training options: the original ones where there are any, and everything that the official loaders ask for."""
    original = model.metadata.get("opts")
    kept = dict(original) if isinstance(original, Mapping) else {}
    data_set = str(kept.get("dataset_type", ""))
    if ("cars" in data_set) != (model.geometry == CARS):
        data_set = ""
    defaults = {
        "start_from_latent_avg": True,
        "learn_in_w": False,
        "label_nc": 0,
        "device": "cuda:0",
        "checkpoint_path": None,
    }
    facts = {
        "dataset_type": data_set or ("cars_encode" if model.geometry == CARS else "ffhq_encode"),
        "encoder_type": official_name(encoder.trunk, encoder.pyramid, encoder.progressive),
        "input_nc": encoder.in_channels,
        "output_size": generator.resolution,
        "stylegan_size": generator.resolution,
        "n_styles": generator.num_styles,
    }
    return {**defaults, **kept, **facts}


def _obstacles(model: Model, format: Format) -> list[str]:
    match format:
        case "restyle":
            return _restyle_obstacles(model)
        case "rosinality":
            return _rosinality_obstacles(model)
    return _stylegan_obstacles(model, format)


def _restyle_obstacles(model: Model) -> list[str]:
    """Why pSp's hard-coded encoders and `Generator(size, 512, 8, channel_multiplier=2)` are not this model."""
    if model.generator is None or model.w_avg is None or model.encoder is None:
        return [f"no {'encoder' if model.encoder is None else 'generator'}"]
    generator, encoder = model.generator.config, model.encoder.config
    obstacles = _generator_obstacles(generator)
    if _multiplier(generator.channels) not in (CHANNEL_MULTIPLIER, None):
        obstacles.append(f"channels {generator.channels} in place of those of channel multiplier {CHANNEL_MULTIPLIER}")
    fixed = {
        "mapping layers": (generator.mapping_layers, MAPPING_LAYERS),
        "numbers per style": (generator.w_dim, STYLE_DIM),
        "numbers per style of the encoder": (encoder.style_dim, STYLE_DIM),
        "channels in the first stage of the trunk": (encoder.width, TRUNK_WIDTH),
        "convolutions per coarse head": (encoder.head_convs, HEAD_CONVS),
        "style heads": (encoder.num_styles, generator.num_styles),
    }
    obstacles += [f"{found} {name} in place of {wanted}" for name, (found, wanted) in fixed.items() if found != wanted]
    if official_name(encoder.trunk, encoder.pyramid, encoder.progressive) is None:
        obstacles.append(f"a {encoder.head} head on a {encoder.trunk} trunk, for which there is no official class")
    if model.geometry not in (CARS, Geometry()):
        obstacles.append(f"{model.geometry}, which is neither the square nor the one of cars")
    return obstacles


def _rosinality_obstacles(model: Model) -> list[str]:
    if model.generator is None or model.w_avg is None:
        return ["no generator"]
    obstacles = _generator_obstacles(model.generator.config)
    if model.discriminator is not None:
        config = model.discriminator.config
        if config.label_dim:
            obstacles.append(f"a discriminator conditional on {config.label_dim} labels")
        if _multiplier(config.channels) is None:
            obstacles.append(f"discriminator channels {config.channels}, which follow no channel multiplier")
    return obstacles


def _stylegan_obstacles(model: Model, format: Format) -> list[str]:
    """Why the constructors of idinvert_pytorch and genforce cannot make this generator."""
    if model.generator is None or model.w_avg is None:
        return ["no generator"]
    config = model.generator.config
    if not isinstance(config, stylegan.GeneratorConfig):
        return ["a StyleGAN2 generator in place of StyleGAN"]
    obstacles, channels = [], config.channels
    if channels != channel_widths(config.resolution, channels[-1] * config.resolution, channels[0]):
        obstacles.append(f"channels {channels}, which are not min(base / resolution, maximum)")
    if format == "idinvert" and config.mapping_width != channels[0]:
        obstacles.append(
            f"a mapping network of width {config.mapping_width} in place of {channels[0]}, as the 4-px block"
        )
    return obstacles


def _generator_obstacles(config: GeneratorConfig) -> list[str]:
    if isinstance(config, stylegan.GeneratorConfig):
        return ["a StyleGAN generator in place of StyleGAN2"]
    obstacles = []
    if config.label_dim:
        obstacles.append(f"a generator conditional on {config.label_dim} labels")
    if config.z_dim != config.w_dim:
        obstacles.append(f"z of {config.z_dim} and w of {config.w_dim} numbers, which must be equal")
    if _multiplier(config.channels) is None:
        obstacles.append(f"channels {config.channels}, which follow no channel multiplier")
    return obstacles


def _multiplier(channels: tuple[int, ...]) -> int | None:
    """rosinality's channel multiplier behind the widths from 4 px upwards (its default where they do not tell), or None."""
    multiplier = channels[4] // 256 if len(channels) > 4 else CHANNEL_MULTIPLIER
    official = [512] * 4 + [256 * multiplier // 2**i for i in range(5)]
    return multiplier if multiplier and list(channels) == official[: len(channels)] else None


def _warn_of_differences(model: Model, format: Format) -> None:
    """Say what the official code computes differently from this model, although every array has its place."""
    discriminator, config = model.discriminator, model.require_generator()[0].config
    if isinstance(config, stylegan.GeneratorConfig):
        if config.final_tanh != (format == "idinvert" and config.distinct_styles):
            _warn(model, f"needs final_tanh={config.final_tanh} in the official code, which the file does not say")
    elif config.conv_clamp is not None:
        _warn(model, f"clamps activations at {config.conv_clamp}; the official code does not, where one is larger")
    if format == "restyle" or (format == "genforce" and _keeps_all_averages(config)):
        return
    if discriminator is not None and discriminator.config.stddev_group != 4:
        _warn(
            model,
            f"has a minibatch standard deviation over {discriminator.config.stddev_group} images; the official code takes 4",
        )
    if model.w_avg is not None and (np.asarray(model.w_avg) != np.asarray(model.w_avg[0])).any():
        _warn(model, "has a different w_avg for each style; the file has room for one, and gets their mean")


def _warn(model: Model, sentence: str) -> None:
    warnings.warn(f"{model.name} {sentence}", stacklevel=4)
