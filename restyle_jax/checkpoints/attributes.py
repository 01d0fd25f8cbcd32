"""Attribute networks (`nets.attributes`) in our own format; `config.json` names their outputs."""

import os
from collections.abc import Mapping
from typing import Any

from restyle_jax.checkpoints.auxiliary import load_auxiliary, save_auxiliary
from restyle_jax.nets.attributes import AttributeNetwork


def save_attributes(network: AttributeNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory; see `auxiliary.save_auxiliary`."""
    save_auxiliary(network, metadata, directory)


def load_attributes(path: str | os.PathLike[str]) -> AttributeNetwork:
    """The attribute network in a directory; see `auxiliary.load_auxiliary`."""
    return load_auxiliary(AttributeNetwork, path)
