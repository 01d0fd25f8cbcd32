"""What an editing job is asked to do: the kind of edit, its settings and their identity."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from restyle_jax import zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.options import fingerprint
from restyle_jax.jobs.outputs import Setting


@dataclass(frozen=True)
class Along:
    """Move along a direction: `component`, by number from 0 or by name, of those in a file; `layers` instead of its own."""

    file: Path
    component: str | None = None
    layers: str | None = None

    @property
    def files(self) -> dict[Path, str]:
        return {self.file: "a file with directions, such as `restyle directions fit` writes"}


@dataclass(frozen=True)
class Towards:
    """Move towards an attribute (`value` 1) or away from it (0), each code in a direction of its own (`edit.label`)."""

    attribute: str
    value: int
    classifier: Path
    order: Literal[1, 2] = 1
    normalise: Literal["token", "global"] = "token"
    updates: int = 1
    layers: str | None = None

    @property
    def files(self) -> dict[Path, str]:
        return {self.classifier: "a latent classifier"}


@dataclass(frozen=True)
class Like:
    """Take over an attribute of reference photos; strength 1 is what the editor makes, 0.5 half way."""

    references: tuple[Path, ...]
    attribute: str
    editor: Path

    @property
    def files(self) -> dict[Path, str]:
        return {self.editor: "an editor for references", **dict.fromkeys(self.references, "a photo as reference")}


@dataclass(frozen=True)
class EditOptions:
    """What to do with which checkpoint, and what to measure.

    strengths: of the edited pictures. morph: the strengths at the ends of an animation. target: the attribute that the edit
    means, for the measures; None where `request` says it, or if it is not known. attributes, classifier, identity_weights: the
    networks that measure. steps: refinements, where photos are inverted. `batch_size` changes the speed only.
    """

    checkpoint: Path
    request: Along | Towards | Like
    strengths: tuple[float, ...]
    morph: tuple[float, float] | None = None
    target: str | None = None
    attributes: Path | None = None
    classifier: Path | None = None
    identity_weights: Path | None = None
    steps: int = 5
    batch_size: int = 4
    dtype: str = "float32"
    overwrite: bool = False

    def description(self) -> dict[str, Setting]:
        """The settings that results depend on, for people to read."""
        own = {key: getattr(self, key) for key in (field.name for field in dataclasses.fields(self))}
        for key in ("request", "batch_size", "overwrite"):
            own.pop(key)
        settings = {**own, "edit": type(self.request).__name__.lower(), **dataclasses.asdict(self.request)}
        return {key: _setting(value) for key, value in settings.items()}

    def identity(self) -> dict[str, Setting]:
        """The same with hashes of the files: two runs may share an output folder only if these agree.

        Raises CheckpointError if the checkpoint, a file of the edit or a network that measures cannot be read.
        """
        judges = {
            self.attributes: "an attribute network",
            self.classifier: "a latent classifier",
            self.identity_weights: "a face network",
        }
        named = self.request.files | {file: expected for file, expected in judges.items() if file}
        for file, expected in named.items():
            if not file.exists():
                raise CheckpointError.explain(
                    file, found="no such file", expected=expected, remedy="check the path and its ending"
                )
        return {**self.description(), "files": " ".join(map(fingerprint, [self.checkpoint, *named]))}


def strength_text(strength: float) -> str:
    """A strength in as many digits as tell it from all others in float32, and in six if those are enough: 1.5, -3, 1e+30."""
    texts = (f"{strength:.{digits}g}" for digits in (6, 7, 8, 9))
    return next((text for text in texts if np.float32(text) == np.float32(strength)), str(strength))


def _setting(value: Any) -> Setting:
    if isinstance(value, tuple):
        return ",".join(strength_text(part) if isinstance(part, float) else str(part) for part in value)
    return zoo.label(value) if isinstance(value, Path) else value
