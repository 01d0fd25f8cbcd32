"""The `restyle` command. JAX is imported only by the commands that compute, so that help and `inspect` start at once."""

import argparse
import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from data_pipelines.folder import ImageError
from restyle_jax import cli_texts
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.outputs import OutputError

USER_ERRORS = (CheckpointError, ImageError, OutputError, OSError)
MAX_SEEDS = 1_000_000

_say = functools.partial(tqdm.write, file=sys.stderr)  # does not tear the progress bar apart


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed or incomplete, 130 interrupted (2: wrong usage, exits)."""
    parsed = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            warnings.filterwarnings(
                "ignore", module=r"PIL\."
            )  # about odd tags and large photos that are read all the same
            return parsed.run(parsed)
    except USER_ERRORS as error:
        return _fail(_message(error))
    except KeyboardInterrupt:
        print("restyle: interrupted; the same command continues where it stopped.", file=sys.stderr)
        return 130
    except Exception as error:
        if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
            return _fail("the device ran out of memory. Use a smaller --batch-size, or --dtype bfloat16.")
        raise


def _warn(message: Warning | str, *_: object) -> None:
    _say(f"restyle: warning: {message}")


def _fail(message: str) -> int:
    print(f"restyle: error: {message}", file=sys.stderr)
    return 1


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="restyle",
        description="Invert photos into StyleGAN's latent space with ReStyle, pSp and e4e checkpoints, on CPU, GPU or TPU.",
        epilog="`restyle <command> --help` explains a command.",
    )
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    _add_invert(commands)
    _add_generate(commands)

    convert = _command(
        commands, "convert", "turn a checkpoint into restyle_jax's own format", cli_texts.CONVERT, _convert
    )
    convert.add_argument("source", metavar="SRC", type=Path, help="the checkpoint")
    convert.add_argument("target", metavar="DST_DIR", type=Path, help="the folder to write")

    export = _command(commands, "export", "turn a checkpoint into an official PyTorch file", cli_texts.EXPORT, _export)
    export.add_argument("source", metavar="SRC", type=Path, help="the checkpoint")
    export.add_argument("target", metavar="DST.pt", type=Path, help="the file to write; must not exist yet")
    export.add_argument("--format", required=True, choices=("restyle", "rosinality"), help="see above")

    inspect = _command(commands, "inspect", "say what a checkpoint file is", cli_texts.INSPECT, _inspect)
    inspect.add_argument("file", metavar="FILE", type=Path, help="the checkpoint")
    inspect.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def _command(commands, name: str, summary: str, details: str, run: Callable[[argparse.Namespace], int]):
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_invert(commands) -> None:
    invert = _command(commands, "invert", "find the latent codes of photos", cli_texts.INVERT, _invert)
    _add_checkpoint(invert, "a ReStyle, pSp or e4e checkpoint (.pt, or a folder made by `restyle convert`)")
    invert.add_argument(
        "--input",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE_OR_DIR",
        help="photos, and folders that are searched for photos",
    )
    _add_output(invert)
    invert.add_argument("--steps", type=_integer(1), default=5, metavar="N", help="refinement steps (default: 5)")
    invert.add_argument(
        "--resize-outputs",
        action="store_true",
        help="save pictures at the encoder's size (256 px) instead of the generator's",
    )
    invert.add_argument(
        "--bootstrap-from",
        type=Path,
        metavar="CKPT",
        help="let this model make the first steps, and --checkpoint continue from its result (e.g. photo to cartoon)",
    )
    invert.add_argument(
        "--bootstrap-steps", type=_integer(1), metavar="N", help="steps of the --bootstrap-from model (default: 1)"
    )
    _add_computing(invert)


def _add_generate(commands) -> None:
    generate = _command(commands, "generate", "make new pictures from random seeds", cli_texts.GENERATE, _generate)
    _add_checkpoint(generate, "any checkpoint with a StyleGAN2 generator")
    _add_output(generate)
    generate.add_argument(
        "--seeds", required=True, type=_seeds, metavar="LIST", help="seeds and ranges of seeds, such as 0-15 or 0-3,7,9"
    )
    generate.add_argument(
        "--truncation-psi",
        type=float,
        default=0.7,
        metavar="PSI",
        help="1: as varied as the training pictures; towards 0: more typical, fewer failures (default: 0.7)",
    )
    generate.add_argument(
        "--class", dest="label", type=_integer(0), metavar="INDEX", help="the class, for class-conditional generators"
    )
    _add_computing(generate)


def _add_checkpoint(command: argparse.ArgumentParser, kinds: str) -> None:
    command.add_argument("--checkpoint", required=True, type=Path, metavar="CKPT", help=kinds)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new folder, or one to continue")
    command.add_argument(
        "--overwrite", action="store_true", help="replace earlier results of restyle in DIR (never other files)"
    )


def _add_computing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--batch-size", type=_integer(1), default=4, metavar="B", help="pictures computed at once (default: 4)"
    )
    command.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format of the networks: float32 gives the numbers of the official code; bfloat16 is faster on GPU "
        "and TPU and less exact (default: float32)",
    )
    command.add_argument(
        "--no-compilation-cache",
        action="store_true",
        help=f"do not keep compiled programs for the next start (they are kept in {compilation_cache()})",
    )


def _integer(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().lstrip("+-").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number of at least {minimum}")
        return int(text)

    return parse


def _seeds(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7], without repetitions."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or part.strip().endswith("-"):
            raise argparse.ArgumentTypeError(f"{part!r} is neither a seed nor a range of seeds such as 0-15")
        start, stop = int(first), int(last or first) + 1
        if stop <= start or stop > 2**32 or stop - start > MAX_SEEDS:
            raise argparse.ArgumentTypeError(
                f"{part!r}: expected an ascending range of at most {MAX_SEEDS} seeds below 2**32"
            )
        seeds.update(dict.fromkeys(range(start, stop)))
    return list(seeds)


def compilation_cache() -> Path:
    """Where compiled programs are kept: $JAX_COMPILATION_CACHE_DIR, or restyle_jax/xla in the user's cache folder."""
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "restyle_jax" / "xla"


