"""Our own format: a directory with `config.json` (what the networks are) and `weights.safetensors` (their arrays)."""

import contextlib
import dataclasses
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from restyle_jax import zoo
from restyle_jax.checkpoints.modules import NETWORKS, Blueprint, flat_arrays
from restyle_jax.checkpoints.opts import json_able
from restyle_jax.convert import engine, reader
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.model import Model
from restyle_jax.nets import generators, image_encoders
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.edit_transformer import EditTransformerConfig
from restyle_jax.nets.identity import IdentityConfig
from restyle_jax.nets.latent_classifier import LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig
from restyle_jax.refine import Geometry

FORMAT, VERSION = "restyle_jax", 1
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
LARGEST_SIZE = 2**16
DEEPEST = 100  # nested lists and dicts; options of a training run have a handful
LAYERS = ("mapping_layers", "head_convs", "widths")  # each of these layers has arrays of its own
FEW_LAYERS = 50  # take no time, whether they are in the file or not
# Short, because a file system that takes the name of a directory must also take this one with a random end.
SCRATCH = ".restyle-"
ROLES = ("generator", "encoder", "discriminator")
ATTRIBUTES, CLASSIFIER, EDITOR, IDENTITY, PERCEPTUAL = "attributes", "classifier", "editor", "identity", "perceptual"
# Networks that are no part of a model, and have a directory of their own.
ALONE = {
    ATTRIBUTES: (AttributeConfig, "an attribute network"),
    CLASSIFIER: (LatentClassifierConfig, "a latent classifier"),
    EDITOR: (EditTransformerConfig, "a network for edits by reference"),
    IDENTITY: (IdentityConfig, "an identity network"),
    PERCEPTUAL: (PerceptualConfig, "a perceptual network"),
}
ARCHITECTURES = {"generator": generators.ARCHITECTURES, "encoder": image_encoders.ARCHITECTURES}
UNNAMED = {"generator": "stylegan2", "encoder": "style_heads"}  # the architectures in folders that do not say it
CONFIGS = {"discriminator": DiscriminatorConfig} | {role: config for role, (config, _) in ALONE.items()}


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


def read_config(directory: Path) -> dict[str, Any]:
    """The parsed config.json. Raises CheckpointError if it is unreadable, damaged, not ours, or of a newer version."""
    file = directory / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError.unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"contents that are not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError.explain(
            file, found="a config of something else", expected=f'"format": "{FORMAT}"',
            remedy="give a directory that `restyle convert` wrote",
        )  # fmt: skip
    if config.get("version") != VERSION:
        raise CheckpointError.explain(
            file, found=f"version {config.get('version')!r} of the format", expected=f"version {VERSION}",
            remedy="update restyle_jax, or convert the original file again",
        )  # fmt: skip
    if not isinstance(config.get("metadata") or {}, dict):
        raise _damaged(file, f"metadata = {config['metadata']!r}")
    if _is_deep(config):
        raise _damaged(file, f"contents that are nested more than {DEEPEST} deep")
    return config


def _is_deep(value: Any) -> bool:
    """Whether there is more to a value than `DEEPEST` levels."""
    level = [value]
    for _ in range(DEEPEST):
        containers = [item for item in level if isinstance(item, Mapping | list | tuple)]
        level = [part for item in containers for part in (item.values() if isinstance(item, Mapping) else item)]
    return bool(level)


def configs(config: dict[str, Any], directory: Path) -> dict[str, Any]:
    """{role: config dataclass} of the networks that are present. Raises CheckpointError naming what is wrong."""
    present = {role: config[role] for role in (*ROLES, *ALONE) if config.get(role) is not None}
    kinds: dict[str, Any] = {role: known[UNNAMED[role]] for role, known in ARCHITECTURES.items()} | CONFIGS
    for role, known in ARCHITECTURES.items():
        if isinstance(fields := present.get(role), dict):  # what else it may be is found when it is parsed
            name = fields.get("architecture", UNNAMED[role])
            if name not in list(known):
                raise _damaged(directory / CONFIG, f"{role}.architecture = {name!r}")
            kinds[role], present[role] = known[name], {key: fields[key] for key in fields if key != "architecture"}
    return {role: _parsed(kinds[role], fields, role, directory) for role, fields in present.items()}


def geometry(config: dict[str, Any], directory: Path) -> Geometry:
    """The geometry in config.json. Raises CheckpointError if it is impossible."""
    return _parsed(Geometry, config.get("geometry"), "geometry", directory)


