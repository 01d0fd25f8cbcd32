"""What goes wrong with checkpoint files: one exception for users, and its carrier inside the reader."""

from __future__ import annotations

import os

_READABLE = "a PyTorch .pt/.pth file, an NVlabs network .pkl or a .safetensors file"
_FETCH_AGAIN = "download or copy the file again and compare its size with the original"


class CheckpointError(Exception):
    """A checkpoint file cannot be read, understood, converted or written.

    The message is meant for the person at the keyboard: it names the file, what was found there, what was
    expected, and what to do about it.
    """

    @classmethod
    def explain(cls, path: str | os.PathLike[str], *, found: str, expected: str, remedy: str) -> CheckpointError:
        """The error in its usual four parts; each argument is a phrase without a full stop."""
        return cls(f"{os.fspath(path)}: found {found}; expected {expected}. What to do: {remedy}.")

    @classmethod
    def unreadable(cls, path: str | os.PathLike[str], error: OSError) -> CheckpointError:
        """The error for a file that the operating system does not give away."""
        return cls.explain(
            path,
            found=f"that it cannot be read ({error.strerror or error})",
            expected="a readable checkpoint file",
            remedy="check the path and its permissions",
        )

    @classmethod
    def broken(cls, path: str | os.PathLike[str], found: str) -> CheckpointError:
        """The error for a network whose results are not finite."""
        return cls.explain(
            path,
            found=found,
            expected="a network that computes finite numbers",
            remedy="take an earlier checkpoint of its training, or get the file again",
        )


class Unreadable(Exception):
    """Bytes that do not follow their format, seen from where the path of the file is not known.

    `reader.read` turns it into a `CheckpointError` about that path.
    """

    def __init__(self, found: str, *, expected: str = _READABLE, remedy: str = _FETCH_AGAIN) -> None:
        super().__init__(found)
        self.found, self.expected, self.remedy = found, expected, remedy


class Refused(Unreadable):
    """A pickle that names something (`name`, dotted) which reading weights never needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name.startswith("dnnlib.tflib"):
            super().__init__(
                f"a TensorFlow StyleGAN pickle (it asks for {name})",
                remedy="convert it once with convert_weight.py of rosinality/stylegan2-pytorch or legacy.py of "
                "NVlabs/stylegan2-ada-pytorch (StyleGAN2), or with convert_model.py of genforce/genforce (StyleGAN), and give "
                "the converted file",
            )
        else:
            super().__init__(
                f"a pickle that asks for {name}, which was refused; nothing of it was executed",
                expected="tensors, numbers, strings and plain containers only",
                remedy="do not load this file elsewhere if you do not trust its source; if it is your own, save "
                "model.state_dict() instead of whole objects",
            )
