"""`restyle eval-generator`."""

import argparse
from typing import Any

from restyle_jax.commands.arguments import (
    add_checkpoint,
    add_command,
    add_computing,
    add_output,
    failed,
    finite,
    integer,
    path,
    prepare_jax,
    say,
)
from restyle_jax.jobs.workdir import model_in

EVAL_GENERATOR = """\
Writes DIR/metrics.json, with the definitions, settings, versions and counts, and
DIR/samples.png, 64 pictures that have the same codes in every evaluation:
  fid         Frechet distance to the real pictures; 0 at best
  kid         kernel distance to them (not times 1000); about 0 at best
  precision   share of the pictures that look like some real one
  recall      share of the real pictures that look like some made one
  ppl_...     perceptual path lengths, if --ppl asks for them; smaller is smoother

The first four compare features of a network, which metrics.json names: --features
pt_inception-2015-12-05-6726825d.pth (https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights)
gives what papers call FID and KID; torchvision's vgg16-397923af.pth is the kind of network of
their precision and recall. Numbers of different networks, sizes or counts do not compare.
All training pictures of --data are used, once; they must have the size of the generator's.
The exit status is 1 if some of them could not be read.

CKPT may be the folder of a training run; its best model is taken.

examples:
  restyle eval-generator --checkpoint runs/avatars --data data/avatars --output eval \\
    --features pretrained_models/pt_inception-2015-12-05-6726825d.pth
  restyle eval-generator --checkpoint ffhq.pkl --output paths --ppl w-end \\
    --lpips-trunk-weights pretrained_models/vgg16-397923af.pth \\
    --lpips-linear-weights pretrained_models/vgg.pth
"""

PATHS = ("z-full", "z-end", "w-full", "w-end")
FEWEST = 4  # pictures, so that precision and recall are defined


def add_eval_generator(commands: Any) -> None:
    """Declare `restyle eval-generator`."""
    evaluate = add_command(
        commands, "eval-generator", "measure how good the pictures of a generator are", EVAL_GENERATOR, _eval_generator
    )
    add_checkpoint(evaluate, "any checkpoint with a generator, or the folder of a training run")
    evaluate.add_argument("--data", type=path, metavar="DIR", help="a prepared data set, or a folder of pictures")
    evaluate.add_argument(
        "--labels",
        type=path,
        metavar="FILE",
        help="classes of these pictures, as for `restyle train`: those of a conditional generator are drawn from them (default: "
        "all classes are equally frequent)",
    )
    add_output(evaluate)
    evaluate.add_argument("--features", type=path, metavar="FILE", help="network that compares pictures, see below")
    evaluate.add_argument(
        "--count",
        type=integer(FEWEST),
        default=50_000,
        metavar="N",
        help="pictures to make and compare with the data (default: 50000)",
    )
    evaluate.add_argument(
        "--seed", type=integer(0, 2**63 - 1), default=0, metavar="S", help="of all random draws (default: 0)"
    )
    evaluate.add_argument(
        "--truncation-psi",
        type=finite,
        default=1.0,
        metavar="PSI",
        help="below 1: more typical, less varied pictures; path lengths are never truncated (default: 1)",
    )
    evaluate.add_argument(
        "--ppl",
        nargs="+",
        choices=PATHS,
        default=(),
        metavar="PATH",
        help=f"path lengths to measure, of {', '.join(PATHS)}: between codes in z or in w, anywhere or at the ends",
    )
    evaluate.add_argument(
        "--ppl-count", type=integer(1), default=50_000, metavar="N", help="paths to measure (default: 50000)"
    )
    evaluate.add_argument(
        "--ppl-crop", action="store_true", help="compare the part of the pictures that shows the face in FFHQ"
    )
    for flag, what in (
        ("--lpips-trunk-weights", "torchvision's VGG16, for --ppl"),
        ("--lpips-linear-weights", "linear layers of LPIPS v0.1 for VGG16, for --ppl"),
    ):
        evaluate.add_argument(flag, type=path, metavar="FILE", help=what)
    add_computing(evaluate)


def _eval_generator(parsed: argparse.Namespace) -> int:
    prepare_jax(parsed)
    from restyle_jax.jobs.evaluate_generator import evaluate_generator
    from restyle_jax.jobs.generator_options import GeneratorEvalOptions

    options = GeneratorEvalOptions(
        checkpoint=model_in(parsed.checkpoint),
        data=parsed.data,
        labels=parsed.labels,
        features=parsed.features and model_in(parsed.features),
        count=parsed.count,
        seed=parsed.seed,
        truncation_psi=parsed.truncation_psi,
        batch_size=parsed.batch_size,
        dtype=parsed.dtype,
        ppl=tuple(parsed.ppl),
        ppl_count=parsed.ppl_count,
        ppl_crop=parsed.ppl_crop,
        lpips_trunk_weights=parsed.lpips_trunk_weights,
        lpips_linear_weights=parsed.lpips_linear_weights,
        overwrite=parsed.overwrite,
    )
    found = evaluate_generator(parsed.output, options, say)
    for name, value in found["metrics"].items():
        print(f"{name:<12}{value:12.5f}")
    if found["features"]:
        counts = found["counts"]
        print(f"Features of {found['features']['name']}, {counts['real']} real and {counts['made']} made pictures")
    print(f"Everything is in {parsed.output / 'metrics.json'}")
    if found["unreadable"]:
        return failed(f"{len(found['unreadable'])} picture(s) could not be read, metrics.json names them.")
    return 0
