"""The networks beside a model, which we train ourselves: in our own format, one in each directory; and what takes either these
or the published ones."""

import os
from collections.abc import Mapping
from typing import Any

from restyle_jax import zoo
from restyle_jax.checkpoints.alone import load_alone, save_alone
from restyle_jax.checkpoints.config_file import IDENTITY, PERCEPTUAL
from restyle_jax.checkpoints.networks import OptionalPath, load_face, load_lpips
from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.perceptual import LPIPS, NetName
from restyle_jax.nets.small_perceptual import PerceptualNetwork


def save_identity(network: IdentityNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory of our format, see `save_alone`."""
    save_alone(IDENTITY, network, metadata, directory)


def save_perceptual(network: PerceptualNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory of our format, see `save_alone`."""
    save_alone(PERCEPTUAL, network, metadata, directory)


def load_own_identity(path: str | os.PathLike[str]) -> IdentityNetwork:
    """The identity network in a directory of our format. Raises CheckpointError as `load_alone`."""
    remedy = "train one with experiments/avatars/identity.py, and give the folder best/ of that run"
    network = load_alone(IDENTITY, path, remedy=remedy)
    assert isinstance(network, IdentityNetwork)
    return network


def load_own_perceptual(path: str | os.PathLike[str]) -> PerceptualNetwork:
    """The perceptual network in a directory of our format. Raises CheckpointError as `load_alone`."""
    remedy = "make one with experiments/avatars/perceptual.py, and give the folder that it wrote"
    network = load_alone(PERCEPTUAL, path, remedy=remedy)
    assert isinstance(network, PerceptualNetwork)
    return network


def load_identity(path: OptionalPath) -> FaceNetwork | IdentityNetwork:
    """The network of the identity loss: a directory with one of ours, or the published `model_ir_se50.pth`.

    Raises CheckpointError as `load_own_identity` or `networks.load_face`.
    """
    return load_own_identity(path) if path and zoo.is_directory(path) else load_face(path)


def load_perceptual(net: NetName, trunk: OptionalPath, linear: OptionalPath) -> LPIPS | PerceptualNetwork:
    """The perceptual distance: a directory with one of ours as `trunk` (the others do not count), or LPIPS v0.1 from its files.

    Raises CheckpointError as `load_own_perceptual` or `networks.load_lpips`.
    """
    if trunk and zoo.is_directory(trunk):
        return load_own_perceptual(trunk)
    return load_lpips(net, trunk, linear)
