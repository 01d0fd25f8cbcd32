"""From our networks to official PyTorch checkpoints."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from restyle_jax.checkpoints import sizes, style_transformer
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.native import flattened
from restyle_jax.checkpoints.obstacles import Format, differences, is_psp, keeps_all_averages, obstacles
from restyle_jax.checkpoints.opts import CARS, DATA_SETS, official_name
from restyle_jax.convert import engine, torch_file
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import stylegan as stylegan_tables
from restyle_jax.convert.writing import whole_file
from restyle_jax.model import Model
from restyle_jax.nets import stylegan
from restyle_jax.nets.encoders import Encoder
from restyle_jax.nets.style_transformer import StyleTransformer

CODE = {
    "restyle": "ReStyle, pSp and e4e",
    "style_transformer": "Style Transformer",
    "rosinality": "rosinality",
    "idinvert": "idinvert_pytorch",
    "genforce": "genforce",
}

# How idinvert_pytorch truncates; genforce takes it as arguments.
PSI, CUTOFF = 0.7, 8


def export_torch(
    model: Model, path: str | os.PathLike[str], format: Format = "restyle", *, overwrite: bool = False
) -> None:
    """Write a PyTorch checkpoint that the official code loads with `strict=True`. PyTorch itself is not needed.

    format: "restyle" for a ReStyle, pSp or e4e checkpoint {state_dict, opts, latent_avg}; "style_transformer" for
        the same of a Style Transformer; "rosinality" for a StyleGAN2 one
        {g_ema, latent_avg[, d]}; "idinvert" or "genforce" for a StyleGAN generator, as a bare state dict or
        {generator_smooth}. Keys come in the official order, with noise maps, FIR buffers and batch counts.
    overwrite: replace an existing file.
    The file appears complete or not at all. Raises CheckpointError if the official code could not represent the model, naming
    every reason; if the file exists; or if it cannot be written.
    """
    path = Path(path)
    if format not in CODE:
        raise ValueError(f"format is {format!r}, expected one of {', '.join(CODE)}")
    if reasons := obstacles(model, format):
        raise CheckpointError.explain(
            path,
            found=f"that {model.name} has " + "; ".join(reasons),
            expected=f"what the official {CODE[format]} code can build",
            remedy="keep the model in our own format, or choose another --format that can hold it",
        )
    _check_new(path, overwrite)
    for difference in differences(model, format):
        warnings.warn(f"{model.name} {difference}", stacklevel=2)
    make = {
        "restyle": restyle_tree,
        "style_transformer": style_transformer_tree,
        "rosinality": rosinality_tree,
        "idinvert": idinvert_tree,
        "genforce": genforce_tree,
    }
    write_torch(path, make[format](model), overwrite=overwrite)


def write_torch(path: Path, tree: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write nested dicts of arrays as a PyTorch file, which appears complete or not at all; errors as `export_torch`."""
    _check_new(path, overwrite)
    with whole_file(path) as fresh, fresh.open("xb") as file:
        torch_file.write(file, tree)


def _check_new(path: Path, overwrite: bool) -> None:
    if os.path.isdir(path) or (os.path.exists(path) and not overwrite):
        raise CheckpointError.explain(
            path, found="something that already exists", expected="the name of a new file", remedy="choose another name"
        )


def usual_format(model: Model) -> Format:
    """The format in which a model is passed on unless somebody asks for another one."""
    if isinstance(model.encoder, StyleTransformer):
        return "style_transformer"
    if model.encoder is not None or model.generator is None:
        return "restyle"
    return "idinvert" if isinstance(model.generator.config, stylegan.GeneratorConfig) else "rosinality"


def restyle_tree(model: Model) -> dict[str, Any]:
    """The contents of a ReStyle, pSp or e4e checkpoint, as nested dicts of numpy arrays in torch's layout."""
    generator, w_avg = model.require_generator()
    encoder = model.require_encoder()
    assert isinstance(encoder, Encoder)
    config = encoder.config
    table = [
        *engine.prefixed(sizes.encoder_table(config), ours="encoder.", theirs="encoder."),
        *engine.prefixed(sizes.generator_table(generator.config), ours="generator.", theirs="decoder."),
    ]
    stated = {
        "encoder_type": official_name(config.trunk, config.pyramid, config.progressive),
        "stylegan_size": generator.config.resolution,
        "n_styles": generator.config.num_styles,
    }
    return {
        "state_dict": engine.write(table, flattened({"encoder": encoder, "generator": generator})),
        "opts": _opts(model, stated),
        "latent_avg": np.asarray(w_avg, np.float32),
    }


def style_transformer_tree(model: Model) -> dict[str, Any]:
    """The contents of a Style Transformer checkpoint, as nested dicts of numpy arrays in torch's layout.

    Its decoder has the mapping network of the encoder, not the generator's own; its keys are those of DataParallel.
    """
    generator, w_avg = model.require_generator()
    encoder = model.require_encoder()
    assert isinstance(encoder, StyleTransformer)
    decoder = engine.prefixed(sizes.generator_table(generator.config), ours="generator.", theirs="decoder.")
    table = [
        *engine.prefixed(style_transformer.table_of(encoder.config), ours="encoder."),
        *(entry for entry in decoder if not getattr(entry, "ours", "").startswith("generator.mapping.")),
    ]
    state = engine.write(table, flattened({"encoder": encoder, "generator": generator}))
    return {
        "state_dict": {re.sub(r"^(encoder|decoder)\.", r"\1.module.", key): array for key, array in state.items()},
        "opts": _opts(model, {}),
        "latent_avg": style_transformer.average_for(w_avg, encoder.config.num_tokens),
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
    average = np.asarray(w_avg, np.float32).reshape(-1) if keeps_all_averages(generator.config) else _single(w_avg)
    table = sizes.generator_table(generator.config, "genforce")
    return {"generator_smooth": engine.write(table, flat_arrays(generator), {stylegan_tables.AVERAGE: average})}


def _single(w_avg: Any) -> np.ndarray:
    """f32[K, w_dim] -> f32[w_dim]: the one row, or the mean of different ones."""
    rows = np.asarray(w_avg, np.float32)
    return rows[0] if (rows == rows[0]).all() else rows.mean(0)


def _opts(model: Model, stated: dict[str, Any]) -> dict[str, Any]:
    """Training options: the original ones where there are any, and everything that the official loaders ask for; `stated` is what
    only some of them do."""
    original = model.metadata.get("opts")
    kept = dict(original) if isinstance(original, Mapping) else {}
    data_set = str(kept.get("dataset_type", ""))
    if ("cars" in data_set) != (model.geometry == CARS):
        data_set = ""
    task = {"sketch": "sketch", "label map": "segmentation"}.get(model.inputs, str(model.metadata.get("task")))
    usual = "cars_encode" if model.geometry == CARS else (DATA_SETS if is_psp(model) else {}).get(task, "ffhq_encode")
    channels = model.require_encoder().config.in_channels
    defaults = {"device": "cuda:0", "checkpoint_path": None}
    facts = {
        "dataset_type": data_set or usual,
        "input_nc": channels,
        "label_nc": 0 if model.inputs == "photo" else channels,
        "output_size": model.require_generator()[0].config.resolution,
        "start_from_latent_avg": True,  # codes are offsets from the latent_avg of the file, if that is zero, too
        "learn_in_w": False,  # which has a row for each style
    }
    return {**defaults, **kept, **facts, **stated}
