"""Networks for edits by reference (`nets.edit_transformer`): our own format, and the checkpoints of the official code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from restyle_jax.checkpoints import latent_classifier, votes
from restyle_jax.checkpoints.alone import load_alone, save_alone
from restyle_jax.checkpoints.config_file import EDITOR
from restyle_jax.checkpoints.export import rosinality_tree, write_torch
from restyle_jax.checkpoints.modules import Blueprint, flat_arrays
from restyle_jax.checkpoints.native import own_directory
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.detect import Contents
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import editing
from restyle_jax.model import Model
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier

AnyPath = str | os.PathLike[str]
OFFICIAL_STYLES = 18  # what the official code is written for; the tensors do not tell
REMEDY = "train one with experiments/reference_edit_ffhq.py, and give the folder best/ of that run"


def save_editor(editor: EditTransformer, metadata: Mapping[str, Any], directory: AnyPath) -> None:
    """Write a network as a directory of our format, see `alone.save_alone`."""
    save_alone(EDITOR, editor, metadata, directory)


def load_editor(path: AnyPath, *, attribute: str = "", num_styles: int = OFFICIAL_STYLES) -> EditTransformer:
    """The network for edits by reference of a file.

    path: a directory that `save_editor` wrote; or a checkpoint of the official code, `encoder.module.transformerlayer.*` in its
        `state_dict`, whose generator `restyle_jax.load` reads, and whose classifier `load_classifier`.
    attribute, num_styles: what an official file does not tell: what the network was trained for, and K.

    Raises CheckpointError for anything else, or an official file without `attribute`; lists every tensor that does not fit.
    """
    if own_directory(path) is not None:
        network = load_alone(EDITOR, path, remedy=REMEDY)
        assert isinstance(network, EditTransformer)
        return network
    container = reader.read(path, verify=True)
    contents = detect.contents(container.tree, container.format, container.path)
    if contents.editor is None:
        raise CheckpointError.explain(
            path,
            found=f"a {contents.kind}",
            expected="a checkpoint with encoder.transformerlayer.* tensors",
            remedy=REMEDY,
        )
    if not attribute:
        raise CheckpointError.explain(
            path,
            found="nothing about the attribute that it was trained for",
            expected="the name of an attribute, as official files have none",
            remedy="give the name: --attribute NAME, or load_editor(path, attribute=...)",
        )
    config, table = sizes(contents, container.path, attribute, num_styles)
    blueprint = Blueprint.of(EditTransformer, config)
    arrays = engine.read(table, contents.editor, blueprint.targets, file=container.path, what="edit transformer")
    return blueprint.fill(arrays)


def export_editor(editor: EditTransformer, classifier: LatentClassifier, model: Model, path: AnyPath) -> None:
    """Write a checkpoint of the official code: {state_dict, latent_avg} with encoder, decoder and classifier.

    model: its generator is the decoder. The file appears complete or not at all. Raises CheckpointError if the network has the
    form of the paper, which the official code cannot compute; if the file exists, or cannot be written.
    """
    config = editor.config
    if (config.form, config.heads) != ("official", 4):
        raise CheckpointError.explain(
            path,
            found=f"a network of the {config.form} form with {config.heads} heads",
            expected="the official form with 4 heads, as the official code has it",
            remedy="keep the network in our own format",
        )
    decoder = rosinality_tree(model)
    networks: dict[str, Mapping[str, np.ndarray]] = {
        "encoder": engine.write(editing.edit_transformer(), flat_arrays(editor)),
        "decoder": decoder["g_ema"],
        "classifier": latent_classifier.state_dict(classifier),
    }
    states = {f"{role}.module.{key}": array for role, state in networks.items() for key, array in state.items()}
    write_torch(Path(path), {"state_dict": states, "latent_avg": decoder["latent_avg"]}, overwrite=False)


def sizes(
    contents: Contents, file: str, attribute: str, num_styles: int = OFFICIAL_STYLES
) -> tuple[EditTransformerConfig, engine.Table]:
    """The config of the file's edit transformer, and its table. Raises CheckpointError if there is too little to tell."""
    state, table = contents.editor or {}, editing.edit_transformer()
    shapes = engine.shapes(table, state)
    found = {
        "style_dim": votes.vote(
            shapes, *((f"layer.norm{i}.{name}", 0) for i in (1, 2, 3) for name in ("scale", "bias"))
        ),
        "hidden": votes.vote(
            shapes, ("layer.linear1.kernel", 1), ("layer.linear1.bias", 0), ("layer.linear2.kernel", 0)
        ),
    }
    config = EditTransformerConfig(num_styles, attribute, form="official")
    return votes.completed(config, found, file, "edit transformer", state, table), table
