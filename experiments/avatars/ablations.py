"""Which choices matter: small ReStyle encoders of avatars that differ in one setting, trained for equally many steps.

    restyle data prepare avatars --to data/avatars64 --resolution 64 --count 20000
    python -m experiments.avatars.ablations --output runs/ablations --data data/avatars64 --max-steps 200

The number of refinement steps in training, the trunk, and back-propagation through all steps instead of each by itself. All start
from random weights, and their learning rate is constant. A step of N = 5 costs five times a step of N = 1, so the time of training
is reported, too. Each run lies in a folder of its own, continues where it was stopped, and is not repeated once it has ended. All
are measured as in `experiments.avatars.inversion`, on avatars that were not trained on, with five refinement steps whatever they
were trained with. Writes into the folder report.md, results.json, by_refinement_step.svg and by_training_step.svg.

Hardware: 2 CPU cores. Expected result: experiments/RESULTS.md.
"""

import argparse
import dataclasses
import json
import shlex
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
from tqdm import tqdm

from experiments.avatars.measure import Judges, load_encoder, measure_encoder, parameters
from experiments.avatars.settings import BASE
from experiments.avatars.tables import table
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import environment
from restyle_jax.jobs.requirements import require
from restyle_jax.jobs.train_encoder import train_encoder
from restyle_jax.plot import COLOURS, Line, as_file, from_zero, line_plot, whole_numbers
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError

STEPS = 5  # at inference
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "N = 1": {"steps_per_image": 1},
    "N = 3": {"steps_per_image": 3},
    "resnet34": {"trunk": "resnet34"},
    "irse50": {"trunk": "irse50"},
    "through steps": {"through_steps": True},
}
"""What each changes in BASE, which has N = 5, the trunk resnet18, and a constant input of each step."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Command line; returns what results.json says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder, also one to continue in")
    parser.add_argument("--data", type=Path, required=True, help="prepared avatars, or a folder with train/ and test/")
    parser.add_argument("--max-steps", type=int, default=1000, help="training steps of each run (1000)")
    parser.add_argument("--batch-size", type=int, default=BASE.batch_size, help=f"of training ({BASE.batch_size})")
    parser.add_argument("--pictures", type=int, default=1000, help="held-out avatars to measure on (1000)")
    for name, field in (
        ("generator", "generator"),
        ("perceptual", "lpips_trunk_weights"),
        ("identity", "identity_weights"),
    ):
        default: Path = getattr(BASE, field)
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"a name, run or folder ({default})")
    parser.add_argument("--size", type=int, default=BASE.height, help=f"pixels that encoders see ({BASE.height})")
    options = parser.parse_args(arguments)
    options.command = shlex.join(["python", "-m", "experiments.avatars.ablations", *(arguments or sys.argv[1:])])
    try:
        results = run(options)
    except (CheckpointError, TrainingError, ValueError) as error:
        raise SystemExit(f"ablations: error: {error}") from error
    print(markdown(results))
    return results


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All trainings and measurements. Raises KeyboardInterrupt if a training was asked to stop."""
    base = configuration(options)
    require(base)  # whatever is missing is missing for all
    judges = Judges.load(options.perceptual, options.identity)
    judges.check(options.size)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    results: dict[str, Any] = {
        "settings": settings,
        "versions": environment.versions(),
        "device": environment.device(),
        "variants": {},
        "failed": {},
    }
    for name, changes in VARIANTS.items():
        workdir = options.output / name.replace(" = ", "").replace(" ", "_")
        config = dataclasses.replace(base, **changes)
        print(f"{name}: {workdir}", file=sys.stderr)
        try:
            outcome = train_encoder(config, workdir, say=lambda text: print(text, file=sys.stderr))
        except TrainingError as error:  # such as a loss that is not finite: a result, too
            results["failed"][name] = str(error)
        else:
            if outcome.signal:
                raise KeyboardInterrupt
            results["variants"][name] = measured(config, workdir, judges, options)
            figures(options.output, results["variants"])
        write(options.output, results)
    return results


def configuration(options: argparse.Namespace) -> EncoderTraining:
    """BASE with the options."""
    return dataclasses.replace(
        BASE,
        data=options.data,
        generator=options.generator,
        lpips_trunk_weights=options.perceptual,
        identity_weights=options.identity,
        height=options.size,
        width=options.size,
        decay_from=None,
        max_steps=options.max_steps,
        batch_size=options.batch_size,
        image_every=options.max_steps,
        eval_every=max(1, min(BASE.eval_every, options.max_steps // 4)),
    )


def measured(config: EncoderTraining, workdir: Path, judges: Judges, options: argparse.Namespace) -> dict[str, Any]:
    """What became of a run: the state after its last step, not the best one, so that none is chosen by its test."""
    model = load_encoder(workdir / "latest")
    with tqdm(total=options.pictures, unit="image", desc=workdir.name, dynamic_ncols=True) as bar:
        found = measure_encoder(model, judges, options.pictures, STEPS, min(50, options.pictures), bar.update)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    steps = [line["timing"]["seconds_per_step"] for line in lines if line["kind"] == "train"]
    last = f"l2/{config.steps_per_image}"
    return {
        "means": found.means(),
        "parameters": parameters(model),
        "seconds of a training step": statistics.median(steps),
        "by training step": [(line["step"], line[last]) for line in lines if line["kind"] == "test"],
    }


def markdown(results: Mapping[str, Any]) -> str:
    """The table."""
    settings = results["settings"]
    rows = []
    for name, found in results["variants"].items():
        means = found["means"]
        numbers = [means["l2"][0], means["l2"][2], means["l2"][-1], means["perceptual"][-1], means["identity"][-1]]
        rows.append([name, *numbers, means["delta"][-1], found["seconds of a training step"], found["parameters"]])
    columns = (
        "",
        "l2, step 1",
        "step 3",
        f"step {STEPS}",
        "perceptual",
        "identity",
        "delta",
        "s/training step",
        "parameters",
    )
    failed = "".join(f"\n\n{name}: {reason}" for name, reason in results["failed"].items())
    note = (
        f"{settings['max_steps']} training steps of {settings['batch_size']} pictures each; {settings['pictures']} held-out "
        f"pictures. The base is {BASE.trunk} with N = {BASE.steps_per_image}, each step by itself; the others change what their "
        "name says."
    )
    return f"    {settings['command']}\n\n{note}\n\n{table(columns, rows)}{failed}"


def figures(folder: Path, variants: Mapping[str, Any]) -> None:
    """Write the diagrams."""

    def save(file: str, label: str, first: int, points: Mapping[str, list[tuple[float, float]]]) -> None:
        lines = [Line(each, colour, name) for colour, (name, each) in zip(COLOURS, points.items(), strict=False)]
        every = [point for line in lines for point in line.points]
        x = whole_numbers(label, int(max(a for a, _ in every)), first)
        plot = line_plot(f"held-out L2 by {label}", x, from_zero("L2", max(b for _, b in every)), lines)
        (folder / file).write_text(as_file(plot))

    save(
        "by_refinement_step.svg",
        "refinement step",
        1,
        {name: [(i + 1, value) for i, value in enumerate(found["means"]["l2"])] for name, found in variants.items()},
    )
    curves = {name: found["by training step"] for name, found in variants.items()}
    save("by_training_step.svg", "training step", 0, curves)


def write(folder: Path, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
