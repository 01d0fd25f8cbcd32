"""Attribute networks (`nets.attributes`) in our own format; `config.json` names their outputs."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restyle_jax.checkpoints import native
from restyle_jax.checkpoints.native import ATTRIBUTES
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.attributes import AttributeNetwork


def save_attributes(network: AttributeNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory of our format, which appears complete or not at all.

    metadata: what should be known about it, such as the step of training. Raises CheckpointError as `native.save`.
    """
    config = {ATTRIBUTES: dataclasses.asdict(network.config)}
    native.write(Path(directory), config, metadata, native.flattened({ATTRIBUTES: network}))


def load_attributes(path: str | os.PathLike[str]) -> AttributeNetwork:
    """The network in a directory that `save_attributes` wrote (or either file in it).

    Raises CheckpointError if there is none, it is damaged or of another kind, listing everything that does not fit.
    """
    directory = native.own_directory(path)
    networks = native.configs(native.read_config(directory), directory) if directory is not None else {}
    if directory is None or ATTRIBUTES not in networks:
        raise CheckpointError.explain(
            path,
            found="no directory" if directory is None else f"a model ({', '.join(networks) or 'empty'})",
            expected="a directory with an attribute network",
            remedy="train one with experiments/avatar_attributes.py, and give the folder best/ of that run",
        )
    return native.fill(networks, directory)[0][ATTRIBUTES]
