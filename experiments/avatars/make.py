"""Make a model of the zoo again, with its card.

    python -m experiments.avatars.make restyle-psp [--workdir runs/zoo] [--to DIR]

Trains it, or goes on where an earlier run of the same command was stopped, stores the best of its checkpoints with float16
weights, measures what that costs, and writes the card. The networks that it needs come from the zoo. Without --to it replaces the
shipped model of this checkout.

What is made of others comes after them: all encoders after stylegan2, perceptual and identity, these after attributes; classifier
after restyle-e4e, whose codes it reads, and editor-hair after both. Give a new --workdir, or remove the run there, if one of those
has changed.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.avatars import AvatarSource, render
from experiments.avatars.editing_measures import inverted
from experiments.avatars.editing_methods import BATCH
from restyle_jax import zoo
from restyle_jax.checkpoints import load_classifier, load_editor, native
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import load_own_identity, load_own_perceptual
from restyle_jax.checkpoints.half import store_half
from restyle_jax.edit import reference
from restyle_jax.edit.files import read_directions, write_directions
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_measures import logits_of
from restyle_jax.jobs.options import fingerprint
from restyle_jax.model import synthesise
from restyle_jax.nets.attributes import describe
from restyle_jax.ops.images import to_float
from restyle_jax.zoo.shipped import FAMILY, RESOLUTION

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENCODED = 20_000  # pictures that encoders are trained on
INVERTER = f"{FAMILY}/restyle-e4e"  # whose codes the networks on codes read
SCORED = 20_000  # random pictures from which directions are found
SPREAD = 4000  # random codes whose standard deviation is the unit of a direction
REFERENCES = 8  # whose attribute all compared pictures take over
COMPARED = 200  # pictures on which float16 is compared with float32

DRAWN = f"drawn faces of {RESOLUTION} px (`data_pipelines.avatars`)"
OF_NETWORKS = "Sees drawn faces only; what it says of photos means nothing."
OF_GENERATORS = (
    "Draws cartoons of 64 px. Small parts (earrings, freckles, rims of glasses) come out worse than hair and pose."
)
OF_ENCODERS = (
    "Inverts drawn faces of 64 px, as far as the generator can draw them. Of a photo it makes a cartoon unlike it."
)
OF_CLASSIFIERS = (
    f"Reads codes of avatars64/stylegan2 such as {INVERTER} gives. What the generator cannot draw it cannot read."
)
OF_EDITORS = (
    f"Edits codes of avatars64/stylegan2 such as {INVERTER} gives. Background, skin and hairstyle may change a little."
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is made. program: what `restyle train` takes, or a script of its own; None for directions. pictures: what it is
    trained on. limits: a sentence. encodes: whether it reads a prepared data set, while others draw their pictures themselves.
    reads_codes: whether it is trained on codes of pictures."""

    program: Path | None
    pictures: str
    limits: str
    encodes: bool = False
    reads_codes: bool = False


def _encoder(file: str) -> Recipe:
    pictures = f"{ENCODED} {DRAWN}; the test set are {ENCODED // 10} of other identities"
    return Recipe(HERE / file, pictures, OF_ENCODERS, encodes=True)


def _network_on_codes(file: str, limits: str) -> Recipe:
    pictures = f"codes that {INVERTER} gives to {ENCODED} {DRAWN}; the last tenth, of other identities, is the test set"
    return Recipe(HERE / file, pictures, limits, reads_codes=True)


def _direction(what: str) -> Recipe:
    pictures = (
        f"{SCORED} random pictures of avatars64/stylegan2, truncated by 0.7, and what avatars64/attributes says of them"
    )
    return Recipe(None, pictures, f"Other things that go with {what} in random pictures change a little, too.")


PERCEPTUAL = HERE / "perceptual.py"
RECIPES = {
    "stylegan2": Recipe(HERE.parent / "stylegan2_avatars64.py", f"40000 {DRAWN}, not mirrored", OF_GENERATORS),
    "psp": _encoder("psp.py"),
    "restyle-psp": _encoder("restyle_psp.py"),
    "restyle-e4e": _encoder("restyle_e4e.py"),
    "e4e": _encoder("e4e.py"),
    "style-transformer": _encoder("style_transformer.py"),
    "restyle-style-transformer": _encoder("restyle_style_transformer.py"),
    "attributes": Recipe(HERE / "attributes.py", f"{DRAWN} and their factors", OF_NETWORKS),
    "identity": Recipe(HERE / "identity.py", f"{DRAWN}, four of each identity", OF_NETWORKS),
    "perceptual": Recipe(PERCEPTUAL, f"10000 {DRAWN}, and distortions of known order", OF_NETWORKS),
    "classifier": _network_on_codes("latent_classifier.py", OF_CLASSIFIERS),
    "editor-hair": _network_on_codes("reference_edit.py", OF_EDITORS),
    "smile": _direction("a smile"),
    "yaw": _direction("turning"),
}


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
        yield ["restyle_jax", "directions", "fit", "interfacegan", "--attribute", name, *made, *output]
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
    if name == "stylegan2":
        reading = ["--features", f"{FAMILY}/attributes"]  # by which the best of its snapshots is found
    yield ["restyle_jax", "train", str(recipe.program), "--workdir", str(run), *reading]


