"""Networks that are no part of a model, each in a directory of our format, whose `config.json` says what they are."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from restyle_jax.checkpoints import config_file, native
from restyle_jax.convert.errors import CheckpointError


def save_alone(role: str, network: Any, metadata: Mapping[str, Any], directory: str | os.PathLike[str]) -> None:
    """Write a network as a directory that appears complete or not at all; role: one of `config_file.ALONE`.

    metadata: what should be known about it, such as the step of training. Raises CheckpointError as `native.save`.
    """
    native.write(
        Path(directory), {role: dataclasses.asdict(network.config)}, metadata, native.flattened({role: network})
    )


def load_alone(role: str, path: str | os.PathLike[str], *, remedy: str) -> nnx.Module:
    """The network in a directory that `save_alone` wrote (or either file in it).

    remedy: where people get such a directory. Raises CheckpointError if there is none, it is damaged or of another kind,
    listing everything that does not fit.
    """
    directory = native.own_directory(path)
    networks = config_file.configs(config_file.read_config(directory), directory) if directory is not None else {}
    if directory is None or role not in networks:
        others = [what for name, (_, what) in config_file.ALONE.items() if name in networks]
        found = others[0] if others else f"a model ({', '.join(networks) or 'empty'})"
        raise CheckpointError.explain(
            path,
            found="no directory" if directory is None else found,
            expected=f"a directory with {config_file.ALONE[role][1]}",
            remedy=remedy,
        )
    return native.fill(networks, directory)[0][role]
