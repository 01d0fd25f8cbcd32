"""How well the encoders of avatars invert: the table of the README, its figures, and whether what the papers claim holds here.

    python -m experiments.avatars.inversion --output runs/inversion [--pictures 1000]

On held-out avatars, drawn as they are needed: error, perceptual distance, identity and distance to W after every refinement step,
seconds for each picture, which part of the change is coarse, latent optimisation from the average and from an encoder's codes, and
what is kept of a person under an edit of equal change. Writes into the folder:

  report.md      tables and claims, as printed          results.json  all means, with their definitions
  error_by_step.svg, quality_against_time_*.svg         changes_*.png, reconstructions.png

Hardware: 2 CPU cores. Expected result: experiments/RESULTS.md.
"""

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import numpy as np
from tqdm import tqdm

from experiments.avatars import inversion_report
from experiments.avatars.edits import Edited, Ruler, edit, read_direction
from experiments.avatars.inversion_report import STEPS
from experiments.avatars.measure import (
    DEFINITIONS,
    Judges,
    Measured,
    held_out,
    join,
    load_encoder,
    measure,
    measure_encoder,
    parameters,
    seconds,
)
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_measures import Identity
from restyle_jax.jobs.workdir import model_in
from restyle_jax.model import Model, invert
from restyle_jax.optimise import CHUNK, optimise

ENCODERS = {
    "pSp": "psp",
    "e4e": "e4e",
    "Transformer": "style-transformer",
    "ReStyle-pSp": "restyle-psp",
    "ReStyle-e4e": "restyle-e4e",
    "ReStyle-Transformer": "restyle-style-transformer",
}
INFERENCE = (1, 2, 3, 5, 10)
HYBRID = "ReStyle-pSp"  # whose codes optimisation starts from
LEARNING_RATE = 0.05


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Command line; returns what results.json says."""
    options = parse(arguments)
    try:
        results = run(options)
    except (CheckpointError, ValueError) as error:
        raise SystemExit(f"inversion: error: {error}") from error
    print(inversion_report.markdown(results))
    return results


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder; files of an earlier run are replaced")
    for title, name in ENCODERS.items():
        default = Path(f"avatars64/{name}")
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"{title}: a name, run or file ({default})")
    for name in ("identity", "perceptual", "attributes"):
        default = Path(f"avatars64/{name}")
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"the {name} network ({default})")
    parser.add_argument("--direction", type=Path, default=Path("avatars64/smile"), help="of the edit (avatars64/smile)")
    parser.add_argument("--attribute", default="smile", help="what the direction changes (smile)")
    parser.add_argument(
        "--change", type=float, default=1.0, help="of the edit, in standard deviations of the inputs (1)"
    )
    parser.add_argument("--pictures", type=int, default=1000, help="held-out avatars to invert (1000)")
    parser.add_argument("--optimised", type=int, default=64, help="the first of them, to optimise (64)")
    parser.add_argument("--edited", type=int, default=250, help="the first of them, to edit (250)")
    parser.add_argument("--iterations", type=int, nargs="+", default=[25, 50, 100, 200, 500], help="of optimisation")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help=f"of it ({LEARNING_RATE})")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures at once, also when time is measured (16)")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median time is taken (5)")
    options = parser.parse_args(arguments)
    for name in ("pictures", "optimised", "edited"):
        if getattr(options, name) < 2:
            parser.error(f"--{name} is {getattr(options, name)}; expected 2 or more")
    for name in ("batch_size", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected 1 or more")
    if not options.change > 0:
        parser.error(f"--change is {options.change:g}; expected a positive number")
    options.command = shlex.join(["python", "-m", "experiments.avatars.inversion", *(arguments or sys.argv[1:])])
    options.optimised = min(options.optimised, options.pictures)
    options.edited = min(options.edited, options.pictures)
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, written to the folder part by part, so that what is finished is not lost."""
    models = {title: load_encoder(getattr(options, name.replace("-", "_"))) for title, name in ENCODERS.items()}
    judges = Judges.load(options.perceptual, options.identity)
    size = check(models, judges)
    attributes, direction = load_attributes(model_in(options.attributes)), read_direction(options.direction)
    inputs = first(options.edited, size, options.batch_size)
    ruler = Ruler.of(attributes, options.attribute, inputs, options.change)
    options.output.mkdir(parents=True, exist_ok=True)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    results: dict[str, Any] = {
        "settings": settings,
        "size": size,
        "definitions": DEFINITIONS,
        "versions": environment.versions(),
        "device": environment.device(),
        "parameters": {title: parameters(model) for title, model in models.items()},
    }

    measured: dict[str, Measured] = {}
    for title, model in models.items():
        with bar(options.pictures, title) as shown:
            measured[title] = measure_encoder(
                model, judges, options.pictures, max(INFERENCE), options.batch_size, shown.update
            )
    results["encoders"] = {title: found.means() for title, found in measured.items()}
    results["encoders, first pictures"] = {title: found.means(options.optimised) for title, found in measured.items()}
    write(options.output, results)

    codes = {title: codes_of(model, options) for title, model in models.items()}
    results["seconds"] = {title: times(model, options) for title, model in models.items()}
    write(options.output, results)

    found, results["seconds of an iteration"] = optimisations(models[HYBRID], judges, codes[HYBRID], options)
    results["optimisation"] = {start: part.means() for start, part in found.items()}
    write(options.output, results)

    edited: dict[str, Edited] = {}
    identity, failed = Identity(judges.identity), {}
    for title, model in models.items():
        try:
            edited[title] = edit(model, codes[title][: options.edited], direction, ruler, identity, options.batch_size)
        except ValueError as error:
            failed[title] = str(error)
    results["edits"] = {
        title: {**dataclasses.asdict(found), "identity": float(found.identity.mean())}
        for title, found in edited.items()
    }
    results["edits that failed"], results["wanted change"] = failed, ruler.wanted
    results["claims"] = [dataclasses.asdict(c) for c in inversion_report.claims(measured, found, edited, failed)]
    write(options.output, results)
    inversion_report.figures(options.output, results, measured)
    inversion_report.reconstructions(options.output / "reconstructions.png", inputs, models, codes, options.batch_size)
    return results