def _parsed(kind: Any, fields: Any, name: str, directory: Path) -> Any:
    """The dataclass `kind` from parsed JSON."""
    try:
        parsed = kind(**{key: _hashable(value) for key, value in fields.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(directory / CONFIG, f"an impossible {name} ({error})") from error
    for key, hint in get_type_hints(kind).items():
        value = getattr(parsed, key)
        if not _fits(value, hint) or (key == "conv_clamp" and value is not None and value <= 0):
            raise _damaged(directory / CONFIG, f"{name}.{key} = {value!r}")
    return parsed


def _hashable(value: Any) -> Any:
    """JSON has no tuples, and a config is compared and hashed."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON is what a field of a config may be; sizes are bounded, so that damage cannot stall us."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is ... and isinstance(value, tuple) else kinds
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(_fits(value, part) for part in get_args(hint))
    if hint is int:
        return type(value) is int and 0 <= value <= LARGEST_SIZE
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return isinstance(value, hint)


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
    frame = geometry(config, directory)
    filled, arrays = fill(networks, directory, dtype=dtype)
    return Model(
        **filled,
        w_avg=jnp.array(arrays["w_avg"]) if arrays else None,
        geometry=frame,
        metadata=dict(config.get("metadata") or {}),
        name=zoo.label(directory),
    )


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
                raise _damaged(directory / CONFIG, found)
    try:
        made = {role: Blueprint.of(NETWORKS[type(network)], network, dtype) for role, network in networks.items()}
    except ValueError as error:
        raise _damaged(directory / CONFIG, f"sizes that do not make a network ({error})") from error
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
    Raises CheckpointError if something else is there, or if it cannot be written.
    """
    directory = Path(directory)
    networks = {role: getattr(model, role) for role in ROLES}
    arrays = flattened({role: network for role, network in networks.items() if network is not None})
    if model.w_avg is not None:
        arrays["w_avg"] = np.asarray(model.w_avg, np.float32)
    config = {
        **{role: None if network is None else _fields(network.config) for role, network in networks.items()},
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
    if _is_deep({"metadata": metadata}):
        raise CheckpointError.explain(
            directory,
            found=f"metadata that are nested more than {DEEPEST} deep",
            expected="options and the like",
            remedy="leave some of them out",
        )
    config = {"format": FORMAT, "version": VERSION, **config, "metadata": json_able(metadata)}
    with writing(directory):
        _refuse_foreign(directory)
        # An empty directory stays: nobody can move one that is a mount point, or where the command was started.
        empty = directory.exists() and not any(directory.iterdir())
        if directory.exists() and not empty and (os.path.ismount(directory) or os.path.samefile(directory, os.curdir)):
            raise CheckpointError.explain(
                directory,
                found="a checkpoint in the current folder or a mount point",
                expected="a folder that can be replaced as a whole",
                remedy="remove the checkpoint first, or name another folder",
            )
        with tempfile.TemporaryDirectory(dir=directory if empty else directory.parent, prefix=SCRATCH) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, fresh / WEIGHTS)
            (fresh / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            # safetensors lets the owner alone read the file, but groups share runs, and packages are installed for others.
            (fresh / WEIGHTS).chmod((fresh / CONFIG).stat().st_mode)
            if empty:
                _move_into(directory, fresh)
            else:
                _replace(directory, fresh, Path(scratch) / "old")


def _move_into(directory: Path, fresh: Path) -> None:
    """Both files into an empty directory, or neither."""
    try:
        for name in (WEIGHTS, CONFIG):
            (fresh / name).rename(directory / name)
    except BaseException:
        for name in (WEIGHTS, CONFIG):
            (directory / name).unlink(missing_ok=True)
        raise


def _replace(directory: Path, fresh: Path, old: Path) -> None:
    """Put `fresh` where `directory` is, which is moved to `old` and back if that fails."""
    try:
        if directory.exists():
            directory.rename(old)
        fresh.rename(directory)
    except BaseException:
        if old.exists() and not os.path.lexists(directory):
            old.rename(directory)
        raise


def architecture(config: Any) -> str | None:
    """The name by which `config.json` tells this network from others of its role; None where there are no others."""
    every = (item for known in ARCHITECTURES.values() for item in known.items())
    return next((name for name, kind in every if isinstance(config, kind)), None)


def _fields(config: Any) -> dict[str, Any]:
    name = architecture(config)
    return {**({"architecture": name} if name else {}), **dataclasses.asdict(config)}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`; turn a failure to write it (no space, no permission) into a CheckpointError, and leave no folder
    behind that was not there."""
    absent = [folder for folder in path.parents if not os.path.exists(folder)]
    try:
        with _removed_if_it_fails(absent):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield
    except (OSError, SafetensorError) as error:
        free = shutil.disk_usage(_existing(path.parent)).free
        raise CheckpointError.explain(
            path,
            found=f"that it cannot be written ({error})",
            expected="a writable place with enough free space",
            remedy=f"free some space (there are {free / 1e9:.1f} GB) or choose another place; nothing was left behind",
        ) from error


@contextlib.contextmanager
def _removed_if_it_fails(folders: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for folder in folders:
            with contextlib.suppress(OSError):  # absent, or somebody else's meanwhile
                folder.rmdir()
        raise


def _existing(directory: Path) -> Path:
    return directory if os.path.exists(directory) else _existing(directory.parent)


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


def _damaged(file: Path, found: str) -> CheckpointError:
    return CheckpointError.explain(
        file, found=found, expected="a config as `restyle convert` writes it", remedy="convert the original file again"
    )
