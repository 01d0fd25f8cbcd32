"""Make a model of the zoo again, with its card.

    python -m experiments.avatars.make restyle-psp [--workdir runs/zoo] [--to DIR]

Trains it, or goes on where an earlier run of the same command was stopped, stores the best of its checkpoints with float16
weights, measures what that costs, and writes the card. The networks that it needs come from the zoo. Without --to it replaces the
shipped model of this checkout. The generators get as many training steps as the shipped ones had, not all of their programs.

What is made of others comes after them: all encoders after stylegan2, perceptual and identity, these after attributes; classifier
after restyle-e4e, whose codes it reads, and editor-hair after both. Give a new --workdir, or remove the run there, if one of those
has changed.
"""

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import numpy as np

from experiments.avatars.cards import card, markdown, origin
from experiments.avatars.recipes import ENCODED, INVERTER, PERCEPTUAL, RECIPES, SCORED
from restyle_jax import zoo
from restyle_jax.checkpoints.half import store_half
from restyle_jax.convert.writing import whole_folder, writing
from restyle_jax.edit.files import read_directions, write_directions
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs.options import fingerprint
from restyle_jax.zoo.shipped import FAMILY

SPREAD = 4000  # random codes whose standard deviation is the unit of a direction


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--workdir", type=Path, default=Path("runs/zoo"), help="for data and runs (default: runs/zoo)")
    parser.add_argument("--to", type=Path, help="where the model is written (default: its place in this checkout)")
    options = parser.parse_args(arguments)
    target = options.to or zoo.find(f"{FAMILY}/{options.name}").path
    for command in commands(options.name, options.workdir):
        if status := subprocess.run([sys.executable, "-m", *command]).returncode:
            return status  # it has said why; the same command continues
    write = ship_direction if RECIPES[options.name].program is None else ship
    write(options.name, options.workdir / options.name, target)
    print(f"{target} and its card are written")
    return 0


def commands(name: str, workdir: Path) -> Iterator[list[str]]:
    """The Python modules to run, with their arguments: afterwards the folder `workdir / name` holds the model, or the file of that
    name and .npz the direction."""
    recipe, run, data = RECIPES[name], workdir / name, workdir / "data"
    if recipe.program is None:
        made = ["--checkpoint", f"{FAMILY}/stylegan2", "--attributes", f"{FAMILY}/attributes", "--samples", str(SCORED)]
        output = ["--output", f"{run}.npz", "--overwrite", "--batch-size", "100"]
        yield ["restyle_jax", "directions", "fit", "interfacegan", "--attribute", recipe.attribute, *made, *output]
        return
    if recipe.program == PERCEPTUAL:
        if not run.exists():
            yield ["experiments.avatars.perceptual", f"{FAMILY}/attributes", str(run)]
        return
    if recipe.encodes and not data.exists():
        yield ["restyle_jax", "data", "prepare", "avatars", "--to", str(data), "--count", str(ENCODED)]
    if recipe.reads_codes:
        data = workdir / f"codes-{fingerprint(zoo.resolve(INVERTER))[:8]}.npz"  # of this encoder, not of an earlier one
        if not data.exists():
            yield ["experiments.avatars.codes", INVERTER, str(data), "--pictures", str(ENCODED)]
    reading = ["--data", str(data)] if recipe.encodes or recipe.reads_codes else []
    ending = ["--max-steps", str(recipe.max_steps)] if recipe.max_steps else []
    yield ["restyle_jax", "train", str(recipe.program), "--workdir", str(run), *reading, *ending]


def ship(name: str, run: Path, target: Path) -> None:
    """Write the model of a finished run, and its card, to the directory `target`, which is replaced."""
    source = run / "best" if (run / "best").is_dir() else run
    with writing(target), whole_folder(target, last="card.md") as fresh:
        store_half(source, fresh)
        (fresh / "card.md").write_text(card(name, run, source, fresh), encoding="utf-8")


def ship_direction(name: str, run: Path, target: Path) -> None:
    """Write a direction that was found, and its card, as the file `target`."""
    source = run.with_suffix(".npz")
    (direction,) = read_directions(source)
    accuracy = direction.metadata["accuracy"]
    generator, _ = rs.load(f"{FAMILY}/stylegan2").require_generator()
    codes = np.concatenate([part.w for part in random_codes(generator, SPREAD, seed=0)])
    unit = float((codes @ direction.vector).std() / np.linalg.norm(direction.vector))
    facts = {
        **origin(name, source),
        "method": f"InterFaceGAN, a linear SVM between the {direction.metadata['chosen']} codes of most and as many of least "
        f"{RECIPES[name].attribute}",
        "strength": f"1 is a standard deviation of random codes, a step of {unit:.2f}",
        "accuracy": f"{accuracy['validation']:.3f} on codes of either end held back, {accuracy['between']:.3f} between them",
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_directions([dataclasses.replace(direction, name=name, unit=unit)], target)
    target.with_suffix(".md").write_text(markdown(name, facts, {}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
