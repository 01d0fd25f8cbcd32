"""Attribute networks (`nets.attributes`) in our own format; `config.json` names their outputs."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restyle_jax.checkpoints import native
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.attributes import AttributeConfig, AttributeNetwork

ROLE = "attributes"


def save_attributes(network: AttributeNetwork, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory of our format, which appears complete or not at all.

    metadata: what should be known about it, such as the step of training. Raises CheckpointError as `native.save`.
    """
    config = {ROLE: dataclasses.asdict(network.config)}
    native.write(Path(directory), config, metadata, native.flattened({ROLE: network}))


def load_attributes(path: str | os.PathLike[str]) -> AttributeNetwork:
    """The network in a directory that `save_attributes` wrote (or either file in it).

    Raises CheckpointError if there is none, it is damaged or of another kind, listing everything that does not fit.
    """
    directory = native.own_directory(path)
    config = native.read_config(directory) if directory is not None else {}
    if directory is None or config.get(ROLE) is None:
        held = ", ".join(role for role in native.ROLES if config.get(role) is not None)
        raise CheckpointError.explain(
            path,
            found=f"a model ({held or 'empty'})" if directory is not None else "no directory",
            expected="a directory with an attribute network",
            remedy="train one with experiments/avatar_attributes.py, and give the folder best/ of that run",
        )
    parsed = native.parsed(AttributeConfig, config[ROLE], ROLE, directory)
    return native.fill({ROLE: parsed}, directory)[0][ROLE]
