"""`restyle demo`."""

import argparse
from pathlib import Path
from typing import Any

from restyle_jax import zoo
from restyle_jax.commands.arguments import add_checkpoint, add_command, add_computing, integer, prepare_jax, say
from restyle_jax.jobs.workdir import model_in

DEMO = """\
Writes DIR/index.html, one file with all pictures inside, which needs no network:
  the steps of inversions, where each step changes something, how the error falls;
  truncation and style mixing of random pictures; edits; a morph between two inversions.

Without --input it inverts drawn avatars; a checkpoint for photos needs photos. Without
--direction it edits along the principal components of random codes. For a checkpoint without
encoder what needs inversions is left out. An earlier page in DIR is replaced.

examples:
  restyle demo --checkpoint runs/avatars --output demo
  restyle demo --checkpoint restyle_e4e_ffhq_encode.pt --input photos --direction smile.pt --output demo
"""


def add_demo(commands: Any) -> None:
    """Declare `restyle demo`."""
    demo = add_command(commands, "demo", "show what a checkpoint does, on one web page", DEMO, _demo)
    add_checkpoint(demo, "any checkpoint with a generator")
    demo.add_argument(
        "--input",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE_OR_DIR",
        help="photos and folders of photos, of which the first 8 are shown (default: drawn avatars)",
    )
    demo.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="a new folder, or one of an earlier demo"
    )
    demo.add_argument("--steps", type=integer(1), default=5, metavar="N", help="refinement steps (default: 5)")
    demo.add_argument(
        "--direction",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE|NAME",
        help="directions, as for `restyle edit`; the first of each is taken (default: principal components)",
    )
    add_computing(demo)


def _demo(parsed: argparse.Namespace) -> int:
    prepare_jax(parsed)
    from restyle_jax.demo.demo import DemoOptions, make_demo

    options = DemoOptions(
        checkpoint=model_in(parsed.checkpoint),
        inputs=parsed.input,
        steps=parsed.steps,
        directions=[zoo.resolve(file) for file in parsed.direction],
        batch_size=parsed.batch_size,
        dtype=parsed.dtype,
    )
    print(make_demo(parsed.output, options, say))
    return 0
