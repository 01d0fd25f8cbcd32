"""What the commands have in common: their parsers, options that several of them take, and how JAX is set up."""

import argparse
import difflib
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

MAX_STEPS = 1000  # of refinement
LARGEST = (2 - 2**-23) * 2.0**127  # of float32


def say(message: str) -> None:
    """Print a message for people; does not tear a progress bar apart."""
    tqdm.write(message, file=sys.stderr)


def failed(message: str) -> int:
    """Print an error; returns the exit status of a command that failed."""
    print(f"restyle: error: {message}", file=sys.stderr)
    return 1


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their full names only and answers an unknown one with the nearest that there is.

    Lists of numbers may begin with a minus sign (`--strengths -3,0,3`), which argparse otherwise takes for an option.
    """

    def __init__(self, **settings: Any):
        super().__init__(**{**settings, "allow_abbrev": False})
        self._negative_number_matcher = re.compile(r"-[.\d]")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        args = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:
            self._refuse_unknown(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        # argparse's words for `--flip=true`, which it refuses.
        super().error(message.replace("ignored explicit argument", "takes no value, found"))

    def _refuse_unknown(self, args: Sequence[str]) -> None:
        for argument in args:
            name = argument.partition("=")[0]
            if not re.match(r"--?[A-Za-z]", name) or name in self._option_string_actions:
                continue
            known = [option for option in self._option_string_actions if option.startswith("--")]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            self.error(f"there is no option {name}; {hint}`{self.prog} --help` lists all")


def add_command(
    commands: Any, name: str, summary: str, details: str, run: Callable[[argparse.Namespace], int]
) -> Parser:
    """A new command whose help says `summary`, its options, and `details`; it calls `run`, which returns the exit status."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_checkpoint(command: argparse.ArgumentParser, kinds: str) -> None:
    """Declare --checkpoint, of which `kinds` says what it may be."""
    command.add_argument(
        "--checkpoint", required=True, type=path, metavar="CKPT", help=f"{kinds}, or a name of `restyle zoo`"
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Declare --output and --overwrite."""
    command.add_argument("--output", required=True, type=path, metavar="DIR", help="a new folder, or one to continue")
    command.add_argument(
        "--overwrite", action="store_true", help="replace earlier results of restyle in DIR (files of other names stay)"
    )


def add_computing(command: argparse.ArgumentParser) -> None:
    """Declare --batch-size, --dtype and --no-compilation-cache."""
    add_batch_size(command)
    add_dtype(command)
    add_compilation_cache(command)


def add_batch_size(command: argparse.ArgumentParser) -> None:
    """Declare --batch-size."""
    command.add_argument(
        "--batch-size", type=integer(1), default=4, metavar="B", help="pictures computed at once (default: 4)"
    )


def add_dtype(command: argparse.ArgumentParser) -> None:
    """Declare --dtype."""
    command.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format of the networks: float32 gives the numbers of the official code; bfloat16 is faster on GPU "
        "and TPU and less exact (default: float32)",
    )


def add_compilation_cache(command: argparse.ArgumentParser) -> None:
    """Declare --no-compilation-cache."""
    command.add_argument(
        "--no-compilation-cache",
        action="store_true",
        help=f"do not keep compiled programs for the next start (they are kept in {compilation_cache()})",
    )


class Once(argparse.Action):
    """Stores what an option is given, and refuses the option a second time, which would silently replace the first."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "is given twice, expected once")
        setattr(namespace, self.dest, values)


def path(text: str) -> Path:
    """A type of option: paths. The empty one, as an unset variable of the shell gives, would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, expected a path; perhaps a variable of the shell is not set")
    return Path(text)


def finite(text: str) -> float:
    """A type of option: numbers that are finite in float32."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= LARGEST:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a finite number in float32")
    return number


def integer(minimum: int, maximum: float = math.inf) -> Callable[[str], int]:
    """A type of option: whole numbers from `minimum` to `maximum`."""
    expected = f"of at least {minimum}" + ("" if maximum == math.inf else f" and at most {maximum}")

    def parse(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number {expected}")
        return int(text)

    return parse


def compilation_cache() -> Path:
    """Where compiled programs are kept: $JAX_COMPILATION_CACHE_DIR, or restyle_jax/xla in the user's cache folder, or in that for
    temporary files if the user has none."""
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(chosen)
    try:
        if sys.platform == "win32":
            root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
        elif sys.platform == "darwin":
            root = Path.home() / "Library" / "Caches"
        else:
            root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is neither $HOME nor an entry for this user
        root = Path(tempfile.gettempdir())
    return root / "restyle_jax" / "xla"


def keep_programs(wanted: bool) -> None:
    """Keep compiled programs for the next start in `compilation_cache()`, or nowhere."""
    import jax

    if not wanted:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    directory = compilation_cache()
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    say(f"Compiled programs are kept in {directory} (--no-compilation-cache turns this off).")


def prepare_jax(parsed: argparse.Namespace) -> None:
    """Set JAX up as --dtype and --no-compilation-cache ask. Raises TrainingError if it finds no device."""
    import jax

    from restyle_jax.train.distributed import check_devices

    check_devices()
    if parsed.dtype == "float32":  # accelerators would round the inputs of matrix products
        jax.config.update("jax_default_matmul_precision", "highest")
    keep_programs(not parsed.no_compilation_cache)
