"""The `restyle` command. JAX is imported only by the commands that compute, so that help and `inspect` start at once."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from data_pipelines.folder import ImageError
from restyle_jax.commands.arguments import Parser, failed, say
from restyle_jax.commands.data import add_data
from restyle_jax.commands.demo import add_demo
from restyle_jax.commands.directions import add_directions
from restyle_jax.commands.edit import add_edit
from restyle_jax.commands.evaluate import add_eval
from restyle_jax.commands.evaluate_generator import add_eval_generator
from restyle_jax.commands.files import add_convert, add_export, add_inspect
from restyle_jax.commands.inference import add_generate, add_invert
from restyle_jax.commands.train import add_train
from restyle_jax.commands.zoo import add_zoo
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.train.errors import TrainingError

INTERRUPTED = 130
USER_ERRORS = (CheckpointError, TrainingError, ImageError, OutputError, OSError)


def command() -> None:
    """`main` as a process of its own, which ends with its status."""
    sys.unraisablehook = _interrupt_again
    status = main()
    if status == INTERRUPTED:
        os._exit(status)  # XLA may be compiling in other threads, which crash if Python takes itself apart
    sys.exit(status)


def _interrupt_again(ignored: Any) -> None:
    """Where Python ignores exceptions, as in finalizers and in callbacks of the garbage collector, such as JAX's, in which signals
    that come during a collection are handled: interrupt a moment later."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(ignored)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed or incomplete, 130 interrupted, 141 nobody reads what is printed,
    143 ended by SIGTERM after saving or clearing away (2: wrong usage, exits)."""
    _prepare_streams()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except OSError as error:  # of printing; all others are messages by now
        nobody_reads = isinstance(error, BrokenPipeError)  # as in `restyle zoo | head -1`
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr) if nobody_reads else (sys.stdout,):
            os.dup2(nowhere, stream.fileno())  # or Python complains when it ends
        return 141 if nobody_reads else failed(f"the results cannot be printed ({error.strerror or error}).")


def _prepare_streams() -> None:
    """Let every name be printed, also one that is not UTF-8, and let printing do nothing where the shell closed a stream."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        parsed = _parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            # Pillow warns about odd tags and large photos, which are read all the same.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return parsed.run(parsed)
    except BrokenPipeError:
        raise
    except USER_ERRORS as error:
        return failed(_message(error))
    except KeyboardInterrupt:
        print(
            "restyle: interrupted; what is finished is kept, and the same command may be given again.", file=sys.stderr
        )
        return INTERRUPTED
    except Exception as error:
        if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
            return failed(
                "the device ran out of memory. Use a smaller --batch-size, or --dtype bfloat16; in training also --micro-batches, "
                "and that of encoders --remat."
            )
        raise


def _warn(message: Warning | str, *_: object) -> None:
    say(f"restyle: warning: {message}")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _parser() -> Parser:
    parser = Parser(
        prog="restyle",
        description="Invert photos into StyleGAN's latent space with ReStyle, pSp, e4e and the Style Transformer, edit them "
        "there, and train such encoders, on CPU, GPU or TPU.",
        epilog="`restyle <command> --help` explains a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for declare in (
        add_demo,
        add_invert,
        add_generate,
        add_edit,
        add_directions,
        add_convert,
        add_export,
        add_inspect,
        add_zoo,
        add_data,
        add_train,
        add_eval,
        add_eval_generator,
    ):
        declare(commands)
    return parser
