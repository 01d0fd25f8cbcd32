"""Checkpoint files: read every published kind, write our own format and the official PyTorch ones, say what a file is."""

from restyle_jax.checkpoints.export import export_torch, usual_format
from restyle_jax.checkpoints.loading import load, load_trained_generator, load_trunk
from restyle_jax.checkpoints.native import save
from restyle_jax.checkpoints.report import describe, inspect

__all__ = [
    "describe",
    "export_torch",
    "inspect",
    "load",
    "load_trained_generator",
    "load_trunk",
    "save",
    "usual_format",
]
