"""`restyle directions fit`."""

import argparse
from typing import Any

from restyle_jax.commands.arguments import (
    add_batch_size,
    add_checkpoint,
    add_command,
    add_compilation_cache,
    add_dtype,
    finite,
    integer,
    path,
    prepare_jax,
)
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.jobs.workdir import model_in

FIT = """\
A direction belongs to the generator for which it was found, and to all encoders of that
generator. `restyle edit --direction FILE --component N` takes the Nth direction of a file.
"""

SCORED = """\
How much of the attribute a random code has is read off its picture by --attributes (a network
that experiments/avatars/attributes.py trains; NAME is one of its numbers, or a value such as
glasses=round), or off the code itself by --classifier.
"""

INTERFACEGAN = f"""\
{SCORED}
A linear SVM separates the codes of highest from those of lowest score. What is printed are its
accuracies in training, in validation, and among all other codes. --conditions FILE ... makes
the direction orthogonal to others, so that it leaves their attributes alone.

example:
  restyle directions fit interfacegan --checkpoint runs/avatars --attribute smile \\
    --attributes runs/attributes --output smile.npz
"""

GANSPACE = """\
Principal components of random codes in W, largest first. Strength 1 is a standard deviation.
What each changes has to be found by looking; `restyle edit --layers` narrows it.

example:
  restyle directions fit ganspace --checkpoint ffhq.pkl --output components.npz --samples 1000000
"""

SEFA = """\
In closed form from the weights of the chosen layers: the directions that change the styles
most. Nothing is sampled.

example:
  restyle directions fit sefa --checkpoint ffhq.pkl --output sefa.npz --layers 2-5 --components 10
"""

STYLESPACE = f"""\
{SCORED}
The channels of S (StyleGAN2 only) in which the codes of highest score differ most clearly from
all others, best first. Strength 1 is a standard deviation of the channel.

example:
  restyle directions fit stylespace --checkpoint runs/avatars --attribute smile \\
    --attributes runs/attributes --output smile_channels.npz
"""


