"""`restyle zoo`."""

import argparse
from typing import Any

from restyle_jax import zoo
from restyle_jax.commands.arguments import add_command

ZOO = """\
Every option that takes a checkpoint or published weights takes a name of this table as well:
  restyle invert --checkpoint official/restyle-psp-ffhq --input photos --output inverted

Models whose names begin with avatars64 invert drawn faces and are part of this software;
`restyle zoo NAME` prints how one was made, and what it can and cannot do.
Nothing is downloaded: of all others it says where people get the file, under which licence, and
where it must lie: in ~/.cache/restyle_jax/models, or in the folder that $RESTYLE_MODELS names.
A file whose SHA-256 is known is compared with it when it is used by its name.
"""


def add_zoo(commands: Any) -> None:
    """Declare `restyle zoo`."""
    command = add_command(commands, "zoo", "list the models that have a name", ZOO, _zoo)
    command.add_argument("name", nargs="?", metavar="NAME", help="say everything about this one")


def _zoo(parsed: argparse.Namespace) -> int:
    print(_described(zoo.find(parsed.name)) if parsed.name else _table())
    return 0


def _table() -> str:
    width = max(len(entry.name) for entry in zoo.list())
    lines = [f"{'name':{width}}  pixels  here  what"]
    for entry in zoo.list():
        here = "yes" if entry.here else "no"
        lines.append(f"{entry.name:{width}}  {entry.resolution or '':>6}  {here:4}  {entry.what}")
    return "\n".join([*lines, f"Files lie in {zoo.folder()}; `restyle zoo NAME` says where to get one."])


def _described(entry: zoo.Entry) -> str:
    if entry.card is not None:
        return f"{entry.card.read_text(encoding='utf-8')}\nIt is part of this installation: {entry.path}"
    rows = {
        "name": entry.name,
        "what": entry.what,
        "pixels": entry.resolution or "makes no pictures",
        "licence": entry.licence,
        "get it": f"{entry.place}: {entry.page}",
        "put it": f"{entry.path} ({'it is there' if entry.here else 'it is not there'})",
        "bytes": entry.size or "not known",
        "sha256": f"begins with {entry.sha256}"
        if entry.sha256 and len(entry.sha256) < 64
        else entry.sha256 or "not known",
    }
    return "\n".join(f"{key:8} {value}" for key, value in rows.items())
