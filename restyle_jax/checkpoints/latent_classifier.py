"""Latent classifiers (`nets.latent_classifier`): our own format, and the official PyTorch files."""

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from restyle_jax.checkpoints import votes
from restyle_jax.checkpoints.alone import load_alone, save_alone
from restyle_jax.checkpoints.config_file import CLASSIFIER
from restyle_jax.checkpoints.export import write_torch
from restyle_jax.checkpoints.modules import Blueprint, flat_arrays
from restyle_jax.checkpoints.native import own_directory
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.detect import Contents
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import editing
from restyle_jax.nets.latent_classifier import CELEBA_ATTRIBUTES, LatentClassifier, LatentClassifierConfig

AnyPath = str | os.PathLike[str]
STYLE_DIM = 512  # of all official codes; the tensors only tell K times this
REMEDY = "train one with experiments/latent_classifier_ffhq.py, and give the folder best/ of that run"


def save_classifier(classifier: LatentClassifier, metadata: Mapping[str, Any], directory: AnyPath) -> None:
    """Write a classifier as a directory of our format, see `alone.save_alone`."""
    save_alone(CLASSIFIER, classifier, metadata, directory)


def load_classifier(path: AnyPath, *, style_dim: int = STYLE_DIM) -> LatentClassifier:
    """The latent classifier of a file.

    path: a directory that `save_classifier` wrote; or an official file: the classifier's own, with or without the prefix
        `classifier.module.`, or the checkpoint of reference editing that contains one. Its attributes are CelebA's if there are
        40 of them, otherwise `attribute_0` and so on.
    style_dim: D of the codes, which an official file does not tell; K follows from it.

    Raises CheckpointError for anything else, listing every tensor that does not fit.
    """
    if own_directory(path) is not None:
        network = load_alone(CLASSIFIER, path, remedy=REMEDY)
        assert isinstance(network, LatentClassifier)
        return network
    container = reader.read(path, verify=True)
    contents = detect.contents(container.tree, container.format, container.path)
    if contents.classifier is None:
        raise CheckpointError.explain(
            path, found=f"a {contents.kind}", expected="a latent classifier, of which the first tensor is fcs.0.weight",
            remedy=REMEDY,
        )  # fmt: skip
    config, table = sizes(contents, container.path, style_dim)
    blueprint = Blueprint.of(LatentClassifier, config)
    arrays = engine.read(table, contents.classifier, blueprint.targets, file=container.path, what="latent classifier")
    return blueprint.fill(arrays)


def export_classifier(classifier: LatentClassifier, path: AnyPath, *, overwrite: bool = False) -> None:
    """Write {state_dict} with the keys of the official code, which has no place for the names of attributes.

    The file appears complete or not at all. Raises CheckpointError if it exists, unless `overwrite`, or cannot be written.
    """
    if classifier.config.attributes != CELEBA_ATTRIBUTES:
        warnings.warn(f"{path}: the official format does not keep the names of attributes", stacklevel=2)
    write_torch(Path(path), {"state_dict": state_dict(classifier)}, overwrite=overwrite)


def state_dict(classifier: LatentClassifier) -> dict[str, np.ndarray]:
    """The classifier as the official code has it, in its order."""
    config = classifier.config
    table = editing.latent_classifier(len(config.widths), len(config.attributes))
    return engine.write(table, flat_arrays(classifier))


def sizes(contents: Contents, file: str, style_dim: int | None) -> tuple[LatentClassifierConfig, engine.Table]:
    """The config of the file's classifier, and its table. style_dim: D; None guesses: 512, or less where that cannot be.

    Raises CheckpointError if there is too little to tell.
    """
    state = contents.classifier or {}
    layers, count = (
        votes.length(state, "fcs."),
        max(votes.length(state, "indep_fcs."), votes.length(state, "output_fcs.")),
    )
    names = (
        CELEBA_ATTRIBUTES if count == len(CELEBA_ATTRIBUTES) else tuple(f"attribute_{i}" for i in range(max(count, 1)))
    )
    config = LatentClassifierConfig(1, STYLE_DIM, names, widths=(1,) * max(layers, 1))
    table = editing.latent_classifier(len(config.widths), len(names))
    shapes = engine.shapes(table, state)
    inputs = votes.vote(shapes, ("layers.0.kernel", 0))
    style_dim = style_dim or math.gcd(inputs or STYLE_DIM, STYLE_DIM)
    if inputs is not None and inputs % style_dim:
        raise CheckpointError.explain(
            file,
            found=f"a latent classifier of {inputs} numbers",
            expected=f"a multiple of style_dim = {style_dim}, the numbers of one style",
            remedy="give the style_dim of the generator whose codes it reads (--style-dim of `restyle convert`)",
        )
    found = {
        "num_styles": inputs and inputs // style_dim,
        "style_dim": style_dim,
        "widths": tuple(
            votes.vote(shapes, (f"layers.{layer}.kernel", 1), (f"layers.{layer}.bias", 0))
            for layer in range(max(layers, 1))
        ),
        "embedding": votes.vote(shapes, ("embed.kernel", 1), ("embed.bias", 0), ("read.kernel", 0)),
    }
    return votes.completed(config, found, file, "classifier", state, table), table
