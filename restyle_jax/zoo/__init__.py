"""Models by name: what there is, under which licence, and where its file must lie. Nothing is ever downloaded.

    [entry.name for entry in zoo.list()]
    model = restyle_jax.load("official/restyle-psp-ffhq")

The published files are kept by their authors. Get one by hand and put it into `folder()`, under the name that its entry says.
"""

import difflib
import os
from pathlib import Path

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.zoo.entry import Entry, checked, folder
from restyle_jax.zoo.official import ENTRIES

__all__ = ["Entry", "find", "folder", "list", "resolve"]

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
    raise CheckpointError.explain(
        name,
        found="neither a file nor the name of a model",
        expected=f"a name such as {' or '.join(near or [ENTRIES[0].name])}",
        remedy="`restyle zoo` lists all names",
    )


def resolve(path: str | os.PathLike[str]) -> Path:
    """The file that is meant: `path` itself, or where the model lies whose name it is.

    Only what begins like a name of the zoo ("official/...") is taken for one, and only if there is no such path. Raises
    CheckpointError for an unknown name, and if the file is not there (it says where to get it, under which licence, and where
    to put it) or is not the published one.
    """
    path = Path(path)
    name = path.as_posix()
    return path if name.partition("/")[0] not in _FAMILIES or path.exists() else checked(find(name))
