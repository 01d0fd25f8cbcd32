"""Attribute networks (`nets.attributes`) in our own format; `config.json` names their outputs."""

import os
from collections.abc import Mapping
from typing import Any

from restyle_jax.checkpoints.alone import load_alone, save_alone
from restyle_jax.checkpoints.config_file import ATTRIBUTES
from restyle_jax.nets.attributes import AttributeNetwork


def save_attributes(network: AttributeNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory of our format, see `save_alone`."""
    save_alone(ATTRIBUTES, network, metadata, directory)


def load_attributes(path: str | os.PathLike[str]) -> AttributeNetwork:
    """The network in a directory that `save_attributes` wrote (or either file in it).

    Raises CheckpointError if there is none, it is damaged or of another kind, listing everything that does not fit.
    """
    remedy = "train one with experiments/avatars/attributes.py, and give the folder best/ of that run"
    network = load_alone(ATTRIBUTES, path, remedy=remedy)
    assert isinstance(network, AttributeNetwork)
    return network
