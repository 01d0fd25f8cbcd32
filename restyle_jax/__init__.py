"""StyleGAN inversion and editing in JAX.

    import restyle_jax as rs
    model = rs.load("restyle_psp_ffhq_encode.pt")
    latents, images = rs.invert(model, photos, steps=5)

The names below are imported when they are first used, so that tools which need no network start without JAX.
"""

import importlib
import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restyle_jax.checkpoints import export_torch, inspect, load, load_trunk, save
    from restyle_jax.convert.errors import CheckpointError
    from restyle_jax.model import Model, generate, invert, sample, synthesise
    from restyle_jax.refine import Geometry, Inversion

__version__ = importlib.metadata.version("restyle_jax")

_HOME = {
    "load": "checkpoints",
    "load_trunk": "checkpoints",
    "save": "checkpoints",
    "export_torch": "checkpoints",
    "inspect": "checkpoints",
    "CheckpointError": "convert.errors",
    "Model": "model",
    "invert": "model",
    "generate": "model",
    "sample": "model",
    "synthesise": "model",
    "Geometry": "refine",
    "Inversion": "refine",
}

__all__ = [
    "CheckpointError",
    "Geometry",
    "Inversion",
    "Model",
    "export_torch",
    "generate",
    "inspect",
    "invert",
    "load",
    "load_trunk",
    "sample",
    "save",
    "synthesise",
]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def _prefer_fast_cpu_convolutions() -> None:
    """Switch off an experimental fusion of XLA's CPU backend that slows convolutions down by a third (README, "Speed").

    An unknown flag would abort the process, hence the guard by version; a choice of the user's is left alone, and after
    JAX has been imported it would come too late.
    """
    flag = "--xla_cpu_experimental_ynn_fusion_type"
    flags = os.environ.get("XLA_FLAGS", "")
    known = importlib.metadata.version("jaxlib").startswith(("0.10.", "0.11."))
    if known and flag not in flags and "jax" not in sys.modules:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}=".strip()


_prefer_fast_cpu_convolutions()
