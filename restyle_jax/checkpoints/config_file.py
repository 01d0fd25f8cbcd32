"""The `config.json` of our own format: what the networks of a directory are."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets import generators, image_encoders
from restyle_jax.nets.attributes import AttributeConfig
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.edit_transformer import EditTransformerConfig
from restyle_jax.nets.identity import IdentityConfig
from restyle_jax.nets.latent_classifier import LatentClassifierConfig
from restyle_jax.nets.small_perceptual import PerceptualConfig
from restyle_jax.refine import Geometry

FORMAT, VERSION = "restyle_jax", 1
CONFIG = "config.json"
LARGEST_SIZE = 2**16
DEEPEST = 100  # nested lists and dicts; options of a training run have a handful
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


def read_config(directory: Path) -> dict[str, Any]:
    """The parsed config.json. Raises CheckpointError if it is unreadable, damaged, not ours, or of a newer version."""
    file = directory / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError.unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        raise damaged(file, f"contents that are not JSON ({error})") from error
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
        raise damaged(file, f"metadata = {config['metadata']!r}")
    if is_deep(config):
        raise damaged(file, f"contents that are nested more than {DEEPEST} deep")
    return config


def is_deep(value: Any) -> bool:
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
                raise damaged(directory / CONFIG, f"{role}.architecture = {name!r}")
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
        raise damaged(directory / CONFIG, f"an impossible {name} ({error})") from error
    for key, hint in get_type_hints(kind).items():
        value = getattr(parsed, key)
        if not _fits(value, hint) or (key == "conv_clamp" and value is not None and value <= 0):
            raise damaged(directory / CONFIG, f"{name}.{key} = {value!r}")
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


def architecture(config: Any) -> str | None:
    """The name by which `config.json` tells this network from others of its role; None where there are no others."""
    every = (item for known in ARCHITECTURES.values() for item in known.items())
    return next((name for name, kind in every if isinstance(config, kind)), None)


def fields(config: Any) -> dict[str, Any]:
    """What `config.json` has of a config."""
    name = architecture(config)
    return {**({"architecture": name} if name else {}), **dataclasses.asdict(config)}


def damaged(file: Path, found: str) -> CheckpointError:
    """The error for a config.json that nobody can have meant."""
    return CheckpointError.explain(
        file, found=found, expected="a config as `restyle convert` writes it", remedy="convert the original file again"
    )