def add_directions(commands: Any) -> None:
    """Declare `restyle directions fit`."""
    about = "find directions in the latent space of a generator"
    directions = commands.add_parser("directions", help=about, description=f"{about.capitalize()}.")
    fit = directions.add_subparsers(title="commands", metavar="<command>", required=True).add_parser(
        "fit",
        help="find directions and write them to a file",
        description="Find directions and write them to a file.",
        epilog=FIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    methods = fit.add_subparsers(title="methods", metavar="<method>", required=True)

    interfacegan = _add_method(methods, "interfacegan", "the boundary of an attribute (arXiv 2005.09635)", INTERFACEGAN)
    _add_scores(interfacegan, 20_000)
    interfacegan.add_argument("--space", choices=("Z", "W"), default="W", help="photos need W (default: W)")
    interfacegan.add_argument(
        "--chosen",
        type=finite,
        default=0.02,
        metavar="SHARE",
        help="of the codes at either end; above 1 their number (default: 0.02)",
    )
    interfacegan.add_argument(
        "--conditions", nargs="+", type=path, default=(), metavar="FILE|NAME", help="directions that must not change"
    )

    ganspace = _add_method(methods, "ganspace", "principal components (arXiv 2004.02546)", GANSPACE)
    ganspace.add_argument(
        "--samples", type=integer(1), default=300_000, metavar="N", help="random codes (default: 300000)"
    )
    ganspace.add_argument("--components", type=integer(1), default=80, metavar="N", help="how many (default: 80)")
    _add_draws(ganspace)

    sefa = _add_method(methods, "sefa", "what weights amplify most (arXiv 2007.06600)", SEFA)
    sefa.add_argument("--layers", default="all", metavar="LIST", help="such as 0-1 or 2-5,8 (default: all)")
    sefa.add_argument("--components", type=integer(1), metavar="N", help="how many (default: all)")
    sefa.set_defaults(dtype="float32")

    stylespace = _add_method(methods, "stylespace", "channels of an attribute (arXiv 2011.12799)", STYLESPACE)
    _add_scores(stylespace, 20_000)
    stylespace.add_argument(
        "--positives", type=integer(2), default=30, metavar="N", help="codes that show the attribute (default: 30)"
    )
    stylespace.add_argument("--channels", type=integer(1), default=10, metavar="N", help="how many (default: 10)")


def _add_method(methods: Any, name: str, summary: str, details: str) -> argparse.ArgumentParser:
    method = add_command(methods, name, summary, details, _fit)
    method.set_defaults(method=name)
    add_checkpoint(method, "any checkpoint with a generator")
    method.add_argument("--output", required=True, type=path, metavar="FILE", help="a new .npz file")
    method.add_argument("--overwrite", action="store_true", help="replace FILE")
    add_compilation_cache(method)
    return method


def _add_draws(method: argparse.ArgumentParser) -> None:
    """Declare what a method needs that draws random codes."""
    method.add_argument(
        "--seed", type=integer(0, 2**32 - 1), default=0, metavar="S", help="of all random draws (default: 0)"
    )
    add_dtype(method)


def _add_scores(method: argparse.ArgumentParser, samples: int) -> None:
    method.add_argument("--attribute", required=True, metavar="NAME", help="the attribute")
    judge = method.add_mutually_exclusive_group(required=True)
    judge.add_argument("--attributes", type=path, metavar="NETWORK", help="reads attributes off pictures")
    judge.add_argument("--classifier", type=path, metavar="FILE", help="a latent classifier: reads them off codes")
    method.add_argument(
        "--samples", type=integer(4), default=samples, metavar="N", help=f"random codes to score (default: {samples})"
    )
    method.add_argument(
        "--truncation-psi", type=finite, default=0.7, metavar="PSI", help="of what is scored (default: 0.7)"
    )
    _add_draws(method)
    add_batch_size(method)


def _fit(parsed: argparse.Namespace) -> int:
    if parsed.method == "interfacegan" and not parsed.chosen > 0:
        raise OutputError(f"--chosen is {parsed.chosen:g}; expected a share of up to 1, or a number of codes.")
    if parsed.method == "stylespace" and parsed.positives >= parsed.samples:
        raise OutputError(
            f"--positives is {parsed.positives} of {parsed.samples} codes; expected fewer than --samples, so that others are left."
        )
    prepare_jax(parsed)
    from restyle_jax.jobs import fit_directions as job

    def scores(cutoff: int | None) -> job.Scores:
        attributes, classifier = (file and model_in(file) for file in (parsed.attributes, parsed.classifier))
        return job.Scores(parsed.attribute, parsed.samples, attributes, classifier, parsed.truncation_psi, cutoff)

    match parsed.method:
        case "interfacegan":
            method = job.InterFaceGAN(scores(8), parsed.space, parsed.chosen, tuple(parsed.conditions))
        case "ganspace":
            method = job.GANSpace(parsed.samples, parsed.components)
        case "sefa":
            method = job.SeFa(parsed.layers, parsed.components)
        case _:
            method = job.StyleSpace(scores(None), parsed.positives, parsed.channels)
    used = {name: getattr(parsed, name) for name in ("seed", "batch_size", "dtype") if name in parsed}
    common = job.Fit(model_in(parsed.checkpoint), parsed.output, overwrite=parsed.overwrite, **used)
    found = job.fit_directions(common, method)
    for i, direction in enumerate(found[:SHOWN]):
        print(f"{i:>3}  {direction.name:<23} {_measured(direction.metadata)}")
    if len(found) > SHOWN:
        print(f"     ... {len(found)} in all")
    print(f"{len(found)} direction(s) in {parsed.output}")
    return 0


SHOWN = 20


def _measured(metadata: Any) -> str:
    """What a method measured of a direction, as text."""
    match metadata["method"]:
        case "interfacegan":
            known = {where: value for where, value in metadata["accuracy"].items() if value is not None}
            text = ", ".join(f"{value:.3f} in {where}" for where, value in known.items())
            return f"accuracy {text}; {metadata['chosen']} codes on each side"
        case "ganspace":
            return f"explains {metadata['explained']:.2%} of the variance"
        case "stylespace":
            style, index = metadata["channel"]
            return f"channel ({style}, {index}), score {metadata['score']:.2f}"
        case _:
            return f"eigenvalue {metadata['eigenvalue']:.4g}"
