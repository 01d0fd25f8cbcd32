"""Models by name: what there is, under which licence, and where its file must lie. Nothing is ever downloaded.

    [entry.name for entry in zoo.list()]
    model = restyle_jax.load("avatars64/restyle-psp")

Those of drawn faces, "avatars64/...", were trained with this software and are part of the package; experiments/avatars makes them
again. The published files are kept by their authors. Get one by hand and put it into `folder()`, under the name that its entry
says.
"""

import difflib
import os
from pathlib import Path

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.zoo import official, shipped
from restyle_jax.zoo.entry import Entry, checked, folder

__all__ = ["Entry", "find", "folder", "is_directory", "label", "list", "resolve"]

ENTRIES = (*shipped.ENTRIES, *official.ENTRIES)

_BY_NAME = {entry.name: entry for entry in ENTRIES}
_FAMILIES = {name.partition("/")[0] for name in _BY_NAME}


def list() -> tuple[Entry, ...]:
    """All models, in the order in which people look for them."""
    return ENTRIES


def find(name: str) -> Entry:
    """The model of that name, such as "official/e4e-ffhq". Raises CheckpointError, which says the nearest names, for another."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = difflib.get_close_matches(name, _BY_NAME, n=3, cutoff=0.5)
    neither = "neither a file nor the name of a model"
    raise CheckpointError.explain(
        name,
        found="a file, whose path is no name of a model" if os.path.exists(name) else neither,
        expected=f"a name such as {' or '.join(near or [ENTRIES[0].name])}",
        remedy="`restyle zoo` lists all names, and `restyle inspect` says what a file is",
    )


def resolve(path: str | os.PathLike[str]) -> Path:
    """The file that is meant: `path` itself, or where the model lies whose name it is.

    Only what begins like a name of the zoo ("official/...", "avatars64/...") is taken for one, and only if there is no such path.
    Raises CheckpointError for an unknown name, and if the file is not there (it says where to get it, under which licence, and
    where to put it) or is not the published one.
    """
    path = Path(path)
    name = path.as_posix()
    return path if name.partition("/")[0] not in _FAMILIES or path.exists() else checked(find(name))


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a directory, or the name of a shipped model that is one: as networks are that we train ourselves."""
    entry = _BY_NAME.get(Path(path).as_posix())
    return Path(path).is_dir() or (entry is not None and entry.path.is_dir())


def label(path: Path) -> str:
    """What to call a file: the name of a shipped model where that is what lies there, otherwise its path."""
    return next((entry.name for entry in shipped.ENTRIES if entry.path == path), str(path))
