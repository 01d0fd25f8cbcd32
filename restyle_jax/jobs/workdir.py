"""What a path after --checkpoint and the like means: a name of the zoo, the folder of a training run, or a file."""

from pathlib import Path

from restyle_jax import zoo
from restyle_jax.convert.errors import CheckpointError


def model_in(path: Path) -> Path:
    """The model that a path means: for a name of the zoo its file, in the folder of a training run the best one, or else the
    latest; otherwise the path.

    Raises CheckpointError if a run has no model yet, and see `zoo.resolve`.
    """
    path = zoo.resolve(path)
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