def ship(name: str, run: Path, target: Path) -> None:
    """Write the model of a finished run, and its card, to the directory `target`, which is replaced."""
    source = run / "best" if (run / "best").is_dir() else run
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        fresh = Path(scratch) / "new"
        store_half(source, fresh)
        (fresh / "card.md").write_text(card(name, run, source, fresh), encoding="utf-8")
        if target.exists():
            target.rename(Path(scratch) / "old")
        fresh.rename(target)


def ship_direction(name: str, run: Path, target: Path) -> None:
    """Write a direction that was found, and its card, as the file `target`."""
    source = run.with_suffix(".npz")
    (direction,) = read_directions(source)
    accuracy = direction.metadata["accuracy"]
    generator, _ = rs.load(f"{FAMILY}/stylegan2").require_generator()
    codes = np.concatenate([part.w for part in random_codes(generator, SPREAD, seed=0)])
    unit = float((codes @ direction.vector).std() / np.linalg.norm(direction.vector))
    facts = {
        **_origin(name, source),
        "method": f"InterFaceGAN, a linear SVM between the {direction.metadata['chosen']} codes at either end",
        "strength": f"1 is a standard deviation of random codes, a step of {unit:.2f}",
        "accuracy": f"{accuracy['validation']:.3f} on codes of either end held back, {accuracy['between']:.3f} between them",
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    write_directions([dataclasses.replace(direction, unit=unit)], target)
    target.with_suffix(".md").write_text(_markdown(name, facts, {}), encoding="utf-8")


def card(name: str, run: Path, source: Path, half: Path) -> str:
    """What is to be known of a model, as Markdown."""
    history = [json.loads(line) for line in _lines(run / "metrics.jsonl")]
    step = json.loads((source / "config.json").read_text(encoding="utf-8"))["metadata"].get("step")
    measured = next((line for line in history if line["kind"] == "test" and line["step"] == step), {})
    facts = {
        **_origin(name, source / "weights.safetensors"),
        "training": _training(step, run, history) if history else "no training but a fit",
        "size": f"{(half / 'weights.safetensors').stat().st_size / 1e6:.2f} MB, float16; {comparison(source, half)}",
    }
    if name == "editor-hair":
        facts["taken over"] = taken_over(half)
    return _markdown(name, facts, {key: value for key, value in measured.items() if isinstance(value, float)})


def _origin(name: str, made: Path) -> dict[str, str]:
    """What all models have in common; `made`: the file that was written when it was done."""
    recipe, machine = RECIPES[name], environment.device()
    program = {"program": f"`{recipe.program.relative_to(ROOT)}`, which has the settings"} if recipe.program else {}
    return {
        "command": f"`python -m experiments.avatars.make {name}`",
        **program,
        "data": recipe.pictures,
        "limits": recipe.limits,
        "licence": zoo.find(f"{FAMILY}/{name}").licence,
        "date": f"{datetime.datetime.fromtimestamp(made.stat().st_mtime, datetime.UTC):%Y-%m-%d}",
        "hardware": f"{machine['kind']} ({platform.machine()}), {os.cpu_count()} cores",
        "versions": ", ".join(f"{package} {version}" for package, version in environment.versions().items()),
    }


def _markdown(name: str, facts: dict[str, str], measured: dict[str, float]) -> str:
    entry = zoo.find(f"{FAMILY}/{name}")
    lines = [f"# {entry.name}", "", f"{entry.what[0].upper()}{entry.what[1:]}.", ""]
    lines += [f"- **{key}**: {value}" for key, value in facts.items()]
    if measured:
        lines += ["", "Measured on the test set (of encoders `/i` is after step i):", ""]
        lines += _by_attribute(measured) if "average_precision" in measured else _one_by_one(measured)
    return "\n".join([*lines, ""])


def _one_by_one(measured: dict[str, float]) -> list[str]:
    return ["| measure | value |", "|---|---|", *(f"| {key} | {value:.4g} |" for key, value in measured.items())]


def _by_attribute(measured: dict[str, float]) -> list[str]:
    """A row for each attribute of a classifier, after that of the means over all."""
    measures = [key for key in measured if f"{key}/smile" in measured]
    attributes = [key.partition("/")[2] for key in measured if key.startswith(f"{measures[0]}/")]
    lines = [f"| attribute | {' | '.join(measures)} |", "|---" * (1 + len(measures)) + "|"]
    for title, end in (("mean", ""), *((attribute, f"/{attribute}") for attribute in attributes)):
        lines.append(f"| {title} | {' | '.join(f'{measured[measure + end]:.3f}' for measure in measures)} |")
    return lines


def comparison(source: Path, half: Path) -> str:
    """How much the results of two copies of a model differ."""
    before, after = results(source), results(half)
    difference = np.abs(after - before)
    return (
        f"against float32 the results differ by {difference.mean() / before.std():.1e} standard deviations on average, "
        f"{difference.max() / before.std():.1e} at most"
    )


def results(directory: Path) -> np.ndarray:
    """What a model makes of the first test pictures, or of seeds: pictures after the last step, features, or answers."""
    roles = {
        role for role, value in json.loads((directory / "config.json").read_text(encoding="utf-8")).items() if value
    }
    pictures = test_pictures()
    if "attributes" in roles:
        return np.asarray(load_attributes(directory).features(pictures))
    if "identity" in roles:
        return np.asarray(load_own_identity(directory)(pictures))
    if "perceptual" in roles:
        return np.asarray(load_own_perceptual(directory)(pictures[::2], pictures[1::2]))
    if native.CLASSIFIER in roles:
        return logits_of(load_classifier(directory), inverted(rs.load(INVERTER), pictures))
    if native.EDITOR in roles:
        codes = inverted(rs.load(INVERTER), pictures)
        return np.asarray(reference.edit(load_editor(directory), codes, codes[:REFERENCES]))
    model = rs.load(directory)
    if model.encoder is None:
        return np.asarray(rs.generate(model, range(COMPARED)))
    return np.asarray(rs.invert(model, pictures, steps=5).images[-1])


def test_pictures() -> jax.Array:
    """The first of them, f32[COMPARED, 64, 64, 3]."""
    source = AvatarSource("test", COMPARED, RESOLUTION)
    return jnp.asarray(to_float(render(source.described(np.arange(COMPARED)), RESOLUTION)))


def taken_over(directory: Path) -> str:
    """How often edits of the first test pictures by some of them show the hair colour of the reference, and what else changes."""
    network, model = load_attributes(f"{FAMILY}/attributes"), rs.load(INVERTER)
    editor, codes = load_editor(directory), inverted(model, test_pictures())
    givers = codes[:: COMPARED // REFERENCES]

    def seen(codes: np.ndarray) -> dict[str, np.ndarray]:
        choices = describe(network, np.clip(synthesise(model, codes, batch_size=BATCH), -1, 1)).choices
        return {name: np.argmax(logits, axis=1) for name, logits in choices.items()}

    attribute, before, wanted = editor.config.attribute, seen(codes), seen(givers)
    rows = np.asarray(reference.edit(editor, codes, givers))
    after = {name: values.reshape(rows.shape[:2]) for name, values in seen(np.concatenate([*rows])).items()}
    asked = wanted[attribute] != before[attribute][:, None]
    shown = (after[attribute] == wanted[attribute])[asked].mean()
    kept = np.mean([(after[name] == before[name][:, None])[asked].mean() for name in after if name != attribute])
    return (
        f"of {asked.sum()} edits of held-out faces by one with another {attribute}, as the attribute network sees them, "
        f"{shown:.0%} show that of the reference; the other {len(after) - 1} choices stay the same in {kept:.0%}"
    )


def _training(step: int, run: Path, history: list[dict[str, Any]]) -> str:
    """Which state of the run is shipped, and how long the run took, also if it has not come to its end."""
    whole = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]["max_steps"]
    seconds, last = 0.0, 0
    for line in history:
        if line["kind"] == "train":
            seconds += line["timing"]["seconds_per_step"] * (line["step"] - last)
            last = line["step"]
    took = f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.0f} minutes"
    end = f"{last} steps" if last == whole else f"so far {last} of {whole} steps"
    return f"state after step {step}, the best that was tested; {end} took {took}"


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


if __name__ == "__main__":
    sys.exit(main())
