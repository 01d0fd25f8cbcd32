"""Our own format: a directory with `config.json` (what the networks are) and `weights.safetensors` (their arrays)."""

import dataclasses
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from restyle_jax import zoo
from restyle_jax.checkpoints.config_file import (
    ALONE,
    CONFIG,
    DEEPEST,
    FORMAT,
    ROLES,
    VERSION,
    configs,
    damaged,
    fields,
    geometry,
    is_deep,
    read_config,
)
from restyle_jax.checkpoints.modules import NETWORKS, Blueprint, flat_arrays
from restyle_jax.checkpoints.opts import json_able
from restyle_jax.checkpoints.style_transformer import MAPPING_IS_CHANGED, mapping_is_changed
from restyle_jax.convert import engine, reader
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.writing import whole_folder, writing
from restyle_jax.model import Model

WEIGHTS = "weights.safetensors"
LAYERS = ("mapping_layers", "head_convs", "widths")  # each of these layers has arrays of its own
FEW_LAYERS = 50  # take no time, whether they are in the file or not


def files_of(path: Path) -> list[Path]:
    """What a checkpoint consists of: both files of a directory of our format (whatever else lies there), which either of them may
    stand for, or the file itself. Nothing of other directories."""
    if path.name in (CONFIG, WEIGHTS) and (path.parent / CONFIG).is_file():
        path = path.parent
    return [part for part in (path / CONFIG, path / WEIGHTS) if part.exists()] if path.is_dir() else [path]


def own_directory(path: str | os.PathLike[str]) -> Path | None:
    """The directory of our format that `path` means (itself, either file in it, or the name of a shipped model), or None if it is
    another kind of file.

    Raises CheckpointError for a directory that is not of our format or must not be looked into, and see `zoo.resolve`.
    """
    path = zoo.resolve(path)
    try:
        if path.name in (CONFIG, WEIGHTS) and (path.parent / CONFIG).is_file():
            path = path.parent
        if not path.is_dir():
            return None
        complete = (path / CONFIG).is_file()
    except OSError as error:
        raise CheckpointError.unreadable(path, error) from error
    if not complete:
        raise CheckpointError.explain(
            path,
            found=f"a directory without {CONFIG}",
            expected="a directory that `restyle convert` wrote, or a checkpoint file",
            remedy="give the checkpoint file itself",
        )
    return path


def load(directory: Path, *, dtype: jax.typing.DTypeLike = jnp.float32) -> Model:
    """The model in a directory of our format. Raises CheckpointError listing everything that does not fit."""
    config = read_config(directory)
    networks = configs(config, directory)
    if other := next((what for role, (_, what) in ALONE.items() if role in networks), None):
        raise CheckpointError.explain(
            directory,
            found=other,
            expected="a generator, an encoder or a discriminator",
            remedy="give a model, or read this one with restyle_jax.checkpoints.alone",
        )
    frame, metadata = geometry(config, directory), dict(config.get("metadata") or {})
    filled, arrays = fill(networks, directory, dtype=dtype)
    name = zoo.label(directory)
    if "generator" in networks and mapping_is_changed(metadata):
        warnings.warn(f"{name} {MAPPING_IS_CHANGED}", stacklevel=3)
    average = jnp.array(arrays["w_avg"]) if arrays else None
    try:
        return Model(**filled, w_avg=average, geometry=frame, metadata=metadata, name=name)
    except ValueError as error:
        raise damaged(directory / CONFIG, f"networks that do not fit each other ({error})") from error


def stored(directory: Path) -> dict[str, np.ndarray]:
    """The arrays in `directory`, views of the file. Raises CheckpointError if it is damaged or of another kind."""
    container = reader.read(directory / WEIGHTS)
    if container.format != "safetensors":
        raise CheckpointError.explain(
            container.path,
            found=f"a file of the kind {container.format}",
            expected="a safetensors file",
            remedy="convert the original file again, or give this one alone, under another name",
        )
    return container.tree


