"""Experiment files: Python programs that say what to train, by a variable `config`, or by a function of that name whose arguments,
with defaults, are the settings that others follow from."""

import contextlib
import dataclasses
import inspect
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restyle_jax.train import avatar_config, checks, code_config, fields, identity_config, stylegan_config
from restyle_jax.train.attribute_config import AttributeTraining
from restyle_jax.train.code_config import LatentClassifierTraining, ReferenceEditTraining
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.identity_config import IdentityTraining
from restyle_jax.train.stylegan_config import StyleGANTraining

if TYPE_CHECKING:
    from restyle_jax.train.loop import Outcome

KINDS: dict[str, type] = {
    "encoders": EncoderTraining,
    "generators": StyleGANTraining,
    "attribute networks": AttributeTraining,
    "identity networks": IdentityTraining,
    "latent classifiers": LatentClassifierTraining,
    "edits by reference": ReferenceEditTraining,
}
"""What can be trained, and the configuration that says how."""

PROBLEMS: dict[type, Callable[[Any], list[str]]] = {
    EncoderTraining: checks.problems,
    StyleGANTraining: stylegan_config.problems,
    AttributeTraining: avatar_config.problems,
    IdentityTraining: identity_config.problems,
    LatentClassifierTraining: code_config.problems,
    ReferenceEditTraining: code_config.problems,
}
EXAMPLE = (
    f"config = {' or '.join(f'{kind.__name__}(...)' for kind in KINDS.values())}, as in experiments/restyle_psp_ffhq.py"
)


def read_experiment(path: Path, changes: Mapping[str, Any]) -> Any:
    """The configuration of an experiment file, one of KINDS, with some fields changed. The file is executed: it is the user's
    program, and may import its neighbours.

    Raises TrainingError if it cannot be read or run, defines no configuration, has no such fields, or the values are
    impossible (names all).
    """
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file, expected an experiment file: {EXAMPLE}.")
    try:
        with _neighbours(path):
            found = runpy.run_path(str(path), run_name="experiment").get("config")
            if inspect.isfunction(found):
                found = found(
                    **{name: changes[name] for name in inspect.signature(found).parameters if name in changes}
                )
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f", line {lines[-1]}" if lines else ""
        reason = ": ".join(filter(None, (type(error).__name__, str(error))))
        raise TrainingError(f"{path}{place}: fails with {reason}") from error
    if type(found) not in PROBLEMS:
        what = "no variable config" if found is None else f"config = {found!r}"
        raise TrainingError(f"{path}: found {what}, expected {EXAMPLE}.")
    assert found is not None
    foreign = [f"--{name.replace('_', '-')}" for name in changes if name not in fields.hints(type(found))]
    if foreign:
        raise TrainingError(
            f"{path}: config is {type(found).__name__}(...), which has no setting for {', '.join(foreign)}. Leave it out; "
            "`restyle train --help` lists the settings of each kind of training."
        )
    config = dataclasses.replace(found, **changes)
    if wrong := PROBLEMS[type(config)](config):
        raise TrainingError("\n  ".join([f"{path}: values that cannot be used, in the file or as options:", *wrong]))
    return config


@contextlib.contextmanager
def _neighbours(path: Path) -> Iterator[None]:
    """Within this context what lies beside a file can be imported, as from the package that it belongs to if it does."""
    folder = path.resolve().parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def train(config: Any, workdir: Path, **how: Any) -> "Outcome":
    """Train what a configuration says; see `train_encoder`, `train_stylegan`, `train_attributes`, `train_identity` and
    `train_on_codes` in this package. Raises TrainingError also if `workdir` lies among the pictures."""
    from restyle_jax.jobs.training_data import refuse_among_pictures

    refuse_among_pictures(workdir, config)
    if isinstance(config, EncoderTraining):
        from restyle_jax.jobs.train_encoder import train_encoder

        return train_encoder(config, workdir, **how)
    if isinstance(config, StyleGANTraining):
        from restyle_jax.jobs.train_stylegan import train_stylegan

        return train_stylegan(config, workdir, **how)
    if isinstance(config, IdentityTraining):
        from restyle_jax.jobs.train_identity import train_identity

        return train_identity(config, workdir, **how)
    if isinstance(config, AttributeTraining):
        from restyle_jax.jobs.train_attributes import train_attributes

        return train_attributes(config, workdir, **how)
    from restyle_jax.jobs.train_on_codes import train_on_codes

    return train_on_codes(config, workdir, **how)
