"""Checkpoint files: read every published kind, write our own format and the official PyTorch ones, say what a file is."""

from restyle_jax.checkpoints.edit_transformer import export_editor, load_editor, save_editor
from restyle_jax.checkpoints.export import export_torch, usual_format
from restyle_jax.checkpoints.latent_classifier import export_classifier, load_classifier, save_classifier
from restyle_jax.checkpoints.loading import load, load_trained_generator
from restyle_jax.checkpoints.native import save
from restyle_jax.checkpoints.report import describe, inspect
from restyle_jax.checkpoints.trunks import load_trunk, with_weights

__all__ = [
    "describe",
    "export_classifier",
    "export_editor",
    "export_torch",
    "inspect",
    "load",
    "load_classifier",
    "load_editor",
    "load_trained_generator",
    "load_trunk",
    "save",
    "save_classifier",
    "save_editor",
    "usual_format",
    "with_weights",
]
