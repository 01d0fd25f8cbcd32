"""`restyle convert`, `restyle export` and `restyle inspect`."""

import argparse
import json
from typing import Any

from restyle_jax.commands.arguments import add_command, integer, path
from restyle_jax.jobs.workdir import model_in

CONVERT = """\
Reads any checkpoint that restyle knows (see `restyle inspect`) and writes the folder DST_DIR with
config.json and weights.safetensors. It loads faster, needs no PyTorch, and every command takes it.
Latent classifiers and networks for edits by reference are converted as well; official files do not
say for which attribute the latter were trained.

examples:
  restyle convert restyle_psp_ffhq_encode.pt ffhq
  restyle convert edit_bangs.pt bangs --network editor --attribute Bangs
"""

EXPORT = """\
Writes a .pt file that the official PyTorch code loads. PyTorch itself is not needed. SRC is a
checkpoint of any kind, or the folder of a `restyle train` run, of which the best model is taken.
  restyle      a whole ReStyle, pSp or e4e checkpoint (encoder, generator, average latent)
  style_transformer
               the same of a Style Transformer (sapphire497/style-transformer)
  rosinality   a generator file of rosinality/stylegan2-pytorch (g_ema, and d if there is one)
  idinvert     a StyleGAN generator file of genforce/idinvert_pytorch
  genforce     a StyleGAN generator file of genforce/genforce (generator_smooth)
A latent classifier becomes a file of sapphire497/style-transformer, which does not keep the names
of attributes. So does a network for edits by reference, together with --classifier and --generator.

examples:
  restyle export runs/ffhq restyle_psp_ffhq_encode.pt
  restyle export runs/bangs edit_bangs.pt --classifier runs/classifier --generator ffhq
"""

INSPECT = """\
Says what a file is (kind, networks, sizes, number of styles, what is missing or does not fit)
without building a network, also of classifiers and the like. Knows PyTorch .pt/.pth files, NVlabs
.pkl snapshots, .safetensors and folders made by `restyle convert`. Nothing in the file is ever
executed.

example:
  restyle inspect restyle_psp_ffhq_encode.pt
"""


def add_convert(commands: Any) -> None:
    """Declare `restyle convert`."""
    convert = add_command(commands, "convert", "turn a checkpoint into restyle_jax's own format", CONVERT, _convert)
    convert.add_argument("source", metavar="SRC", type=path, help="the checkpoint")
    convert.add_argument("target", metavar="DST_DIR", type=path, help="the folder to write")
    convert.add_argument(
        "--network",
        choices=("model", "classifier", "editor"),
        help="of a file with several, what is meant (default: a model, then an editor)",
    )
    convert.add_argument("--attribute", metavar="NAME", help="what an editor was trained for")
    convert.add_argument(
        "--style-dim", type=integer(1), metavar="D", help="of the codes of a classifier, if it is not 512"
    )


def add_export(commands: Any) -> None:
    """Declare `restyle export`."""
    export = add_command(commands, "export", "turn a checkpoint into an official PyTorch file", EXPORT, _export)
    export.add_argument("source", metavar="SRC", type=path, help="the checkpoint, or the folder of a training run")
    export.add_argument("target", metavar="DST.pt", type=path, help="the file to write; must not exist yet")
    export.add_argument(
        "--format",
        choices=("restyle", "style_transformer", "rosinality", "idinvert", "genforce"),
        help="see below (default: what fits the encoder; without one, idinvert for StyleGAN, rosinality for StyleGAN2)",
    )
    export.add_argument(
        "--classifier", type=path, metavar="FILE", help="for an editor: the latent classifier beside it"
    )
    export.add_argument("--generator", type=path, metavar="CKPT", help="for an editor: a model with the generator")


def add_inspect(commands: Any) -> None:
    """Declare `restyle inspect`."""
    inspect = add_command(commands, "inspect", "say what a checkpoint file is", INSPECT, _inspect)
    inspect.add_argument("file", metavar="FILE", type=path, help="the checkpoint")
    inspect.add_argument("--json", action="store_true", help="print JSON, for programs")


def _convert(parsed: argparse.Namespace) -> int:
    from restyle_jax.jobs.convert_files import convert

    source = model_in(parsed.source)
    convert(source, parsed.target, kind=parsed.network, attribute=parsed.attribute, style_dim=parsed.style_dim)
    print(f"Wrote {parsed.target}")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from restyle_jax.jobs.convert_files import export

    beside = {name: model_in(path) for name in ("classifier", "generator") if (path := getattr(parsed, name))}
    export(model_in(parsed.source), parsed.target, format=parsed.format, **beside)
    print(f"Wrote {parsed.target}")
    return 0


def _inspect(parsed: argparse.Namespace) -> int:
    from restyle_jax import checkpoints

    report = checkpoints.inspect(model_in(parsed.file))
    print(json.dumps(report, indent=2) if parsed.json else checkpoints.describe(report))
    return 0
