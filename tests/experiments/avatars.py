"""Tiny encoders, networks and a direction, saved for the programs that measure avatars."""

from pathlib import Path

import numpy as np

from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.checkpoints.auxiliary import save_identity, save_perceptual
from restyle_jax.edit.direction import Direction
from restyle_jax.edit.files import write_directions
from restyle_jax.jobs.train_attributes import avatar_attributes
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.nets.small_perceptual import PerceptualConfig, PerceptualNetwork
from tests import networks, tiny

SIZE = tiny.SIZE
ENCODERS = {
    "psp": (0, 3),
    "e4e": (1, 3),
    "style-transformer": (4, 3),
    "restyle-psp": (2, 6),
    "restyle-e4e": (3, 6),
    "restyle-style-transformer": (5, 6),
}


def judges() -> tuple[PerceptualNetwork, IdentityNetwork]:
    perceptual = networks.random(PerceptualNetwork, PerceptualConfig(SIZE, (8, 8)))
    identity = networks.random(IdentityNetwork, IdentityConfig(SIZE, (8, 8), 8))
    for weight in perceptual.weights:
        weight[...] = abs(weight[...])
    return perceptual, identity


def attributes() -> AttributeNetwork:
    return networks.random(AttributeNetwork, avatar_attributes(SIZE, (8, 8), 8))


def judge_options(folder: Path) -> list[str]:
    """Options of the programs that name the networks which compare pictures, saved in `folder`."""
    perceptual, identity = judges()
    save_perceptual(perceptual, {}, folder / "perceptual")
    save_identity(identity, {}, folder / "identity")
    return ["--perceptual", str(folder / "perceptual"), "--identity", str(folder / "identity")]


def options(folder: Path) -> list[str]:
    """Options of `inversion` that name everything, saved in `folder`."""
    save_attributes(attributes(), {}, folder / "attributes")
    vector = np.random.default_rng(0).standard_normal(tiny.STYLE_DIM).astype(np.float32)
    write_directions([Direction("smile", vector, "W")], folder / "smile.npz")
    named = {"attributes": folder / "attributes", "direction": folder / "smile.npz"}
    for name, (seed, channels) in ENCODERS.items():
        named[name] = tiny.checkpoint(seed, in_channels=channels)
    return [*judge_options(folder), *(text for name, path in named.items() for text in (f"--{name}", str(path)))]
