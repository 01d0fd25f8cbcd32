"""The networks beside a model, which we train ourselves: in our own format, one in each directory; and what takes either these
or the published ones."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from restyle_jax.checkpoints import native
from restyle_jax.checkpoints.networks import OptionalPath, load_face, load_lpips
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.perceptual import LPIPS, NetName
from restyle_jax.nets.small_perceptual import PerceptualNetwork

N = TypeVar("N", AttributeNetwork, IdentityNetwork, PerceptualNetwork)

# The role of each in the format, what it is called, and what makes one.
KINDS: dict[type, tuple[str, str, str]] = {
    AttributeNetwork: (
        "attributes",
        "an attribute network",
        "train one with experiments/avatar_attributes.py, and give the folder best/ of that run",
    ),
    IdentityNetwork: (
        "identity",
        "an identity network",
        "train one with experiments/avatar_identity.py, and give the folder best/ of that run",
    ),
    PerceptualNetwork: (
        "perceptual",
        "a perceptual network",
        "make one with experiments/avatar_perceptual.py, and give the folder that it wrote",
    ),
}


def save_auxiliary(
    network: AttributeNetwork | IdentityNetwork | PerceptualNetwork,
    metadata: Mapping[str, Any],
    directory: str | os.PathLike[str],
) -> None:
    """Write a network as a directory of our format, which appears complete or not at all.

    metadata: what should be known about it, such as the step of training. Raises CheckpointError as `native.save`.
    """
    role, *_ = KINDS[type(network)]
    config = {role: dataclasses.asdict(network.config)}
    native.write(Path(directory), config, metadata, native.flattened({role: network}))


def load_auxiliary(kind: type[N], path: str | os.PathLike[str], *, dtype: jax.typing.DTypeLike = jnp.float32) -> N:
    """The network of this kind in a directory that `save_auxiliary` wrote (or either file in it).

    Raises CheckpointError if there is none, it is damaged or of another kind, listing everything that does not fit.
    """
    role, what, remedy = KINDS[kind]
    directory = native.own_directory(path)
    networks = native.configs(native.read_config(directory), directory) if directory is not None else {}
    if directory is None or role not in networks:
        raise CheckpointError.explain(
            path,
            found="no directory" if directory is None else f"a model ({', '.join(networks) or 'empty'})",
            expected=f"a directory with {what}",
            remedy=remedy,
        )
    return native.fill(networks, directory, dtype=dtype)[0][role]


def load_identity(path: OptionalPath) -> FaceNetwork | IdentityNetwork:
    """The network of the identity loss: a directory with one of ours, or the published `model_ir_se50.pth`.

    Raises CheckpointError as `load_auxiliary` or `networks.load_face`.
    """
    return load_auxiliary(IdentityNetwork, path) if path and Path(path).is_dir() else load_face(path)


def load_perceptual(net: NetName, trunk: OptionalPath, linear: OptionalPath) -> LPIPS | PerceptualNetwork:
    """The perceptual distance: a directory with one of ours as `trunk` (the others do not count), or LPIPS v0.1 from its files.

    Raises CheckpointError as `load_auxiliary` or `networks.load_lpips`.
    """
    if trunk and Path(trunk).is_dir():
        return load_auxiliary(PerceptualNetwork, trunk)
    return load_lpips(net, trunk, linear)
