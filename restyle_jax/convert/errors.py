"""The one exception that everything about checkpoint files raises."""

from __future__ import annotations

import os


class CheckpointError(Exception):
    """A checkpoint file cannot be read, understood, converted or written.

    The message is meant for the person at the keyboard: it names the file, what was found there, what was
    expected, and what to do about it.
    """

    @classmethod
    def explain(
        cls, path: str | os.PathLike[str], *, found: str, expected: str, remedy: str
    ) -> CheckpointError:
        """The error in its usual four parts; each argument is a phrase without a full stop."""
        return cls(f"{os.fspath(path)}: found {found}; expected {expected}. What to do: {remedy}.")
