"""What a checkpoint is, without building a model or reading its numbers."""

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from restyle_jax import zoo
from restyle_jax.checkpoints import (
    config_file,
    edit_transformer,
    latent_classifier,
    native,
    opts,
    sizes,
    style_transformer,
)
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.detect import Contents
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.edit_transformer import EditTransformerConfig
from restyle_jax.nets.generators import GeneratorConfig
from restyle_jax.nets.image_encoders import ImageEncoderConfig
from restyle_jax.nets.latent_classifier import LatentClassifierConfig
from restyle_jax.nets.style_transformer import StyleTransformerConfig

OWN = "restyle_jax directory"
NEEDED_OPTS = {detect.RESTYLE: ("encoder_type", "dataset_type"), detect.STYLE_TRANSFORMER: ("dataset_type",)}
# What generators of one architecture have.
PARTICULAR = ("conv_clamp", "mapping_width", "distinct_styles", "final_tanh")
# Stored with a network, but not trained.
BUFFERS = ("noise", "mean", "var", "count")


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Report on a checkpoint, as JSON-able nested dicts.

    Keys: `path`, `format` (of the container), `kind`; `resolution` and `num_styles` (None without a generator); `networks`,
    with sizes, dtypes and the number of trained parameters of each; `latent_avg` (its shape, or None); `geometry` (None if
    there is no encoder); `step` of training (None if the file does not say); `opts` (as stored, or None); `missing` (tensors,
    latent_avg and options that ought to be there); `unexpected` (tensors that no network has a place for); `misshapen` (sentences
    on tensors that have a place but do not fit; of other formats than ours, only what fits at no size); `ignored` (other entries,
    such as optimiser state, and networks of another architecture, with the reason). Reads shapes only. Raises CheckpointError
    for what is not a checkpoint.
    """
    path = zoo.resolve(path)
    own = native.own_directory(path)
    if own is not None:
        return _own_report(own)
    container = reader.read(path)
    return report_on(container.tree, container.format, container.path)


def report_on(tree: Any, format: str, file: str) -> dict[str, Any]:
    """The report on a file that `reader.read` has parsed."""
    contents = detect.contents(tree, format, file)
    networks: dict[str, Any] = {}
    missing: list[str] = []
    misshapen: list[str] = []
    unexpected = list(contents.strays)

    def add(role: str, details: Mapping[str, Any], table: engine.Table) -> None:
        state, prefix = getattr(contents, role), contents.prefixes.get(role, "")
        absent, extra = engine.unmatched(table, state)
        missing.extend(prefix + key for key in absent)
        unexpected.extend(prefix + key for key in extra)
        misshapen.extend(prefix + fault for fault in engine.misshapen(table, state))
        stored = [(name, shape) for name, found in engine.shapes(table, state).items() for shape in found]
        networks[role] = {**details, "parameters": _count(stored), "dtypes": _dtypes(state.values())}

    generator = None
    if contents.generator is not None:
        generator, table = sizes.generator(contents, file)
        add("generator", _describe_generator(generator), table)
    if contents.encoder is not None:
        add("encoder", *_describe_encoder(contents, file, generator.num_styles if generator else 1))
    if contents.discriminator is not None:
        discriminator, table = sizes.discriminator(contents, file)
        add("discriminator", _describe_discriminator(discriminator), table)
    if contents.trunk is not None:
        name, config, table = sizes.trunk(contents, file)
        add("trunk", {"trunk": name, "in_channels": config.in_channels, "width": config.width}, table)
    if contents.classifier is not None:
        config, table = latent_classifier.sizes(contents, file, None)
        details = _describe_classifier(config)
        if config.style_dim != latent_classifier.STYLE_DIM:  # a guess
            del details["num_styles"], details["style_dim"]
        add("classifier", details, table)
    if contents.editor is not None:
        config, table = edit_transformer.sizes(contents, file, "unknown")
        add("editor", _describe_editor(config), table)
    average = contents.average
    options = opts.json_able(contents.opts or {})
    needless = contents.encoder is not None and opts.without_average(options, networks["encoder"]["in_channels"])
    if generator is not None and average is None and not needless:
        missing.append("latent_avg")
    if contents.encoder is not None:
        missing += [f"opts.{name}" for name in NEEDED_OPTS[contents.kind] if name not in options]
    data_set = options.get("dataset_type")
    cars = isinstance(data_set, str) and "cars" in data_set
    return {
        "path": file,
        "format": format,
        "kind": contents.kind,
        "resolution": generator.resolution if generator else None,
        "num_styles": generator.num_styles if generator else None,
        "networks": networks,
        "latent_avg": list(average.shape) if average is not None else None,
        "geometry": _geometry(opts.CARS if cars else opts.Geometry()) if contents.encoder is not None else None,
        "step": contents.step,
        "opts": opts.json_able(contents.opts),
        "missing": list(dict.fromkeys(missing)),  # the mapping network of a Style Transformer is part of two networks
        "unexpected": list(dict.fromkeys(unexpected)),
        "misshapen": list(dict.fromkeys(misshapen)),
        "ignored": [*contents.others, *contents.left_out],
    }


def _own_report(directory: Path) -> dict[str, Any]:
    config = config_file.read_config(directory)
    networks = config_file.configs(config, directory)
    arrays = native.stored(directory)
    _, targets = native.blueprints(networks, directory, len(arrays))
    missing, unexpected, unequal = engine.compare_own(arrays, targets)
    metadata = opts.json_able(config.get("metadata") or {})
    describers = {
        "generator": _describe_generator,
        "encoder": _describe_config_of_encoder,
        "discriminator": _describe_discriminator,
        config_file.ATTRIBUTES: _describe_attributes,
        config_file.CLASSIFIER: _describe_classifier,
        config_file.EDITOR: _describe_editor,
        config_file.IDENTITY: dataclasses.asdict,
        config_file.PERCEPTUAL: dataclasses.asdict,
    }
    reports = {}
    for role, network in networks.items():
        own = {name: array for name, array in arrays.items() if name.startswith(f"{role}.")}
        parameters = _count((name, array.shape) for name, array in own.items())
        reports[role] = {**describers[role](network), "parameters": parameters, "dtypes": _dtypes(own.values())}
    generator = networks.get("generator")
    average = arrays.get("w_avg")
    return {
        "path": str(directory),
        "format": "safetensors",
        "kind": OWN,
        "resolution": generator.resolution if generator else None,
        "num_styles": generator.num_styles if generator else None,
        "networks": reports,
        "latent_avg": list(average.shape) if average is not None else None,
        "geometry": _geometry(config_file.geometry(config, directory)) if "encoder" in networks else None,
        "step": metadata.get("step"),
        "opts": metadata.get("opts"),
        "missing": missing,
        "unexpected": unexpected,
        "misshapen": [fault for _, fault in unequal],
        "ignored": [],
    }


def _describe_generator(config: GeneratorConfig) -> dict[str, Any]:
    return {
        "architecture": config_file.architecture(config),
        "resolution": config.resolution,
        "num_styles": config.num_styles,
        "channels": list(config.channels),
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "mapping_layers": config.mapping_layers,
        "label_dim": config.label_dim,
        **{name: getattr(config, name) for name in PARTICULAR if hasattr(config, name)},
    }


def _describe_discriminator(config: DiscriminatorConfig) -> dict[str, Any]:
    return {
        "resolution": config.resolution,
        "channels": list(config.channels),
        "label_dim": config.label_dim,
        "stddev_group": config.stddev_group,
        "conv_clamp": config.conv_clamp,
    }


def _describe_attributes(config: AttributeConfig) -> dict[str, Any]:
    return {
        "resolution": config.resolution,
        "widths": list(config.widths),
        "scalars": [name for name, *_ in config.scalars],
        "angles": list(config.angles),
        "choices": [name for name, _ in config.choices],
    }


def _describe_classifier(config: LatentClassifierConfig) -> dict[str, Any]:
    return {
        "num_styles": config.num_styles,
        "style_dim": config.style_dim,
        "widths": list(config.widths),
        "embedding": config.embedding,
        "attributes": list(config.attributes),
    }


def _describe_editor(config: EditTransformerConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ("attribute", "num_styles", "style_dim", "heads", "hidden", "form")}


def _describe_encoder(contents: Contents, file: str, num_styles: int) -> tuple[dict[str, Any], engine.Table]:
    state = contents.encoder or {}
    if contents.kind == detect.STYLE_TRANSFORMER:
        config, table = style_transformer.sizes_of(state, file, num_styles=num_styles, input_nc=contents.input_nc)
        return _describe_config_of_encoder(config), table
    stated = opts.json_able(contents.opts or {}).get("encoder_type")
    config, table = sizes.encoder(
        state,
        file,
        progressive=opts.is_progressive(stated),
        num_styles=sizes.num_heads(state),
        input_nc=contents.input_nc,
    )
    return {**_describe_config_of_encoder(config), "encoder_type_in_opts": stated}, table


def _describe_config_of_encoder(config: ImageEncoderConfig) -> dict[str, Any]:
    if isinstance(config, StyleTransformerConfig):
        return {
            "architecture": config_file.architecture(config),
            "trunk": config.trunk,
            "in_channels": config.in_channels,
            "num_styles": config.num_styles,
            "tokens": config.num_tokens,
            "style_dim": config.style_dim,
            "width": config.width,
            "mapping_layers": config.mapping_layers,
        }
    return {
        "encoder_type": opts.official_name(config.trunk, config.pyramid, config.progressive),
        "head": config.head,
        "trunk": config.trunk,
        "in_channels": config.in_channels,
        "num_styles": config.num_styles,
        "style_dim": config.style_dim,
        "head_width": config.head_channels,
        "width": config.width,
    }


def _geometry(geometry: opts.Geometry) -> dict[str, int]:
    return {"height": geometry.height, "width": geometry.width, "top": geometry.top}


def _count(stored: Iterable[tuple[str, tuple[int, ...]]]) -> int:
    return sum(math.prod(shape) for name, shape in stored if name.rpartition(".")[2] not in BUFFERS)


def _dtypes(arrays: Iterable[Any]) -> list[str]:
    return sorted({np.dtype(array.dtype).name for array in arrays if engine.is_float(array)})


def describe(report: Mapping[str, Any]) -> str:
    """A report of `inspect` as text for the terminal, several lines without a final newline."""
    lines = [f"{report['path']}", f"  {report['kind']} ({report['format']})"]
    if report["resolution"] is not None:
        lines.append(f"  {report['resolution']} x {report['resolution']} px, K = {report['num_styles']} styles")
    for role, network in report["networks"].items():
        lines.append(f"  {role}: {network['parameters']:,} parameters, {', '.join(network['dtypes'])}")
        details = {name: value for name, value in network.items() if name not in ("parameters", "dtypes")}
        lines += [f"    {name.replace('_', ' ')}: {_plain(value)}" for name, value in details.items()]
    if report["geometry"] is not None:
        size = report["geometry"]
        lines.append(f"  images for the encoder: {size['width']} x {size['height']} px")
    if report["latent_avg"] is not None:
        lines.append(f"  average latent: {_plain(report['latent_avg'], ' x ')}")
    if report["step"] is not None:
        lines.append(f"  training step: {report['step']}")
    for title in ("missing", "unexpected", "ignored"):
        if report[title]:
            lines.append(f"  {title}: {', '.join(report[title])}")
    lines += [f"  misshapen: {fault}" for fault in report["misshapen"]]
    # Names in a file may have halves of characters, which no terminal takes.
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any, separator: str = ", ") -> str:
    if isinstance(value, list | tuple):
        return separator.join(str(item) for item in value)
    return "none" if value is None else str(value)
