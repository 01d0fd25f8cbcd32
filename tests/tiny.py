"""Tiny models with random weights, saved once per test run, for tests of everything around the networks."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import restyle_jax as rs
from restyle_jax.checkpoints.modules import Blueprint
from restyle_jax.model import Model
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.refine import Geometry

SIZE = 32  # of the encoder's input
STYLE_DIM = 32
_FOLDER = tempfile.TemporaryDirectory(prefix="restyle_tiny_")


@functools.cache
def checkpoint(
    seed: int = 0, *, resolution: int = 16, in_channels: int = 6, encoder: bool = True, cars: bool = False
) -> Path:
    """A folder in our own format: a generator of `resolution` px and an encoder that sees 32 x 32 px (cars: 24 x 32)."""
    random = np.random.default_rng(seed)
    blocks = resolution.bit_length() - 2
    sizes = GeneratorConfig(resolution, (16,) * blocks, z_dim=STYLE_DIM, w_dim=STYLE_DIM, mapping_layers=2)
    heads = EncoderConfig(
        "backbone",
        "resnet18",
        num_styles=2 * blocks,
        in_channels=in_channels,
        style_dim=STYLE_DIM,
        width=8,
        head_convs=1,
    )
    model = Model(
        generator=_filled(Generator, sizes, random),
        w_avg=jnp.asarray(random.standard_normal((2 * blocks, STYLE_DIM)), jnp.float32),
        encoder=_filled(Encoder, heads, random) if encoder else None,
        geometry=Geometry(SIZE * 3 // 4, SIZE, SIZE // 8) if cars else Geometry(SIZE, SIZE),
    )
    folder = Path(_FOLDER.name) / f"{seed}-{resolution}-{in_channels}-{encoder}-{cars}"
    rs.save(model, folder)
    return folder


def broken(folder: Path, **sizes: Any) -> Path:
    """That of `checkpoint(**sizes)` with a generator whose pictures are not finite."""
    model = rs.load(checkpoint(**sizes))
    model.require_generator()[0].synthesis.blocks[-1].to_rgb.bias[...] = np.nan
    rs.save(model, folder)
    return folder


def _filled(kind: type, config: Any, random: np.random.Generator) -> Any:
    """The network with normal weights of variance 1 / fan-in in the encoder and 1 in the (equalised) generator."""
    blueprint = Blueprint.of(kind, config)
    arrays = {}
    for name, target in blueprint.targets.items():
        fan_in = np.prod(target.shape[:-1]) if kind is Encoder and name.endswith("kernel") else 1
        value = random.standard_normal(target.shape) / np.sqrt(fan_in)
        if name.endswith((".var", ".scale")):
            value = np.ones(target.shape)
        if "to_rgb" in name:
            value = value * 0.1  # keeps pictures within [-1, 1] for the most part
        arrays[name] = np.asarray(value, target.dtype)
    return blueprint.fill(arrays)