def check(models: dict[str, Model], judges: Judges) -> int:
    """The size of the pictures of all models. Raises ValueError for encoders that do not belong together."""
    sizes = {title: model.geometry.height for title, model in models.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the encoders see pictures of different sizes: {sizes}")
    for title, model in models.items():
        if (title.startswith("ReStyle")) != (model.require_encoder().config.in_channels == 6):
            raise ValueError(
                f"{title} has an encoder with {model.require_encoder().config.in_channels} input channels; expected 6 for ReStyle, "
                "3 for the others"
            )
    size = next(iter(sizes.values()))
    judges.check(size)
    return size


def first(count: int, size: int, batch: int) -> np.ndarray:
    """The first held-out avatars, f32[count, size, size, 3]."""
    return np.concatenate([x[:kept] for x, kept in held_out(count, size, batch)])


def codes_of(model: Model, options: argparse.Namespace) -> np.ndarray:
    """Codes of the first pictures, which are edited and optimised, after the last of STEPS steps: f32[B, K, w_dim]."""
    count = max(options.edited, options.optimised)
    parts = []
    for x, kept in held_out(count, model.geometry.height, options.batch_size):
        parts.append(np.asarray(invert(model, x, STEPS, resize_outputs=True).latents[-1])[:kept])
    return np.concatenate(parts)


def times(model: Model, options: argparse.Namespace) -> dict[str, float]:
    """{N: seconds for each picture}, compiled."""
    x, _ = next(held_out(options.batch_size, model.geometry.height, options.batch_size))
    return {
        str(steps): seconds(lambda n=steps: invert(model, x, n, resize_outputs=True), options.repeats) / len(x)
        for steps in INFERENCE
        if steps <= model.passes(steps)
    }


def optimisations(
    model: Model, judges: Judges, codes: np.ndarray, options: argparse.Namespace
) -> tuple[dict[str, Measured], float]:
    """The first pictures, optimised from the average and from an encoder's codes, after each number of iterations; and seconds of
    an iteration for each picture."""
    settings = {"distance": judges.perceptual, "learning_rate": options.learning_rate}
    batches = list(held_out(options.optimised, model.geometry.height, options.batch_size))
    found: dict[str, Measured] = {}
    for start in ("average", HYBRID):
        parts = []
        with bar(options.optimised * options.iterations[-1], f"Optimising from {start}") as shown:
            for number, (x, kept) in enumerate(batches):
                rows = np.minimum(number * options.batch_size + np.arange(len(x)), len(codes) - 1)
                begin = None if start == "average" else codes[rows]
                done = optimise(
                    model,
                    x,
                    options.iterations,
                    start=begin,
                    progress=lambda made, kept=kept: shown.update(made * kept),
                    **settings,
                )
                parts.append(measure(model, judges, x, done.latents, done.images, kept))
        found[start] = join(parts)
    x = batches[0][0]
    chunk = seconds(lambda: optimise(model, x, [CHUNK], **settings).losses, options.repeats)
    return found, chunk / CHUNK / len(x)


def bar(total: int, what: str) -> tqdm:
    return tqdm(total=total, unit="image", desc=what, dynamic_ncols=True)


def write(folder: Path, results: dict[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "report.md").write_text(inversion_report.markdown(results) + "\n")


if __name__ == "__main__":
    main()
