"""The `restyle` command. JAX is imported only by the commands that compute, so that help and `inspect` start at once."""

import sys
import warnings
from collections.abc import Sequence

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

USER_ERRORS = (CheckpointError, TrainingError, ImageError, OutputError, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed or incomplete, 130 interrupted, 143 ended by SIGTERM after
    saving (2: wrong usage, exits)."""
    parsed = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            # Pillow warns about odd tags and large photos, which are read all the same.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return parsed.run(parsed)
    except USER_ERRORS as error:
        return failed(_message(error))
    except KeyboardInterrupt:
        print("restyle: interrupted; the same command continues where it stopped.", file=sys.stderr)
        return 130
    except Exception as error:
        if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
            return failed(
                "the device ran out of memory. Use a smaller --batch-size, or --dtype bfloat16; in training also --micro-batches "
                "or --remat."
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
        description="Invert photos into StyleGAN's latent space with ReStyle, pSp and e4e, edit them there, and train such "
        "encoders, on CPU, GPU or TPU.",
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