def _prepare_jax(parsed: argparse.Namespace) -> None:
    import jax

    if parsed.dtype == "float32":  # accelerators would round the inputs of matrix products
        jax.config.update("jax_default_matmul_precision", "highest")
    if parsed.no_compilation_cache:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    directory = compilation_cache()
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _say(f"Compiled programs are kept in {directory} (--no-compilation-cache turns this off).")


def _invert(parsed: argparse.Namespace) -> int:
    if parsed.bootstrap_steps and not parsed.bootstrap_from:
        raise OutputError("--bootstrap-steps needs --bootstrap-from CKPT, the model that makes those steps.")
    _prepare_jax(parsed)
    from restyle_jax.jobs.invert_folder import invert_folder
    from restyle_jax.jobs.options import InvertOptions

    options = InvertOptions(
        checkpoint=parsed.checkpoint,
        steps=parsed.steps,
        batch_size=parsed.batch_size,
        resize_outputs=parsed.resize_outputs,
        bootstrap_from=parsed.bootstrap_from,
        bootstrap_steps=parsed.bootstrap_steps or 1,
        dtype=parsed.dtype,
        overwrite=parsed.overwrite,
    )
    outcome = invert_folder(parsed.input, parsed.output, options, _say)
    if outcome.inverted:
        print(f"{outcome.inverted} photo(s) inverted, results in {parsed.output}")
    if outcome.skipped:
        return _fail(
            f"{len(outcome.skipped)} photo(s) could not be read and were skipped, see above; all others are done."
        )
    return 0


def _generate(parsed: argparse.Namespace) -> int:
    _prepare_jax(parsed)
    from restyle_jax.jobs.generate_folder import GenerateOptions, generate_folder

    options = GenerateOptions(
        checkpoint=parsed.checkpoint,
        truncation_psi=parsed.truncation_psi,
        label=parsed.label,
        batch_size=parsed.batch_size,
        dtype=parsed.dtype,
        overwrite=parsed.overwrite,
    )
    generate_folder(parsed.seeds, parsed.output, options)
    print(f"{len(parsed.seeds)} picture(s) in {parsed.output}")
    return 0


def _convert(parsed: argparse.Namespace) -> int:
    from restyle_jax import checkpoints

    checkpoints.save(checkpoints.load(parsed.source), parsed.target)
    print(f"Wrote {parsed.target}")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from restyle_jax import checkpoints

    checkpoints.export_torch(checkpoints.load(parsed.source), parsed.target, format=parsed.format)
    print(f"Wrote {parsed.target}")
    return 0


def _inspect(parsed: argparse.Namespace) -> int:
    from restyle_jax import checkpoints

    report = checkpoints.inspect(parsed.file)
    print(json.dumps(report, indent=2) if parsed.json else checkpoints.describe(report))
    return 0