def blueprints(
    networks: dict[str, Any], directory: Path, count: int, dtype: jax.typing.DTypeLike = jnp.float32
) -> tuple[dict[str, Blueprint[Any]], dict[str, engine.Target]]:
    """{role: blueprint}, from {role: config}, and every array that the file in `directory` should hold; it holds `count`.

    Raises CheckpointError for configs of far more layers than arrays, over which one would wait for minutes, and impossible ones.
    """
    for role, network in networks.items():
        for name in LAYERS:
            size = getattr(network, name, 0)
            layers = len(size) if isinstance(size, tuple) else size
            if layers > max(count, FEW_LAYERS):
                found = f"{layers} layers in {role}.{name}, but {count} arrays in {WEIGHTS}"
                raise damaged(directory / CONFIG, found)
    try:
        made = {role: Blueprint.of(NETWORKS[type(network)], network, dtype) for role, network in networks.items()}
    except ValueError as error:
        raise damaged(directory / CONFIG, f"sizes that do not make a network ({error})") from error
    targets: dict[str, engine.Target] = {
        f"{role}.{path}": target for role, blueprint in made.items() for path, target in blueprint.targets.items()
    }
    if generator := networks.get("generator"):
        targets["w_avg"] = jax.ShapeDtypeStruct((generator.num_styles, generator.w_dim), jnp.float32)
    return made, targets


def fill(
    networks: dict[str, Any], directory: Path, *, dtype: jax.typing.DTypeLike = jnp.float32
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """{role: network} with the arrays in `directory`, from {role: config}, and the arrays that belong to no network.

    Raises CheckpointError unless the file holds exactly the arrays of the networks, and a w_avg beside a generator.
    """
    source = stored(directory)
    made, targets = blueprints(networks, directory, len(source), dtype)
    engine.check_own(source, targets, file=str(directory / WEIGHTS), what=f"networks of {CONFIG}")
    arrays = {path: np.array(source[path], target.dtype) for path, target in targets.items()}
    filled = {role: blueprint.fill(arrays, f"{role}.") for role, blueprint in made.items()}
    return filled, arrays


def save(model: Model, directory: str | os.PathLike[str]) -> None:
    """Write a model as a directory with `config.json` and `weights.safetensors`.

    The directory appears complete or not at all. One that already exists is replaced if it is of this format, and filled if it
    is empty: then config.json comes last.
    Raises CheckpointError if something else is there, or if it cannot be written, ValueError for a generator without w_avg.
    """
    directory = Path(directory)
    if model.generator is not None:
        model.require_generator()
    networks = {role: getattr(model, role) for role in ROLES}
    arrays = flattened({role: network for role, network in networks.items() if network is not None})
    if model.w_avg is not None:
        arrays["w_avg"] = np.asarray(model.w_avg, np.float32)
    config = {
        **{role: None if network is None else fields(network.config) for role, network in networks.items()},
        "geometry": dataclasses.asdict(model.geometry),
    }
    write(directory, config, model.metadata, arrays)


def flattened(networks: dict[str, Any]) -> dict[str, np.ndarray]:
    """{role.path: array} of {role: network}."""
    return {
        f"{role}.{path}": array for role, network in networks.items() for path, array in flat_arrays(network).items()
    }


def write(directory: Path, config: dict[str, Any], metadata: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write what `read_config` and `reader.read` give back; see `save`."""
    if is_deep({"metadata": metadata}):
        raise CheckpointError.explain(
            directory,
            found=f"metadata that are nested more than {DEEPEST} deep",
            expected="options and the like",
            remedy="leave some of them out",
        )
    config = {"format": FORMAT, "version": VERSION, **config, "metadata": json_able(metadata)}
    with writing(directory):
        _refuse_foreign(directory)
        with whole_folder(directory, last=CONFIG) as fresh:
            save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, fresh / WEIGHTS)
            (fresh / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            # safetensors lets the owner alone read the file, but groups share runs, and packages are installed for others.
            (fresh / WEIGHTS).chmod((fresh / CONFIG).stat().st_mode)


def _refuse_foreign(directory: Path) -> None:
    """Refuse to replace anything but an empty directory or one of ours."""
    if not os.path.lexists(directory):
        return
    names = {entry.name for entry in directory.iterdir()} if directory.is_dir() and not directory.is_symlink() else None
    if names == set() or (names == {CONFIG, WEIGHTS} and read_config(directory)):
        return
    raise CheckpointError.explain(
        directory,
        found="something that restyle_jax did not write"
        if names is None
        else f"a directory with {', '.join(sorted(names)[:5])}",
        expected="a new or empty directory, or one to replace that holds only a converted checkpoint",
        remedy="choose another directory",
    )
