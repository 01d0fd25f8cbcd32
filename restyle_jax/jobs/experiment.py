"""Experiment files: Python programs that say what to train, by a variable `config`."""

import dataclasses
import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restyle_jax.train.checks import problems
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError

EXAMPLE = "config = EncoderTraining(...), as in experiments/restyle_psp_ffhq.py"


def read_experiment(path: Path, changes: Mapping[str, Any]) -> EncoderTraining:
    """The configuration of an experiment file with some fields changed. The file is executed: it is the user's program.

    Raises TrainingError if it cannot be read or run, defines no configuration, or the values are impossible (names all).
    """
    if not path.is_file():
        raise TrainingError(f"{path}: there is no such file, expected an experiment file: {EXAMPLE}.")
    try:
        found = runpy.run_path(str(path), run_name="experiment").get("config")
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f", line {lines[-1]}" if lines else ""
        raise TrainingError(f"{path}{place}: fails with {type(error).__name__}: {error}") from error
    if not isinstance(found, EncoderTraining):
        what = "no variable config" if found is None else f"config = {found!r}"
        raise TrainingError(f"{path}: found {what}, expected {EXAMPLE}.")
    config = dataclasses.replace(found, **changes)
    if wrong := problems(config):
        raise TrainingError("\n  ".join([f"{path}: values that cannot be used, in the file or as options:", *wrong]))
    return config
