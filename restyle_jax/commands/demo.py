"""`restyle demo`."""

import argparse
from pathlib import Path
from typing import Any

from restyle_jax import zoo
from restyle_jax.commands.arguments import (
    MAX_STEPS,
    add_command,
    add_computing,
    failed,
    integer,
    path,
    prepare_jax,
    say,
)
from restyle_jax.demo import MOST_STEPS
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.jobs.workdir import model_in

DEMO = """\
Writes DIR/index.html, one file with all pictures inside, which needs no network:
  the steps of inversions, where each step changes something, how the error falls;
  truncation and style mixing of random pictures; edits; a morph between two inversions.

Without --checkpoint it shows what the models do that are part of this software: they invert
drawn faces, come closer to them by optimisation, turn heads and darken hair, edit labels such
as glasses, and take the colour of hair from another picture. Without --input it inverts drawn
faces, too; a checkpoint for photos needs photos. Other checkpoints are edited along --direction,
or else along the principal components of random codes. For a checkpoint without encoder what
needs inversions is left out. An earlier page in DIR is replaced.

With --serve there is a page to try things on instead, until Ctrl-C: choose or upload a picture,
a model and a number of steps, and edit the result with sliders. It prints its address, which
only this machine can reach. It needs `pip install 'restyle_jax[demo]'`.

examples:
  restyle demo
  restyle demo --serve
  restyle demo --checkpoint runs/avatars --output demo
  restyle demo --checkpoint restyle_e4e_ffhq_encode.pt --input photos --direction smile.pt --output demo
  restyle demo --checkpoint runs/avatars runs/e4e --serve
"""


# What is shown where nothing is given; the first is the page's, since classifier and editor read its codes, and all are served.
SHIPPED = ("avatars64/restyle-e4e", "avatars64/restyle-psp", "avatars64/psp")
SHIPPED_CLASSIFIER = "avatars64/classifier"
SHIPPED_LABELS = ("skin_tone", "glasses_tinted", "mouth_open")  # what the generator draws clearly
SHIPPED_EDITOR = "avatars64/editor-hair"
SHIPPED_PERCEPTUAL = "avatars64/perceptual"
SHIPPED_DIRECTIONS = ("avatars64/yaw", "avatars64/black-hair")


def add_demo(commands: Any) -> None:
    """Declare `restyle demo`."""
    demo = add_command(commands, "demo", "show what a checkpoint does, on one web page", DEMO, _demo)
    demo.add_argument(
        "--checkpoint",
        nargs="+",
        default=[],
        type=path,
        metavar="CKPT",
        help="any checkpoint with a generator, or a name of `restyle zoo`; several to choose from with --serve "
        f"(default: {SHIPPED[0]}; with --serve also {' and '.join(SHIPPED[1:])})",
    )
    demo.add_argument(
        "--input",
        nargs="+",
        default=[],
        type=path,
        metavar="FILE_OR_DIR",
        help="photos and folders of photos, of which the first 8 are shown (default: drawn avatars)",
    )
    kind = demo.add_mutually_exclusive_group()
    kind.add_argument(
        "--output",
        type=path,
        default=Path("demo"),
        metavar="DIR",
        help="a new folder, or one of an earlier demo (default: demo)",
    )
    kind.add_argument("--serve", action="store_true", help="open a page to try things on, until Ctrl-C")
    demo.add_argument(
        "--port", type=integer(1, 65535), metavar="P", help="of --serve (default: the first free one from 7860)"
    )
    demo.add_argument(
        "--steps",
        type=integer(1, MAX_STEPS),
        default=5,
        metavar="N",
        help=f"refinement steps; with --serve those that are chosen at first, at most {MOST_STEPS} (default: 5)",
    )
    demo.add_argument(
        "--direction",
        nargs="+",
        default=[],
        type=path,
        metavar="FILE|NAME",
        help="directions, as for `restyle edit`; the first of each is taken (default: "
        f"{' and '.join(SHIPPED_DIRECTIONS)} for the default checkpoints, principal components for others)",
    )
    add_computing(demo)
    demo.set_defaults(batch_size=None)  # so that it is known whether it was given


def _demo(parsed: argparse.Namespace) -> int:
    if parsed.port and not parsed.serve:
        raise OutputError("--port needs --serve, the page that is reached through it.")
    if parsed.batch_size and parsed.serve:
        raise OutputError(
            "--batch-size has no use with --serve, whose page computes one picture at a time; leave it out."
        )
    prepare_jax(parsed)
    if parsed.serve:
        return _serve(parsed)
    from restyle_jax.demo.demo import DemoOptions, make_demo
    from restyle_jax.jobs.edit_options import Towards

    checkpoints = parsed.checkpoint or [Path(SHIPPED[0])]
    if len(checkpoints) > 1:
        return failed(f"--checkpoint has {len(checkpoints)} values, expected one; --serve takes several")
    shipped = _shipped(checkpoints)
    options = DemoOptions(
        checkpoint=model_in(checkpoints[0]),
        inputs=parsed.input,
        steps=parsed.steps,
        directions=_directions(parsed.direction, checkpoints),
        labels=[Towards(name, 1, zoo.resolve(SHIPPED_CLASSIFIER)) for name in SHIPPED_LABELS] if shipped else (),
        editor=zoo.resolve(SHIPPED_EDITOR) if shipped else None,
        perceptual=zoo.resolve(SHIPPED_PERCEPTUAL) if shipped else None,
        batch_size=parsed.batch_size or DemoOptions.batch_size,
        dtype=parsed.dtype,
    )
    print(make_demo(parsed.output, options, say))
    return 0


def _serve(parsed: argparse.Namespace) -> int:
    from restyle_jax.demo.serve import ServeError, serve

    if parsed.steps > MOST_STEPS:
        return failed(f"--steps is {parsed.steps}, expected at most {MOST_STEPS} with --serve")
    checkpoints = parsed.checkpoint or [Path(name) for name in SHIPPED]
    models = {str(path): model_in(path) for path in checkpoints}
    settings = {"inputs": parsed.input, "steps": parsed.steps, "port": parsed.port, "dtype": parsed.dtype, "say": say}
    try:
        serve(models, _directions(parsed.direction, checkpoints), **settings)
    except ServeError as error:
        return failed(str(error))
    return 0


def _directions(given: list[Path], checkpoints: list[Path]) -> list[Path]:
    return [zoo.resolve(direction) for direction in given or (SHIPPED_DIRECTIONS if _shipped(checkpoints) else ())]


def _shipped(checkpoints: list[Path]) -> bool:
    return all(path.as_posix() in SHIPPED for path in checkpoints)
