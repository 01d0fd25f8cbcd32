"""What is known of a model that has a name, and its file on this machine."""

import dataclasses
import hashlib
import os
from pathlib import Path

from restyle_jax.convert.errors import CheckpointError


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model that people can have.

    Attributes:
        name: in full, such as "official/restyle-psp-ffhq".
        what: a phrase that says what it is.
        file: the name of its file in `folder()`; of a shipped model its file or directory beside this one.
        page, place: the web page where people get it, and what to look for there.
        licence: of the weights as far as their authors say it, otherwise of the code that they came with.
        resolution: of its pictures in pixels, the larger side; None for what makes none.
        sha256: of the file in hexadecimal, the whole of it or its first digits (as in torchvision's file names); None if it is
            not known.
        size: of the file in bytes, None if it is not known.
        shipped: whether it is part of this package.
    """

    name: str
    what: str
    file: str
    page: str
    place: str
    licence: str
    resolution: int | None = None
    sha256: str | None = None
    size: int | None = None
    shipped: bool = False

    @property
    def path(self) -> Path:
        """Where its file lies, or must lie."""
        return (Path(__file__).parent if self.shipped else folder()) / self.file

    @property
    def here(self) -> bool:
        """Whether this machine has it."""
        return self.path.is_file() or (self.shipped and self.path.is_dir())

    @property
    def card(self) -> Path | None:
        """What is to be known of a shipped model: data, command, date, hardware, time, measurements, limits."""
        if not self.shipped:
            return None
        return self.path / "card.md" if self.path.is_dir() else self.path.with_suffix(".md")

    @property
    def where(self) -> str:
        """What to do in order to have it."""
        return f"download it from {self.place}, {self.page}"


def folder() -> Path:
    """Where the files lie: $RESTYLE_MODELS, or ~/.cache/restyle_jax/models. Raises CheckpointError without either."""
    try:
        return Path(os.environ.get("RESTYLE_MODELS") or Path.home() / ".cache" / "restyle_jax" / "models")
    except RuntimeError as error:
        raise CheckpointError.explain(
            "~/.cache/restyle_jax/models",
            found="a user without a home folder",
            expected="$HOME or $RESTYLE_MODELS to be set",
            remedy="set RESTYLE_MODELS to the folder with the files of models",
        ) from error


def checked(entry: Entry) -> Path:
    """The file of a model. Raises CheckpointError if it is not there, or is not the published one."""
    path = entry.path
    if not entry.here:
        raise CheckpointError.explain(
            entry.name,
            found=f"no file {path}",
            expected=f"{entry.what} (licence: {entry.licence})",
            remedy=f"{entry.where}, and put it there under this name; $RESTYLE_MODELS names another folder",
        )
    if entry.sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(entry.sha256):
            expected = f"{entry.sha256} as in the published file" + (f" of {entry.size} bytes" if entry.size else "")
            raise CheckpointError.explain(
                path,
                found=f"the SHA-256 {found} and {path.stat().st_size} bytes",
                expected=expected,
                remedy=f"{entry.where}; if another version is meant, give its path instead of the name {entry.name}",
            )
    return path
