"""What is to be known of a model of the zoo: measurements of its float16 copy, and its card."""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.avatars import AvatarSource
from experiments.avatars.editing_measures import inverted
from experiments.avatars.editing_methods import BATCH
from experiments.avatars.recipes import INVERTER, RECIPES, ROOT
from restyle_jax import zoo
from restyle_jax.checkpoints import config_file, load_classifier, load_editor
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import load_own_identity, load_own_perceptual
from restyle_jax.edit import reference
from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_measures import logits_of
from restyle_jax.model import synthesise
from restyle_jax.nets.attributes import describe
from restyle_jax.ops.images import to_float
from restyle_jax.zoo.shipped import FAMILY, RESOLUTION

REFERENCES = 8  # whose attribute all compared pictures take over
COMPARED = 200  # pictures on which float16 is compared with float32
MEANINGS = {
    "l2": "mean squared difference: of pictures in [-1, 1] from the input, of edited codes from the source",
    "lpips": "distance of the perceptual network of avatars",
    "identity": "1 - cosine similarity of the identity network's features, input and reconstruction",
    "identity_improvement": "that similarity less the one of the input and the wanted picture, which are the same in inversion",
    "delta": "distance to W: sum over styles 1 ... K - 1 of their distance from style 0",
    "adversarial": "loss of the encoder against the discriminator of codes",
    "loss": "what training makes small, see the program",
    "above": "mean ROC area: share of other faces that are less similar than the same person",
    "nearest": "rank-1 accuracy: share of faces whose most similar one is the same person",
    "accuracy": "share of right answers",
    "average_precision": "area under precision against recall",
    "calibration_error": "expected calibration error: how far probabilities are from frequencies",
    "explained": "R2 of numbers and angles, mean",
    "l2_ref": "of the attribute that is taken over, from the reference's",
    "l2_src": "of all other attributes, from the source's",
    "fid": "Frechet distance of the features of generated and training pictures",
    "kid": "kernel distance of the same",
    "precision": "share of generated pictures that lie among training pictures",
    "recall": "share of training pictures that lie among generated ones",
}


def card(name: str, run: Path, source: Path, half: Path) -> str:
    """What is to be known of a model, as Markdown."""
    history = [json.loads(line) for line in _lines(run / "metrics.jsonl")]
    step = json.loads((source / "config.json").read_text(encoding="utf-8"))["metadata"].get("step")
    measured = next((line for line in history if line["kind"] == "test" and line["step"] == step), {})
    facts = {
        **origin(name, source / "weights.safetensors"),
        "training": _training(step, run, history) if history else "no training but a fit",
        "size": f"{(half / 'weights.safetensors').stat().st_size / 1e6:.2f} MB, float16; {comparison(source, half)}",
    }
    if name == "editor-hair":
        facts["taken over"] = taken_over(half)
    return markdown(name, facts, {key: value for key, value in measured.items() if isinstance(value, float)})


def origin(name: str, made: Path) -> dict[str, str]:
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


def markdown(name: str, facts: dict[str, str], measured: dict[str, float]) -> str:
    entry = zoo.find(f"{FAMILY}/{name}")
    first, rest = entry.what.split(maxsplit=1)
    if first.isalpha() and first.islower():  # not pSp and e4e
        first = first.capitalize()
    lines = [f"# {entry.name}", "", f"{first} {rest}.", ""]
    lines += [f"- **{key}**: {value}" for key, value in facts.items()]
    if measured:
        lines += ["", "Measured on the test set (of encoders `/i` is after step i):", ""]
        lines += _by_attribute(measured) if "average_precision" in measured else _one_by_one(measured)
        names = dict.fromkeys(key.partition("/")[0] for key in measured)
        lines += ["", *(f"- **{name}**: {MEANINGS[name]}" for name in names)]
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
    if config_file.CLASSIFIER in roles:
        return logits_of(load_classifier(directory), inverted(rs.load(INVERTER), pictures))
    if config_file.EDITOR in roles:
        codes = inverted(rs.load(INVERTER), pictures)
        return np.asarray(reference.edit(load_editor(directory), codes, codes[:REFERENCES]))
    model = rs.load(directory)
    if model.encoder is None:
        return np.asarray(rs.generate(model, range(COMPARED)))
    return np.asarray(rs.invert(model, pictures, steps=5).images[-1])


def test_pictures() -> jax.Array:
    """The first of them, f32[COMPARED, 64, 64, 3]."""
    return jnp.asarray(to_float(AvatarSource("test", COMPARED, RESOLUTION).drawn(np.arange(COMPARED))))


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
    units = ((5400, 3600, ".1f", "hours"), (90, 60, ".0f", "minutes"), (0, 1, ".0f", "seconds"))
    took = next(f"{seconds / length:{digits}} {unit}" for least, length, digits, unit in units if seconds >= least)
    end = f"{last} steps" if last == whole else f"so far {last} of {whole} steps"
    return f"state after step {step}, the best that was tested; {end} took {took}"


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
