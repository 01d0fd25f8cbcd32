"""The folder of a training run, as seen by the commands that use what was trained."""

from pathlib import Path

from restyle_jax.convert.errors import CheckpointError


def model_in(path: Path) -> Path:
    """The model that a path means: in the folder of a training run the best one, or else the latest; otherwise the path.

    Raises CheckpointError if a run has no model yet.
    """
    for name in ("best", "latest"):
        if (path / "checkpoints").is_dir() and (path / name).is_dir():
            return path / name
    if (path / "checkpoints").is_dir():
        raise CheckpointError.explain(
            path,
            found="a training run that has not written a model yet",
            expected="best/ or latest/ inside",
            remedy="wait for its first evaluation or checkpoint (--eval-every, --save-every)",
        )
    return path
