"""The models that are part of the package: complete, small, described, and used by their names."""

import configparser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import restyle_jax as rs
from data_pipelines.avatars import AvatarSource, render
from data_pipelines.labels import avatar_labels
from experiments.avatars import make
from experiments.avatars.recipes import RECIPES, ROOT
from restyle_jax import zoo
from restyle_jax.checkpoints import load_classifier, load_editor
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import load_identity, load_perceptual
from restyle_jax.cli import main
from restyle_jax.edit import reference
from restyle_jax.edit.files import read_directions
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs.edit_measures import logits_of
from restyle_jax.jobs.edit_options import Along, EditOptions
from restyle_jax.jobs.evaluate_folder import EvalOptions
from restyle_jax.jobs.experiment import read_experiment
from restyle_jax.jobs.generate_folder import GenerateOptions
from restyle_jax.jobs.options import InvertOptions
from restyle_jax.ops.batches import in_batches
from restyle_jax.ops.images import to_float
from restyle_jax.zoo.shipped import ENTRIES, FAMILY, RESOLUTION

LARGEST = 40e6  # bytes of all together
PSP = zoo.resolve(f"{FAMILY}/psp")
CARD = ("command", "data", "limits", "licence", "date", "hardware", "versions")


def drawn(count: int) -> np.ndarray:
    """Held-out faces f32[count, 64, 64, 3]."""
    return to_float(render(AvatarSource("test", 4 * count, RESOLUTION).described(np.arange(count) * 4), RESOLUTION))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_is_there_with_a_card_and_a_recipe(entry: zoo.Entry, capsys: pytest.CaptureFixture[str]):
    name = entry.name.removeprefix(f"{FAMILY}/")
    assert entry.here and zoo.find(entry.name) is entry and zoo.resolve(entry.name) == entry.path
    assert name in RECIPES and entry.card is not None
    card = entry.card.read_text(encoding="utf-8")
    assert card.startswith(f"# {entry.name}\n") and all(f"- **{fact}**: " in card for fact in CARD)
    assert f"`python -m experiments.avatars.make {name}`" in card
    title = card.splitlines()[2]
    assert title.casefold() == f"{entry.what}.".casefold() and not title.startswith(("PSp", "E4e"))
    header, _, *rows = [line.strip("|").split("|") for line in card.splitlines() if line.startswith("|")] or [[], []]
    measures = header[1:] if header[:1] == [" attribute "] else [row[0] for row in rows]
    legend = card.partition("Measured on the test set")[2]
    assert all(f"\n- **{measure.partition('/')[0].strip()}**: " in legend for measure in measures)
    assert main(["zoo", entry.name]) == 0
    assert card in capsys.readouterr().out


def test_all_together_are_small_and_nothing_else_is_there():
    folder = zoo.find(f"{FAMILY}/identity").path.parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    assert {path.name for path in folder.iterdir() if path.suffix != ".md"} == {entry.path.name for entry in ENTRIES}
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".npz"}
    assert {entry.name for entry in ENTRIES} == {f"{FAMILY}/{name}" for name in RECIPES}


def test_the_wheel_holds_all_of_them():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    package = ROOT / "restyle_jax" / "zoo"
    patterns = settings["options.package_data"]["restyle_jax.zoo"].split()
    packed = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    assert packed == {path for path in (package / FAMILY).rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.encodes])
def test_encoders_invert_faces_that_they_have_not_seen(name: str):
    model, x = rs.load(f"{FAMILY}/{name}"), drawn(12)
    assert model.encoder is not None and model.generator is not None
    assert model.encoder.config.in_channels == (6 if name.startswith("restyle") else 3)
    errors = np.square(np.asarray(rs.invert(model, x, steps=5).images) - x).mean(axis=(2, 3, 4)).mean(axis=1)
    average = np.square(np.asarray(model.average.y) - x).mean()
    assert errors[-1] < 0.5 * average
    if len(errors) > 1:
        assert errors[-1] < errors[0]


def test_encoders_have_the_generator_that_is_shipped_alone():
    names = [f"{FAMILY}/{name}" for name, recipe in RECIPES.items() if recipe.encodes or name == "stylegan2"]
    pictures = [rs.generate(rs.load(name), [3]) for name in names]
    for name, picture in zip(names, pictures, strict=True):
        np.testing.assert_array_equal(picture, pictures[0], err_msg=name)


def test_networks_by_name():
    x = drawn(6)
    assert load_attributes(f"{FAMILY}/attributes").features(x).shape == (6, 128)
    cosine = np.asarray(load_identity(f"{FAMILY}/identity")(x))
    np.testing.assert_allclose(np.linalg.norm(cosine, axis=-1), 1, atol=1e-3)
    distance = load_perceptual("alex", Path(f"{FAMILY}/perceptual"), None)
    assert float(distance(x, x).max()) == 0 < float(distance(x[:3], x[3:]).min())


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    """Of held-out faces, f32[192, 10, 128]: of 48, a share of right answers would have a standard error of 0.04."""
    model = rs.load(f"{FAMILY}/restyle-e4e")
    return in_batches(lambda x: rs.invert(model, x, steps=5).latents[-1], drawn(192), 12)


def test_the_classifier_reads_codes_of_faces_that_it_has_not_seen(codes: np.ndarray):
    classifier = load_classifier(f"{FAMILY}/classifier")
    source = AvatarSource("test", 4 * len(codes), RESOLUTION)
    known = avatar_labels([source.name(4 * i) for i in range(len(codes))])
    assert classifier.config.attributes == known.attributes
    there = known.values > 0
    logits = logits_of(classifier, codes)
    right = dict(zip(known.attributes, ((logits > 0) == there).mean(0).tolist(), strict=True))
    assert right["yaw"] > 0.9 and right["background_lightness"] > 0.8 and right["skin_tone"] > 0.8
    assert ((logits > 0) == there).mean() > np.maximum(there.mean(0), 1 - there.mean(0)).mean() + 0.02


def test_the_editor_takes_the_hair_colour_over(codes: np.ndarray):
    editor, classifier = load_editor(f"{FAMILY}/editor-hair"), load_classifier(f"{FAMILY}/classifier")
    colours = classifier.config.values_of(editor.config.attribute)
    assert len(colours) == 8
    codes = codes[:48]
    found = np.asarray(reference.edit(editor, codes[:24], codes[24:])).reshape(-1, *codes.shape[1:])
    logits = logits_of(classifier, found).reshape(24, 24, -1)
    taken, wanted = (each[..., colours].argmax(-1) for each in (logits, logits_of(classifier, codes)))
    assert (taken == wanted[24:]).mean() > 0.7 > 0.4 > (wanted[:24, None] == wanted[24:]).mean()


def test_messages_name_a_model_as_people_do(tmp_path: Path):
    model = rs.load(f"{FAMILY}/stylegan2")
    rs.save(model, tmp_path / "mine")
    for known, name in ((model, f"{FAMILY}/stylegan2"), (rs.load(tmp_path / "mine"), str(tmp_path / "mine"))):
        with pytest.raises(ValueError, match=f"^{re.escape(name)} has no encoder"):
            known.require_encoder()


@pytest.mark.parametrize("name", ["smile", "yaw", "black-hair"])
def test_directions_by_name(name: str):
    (direction,) = read_directions(f"{FAMILY}/{name}")
    assert (direction.name, direction.space, direction.vector.shape) == (name, "W", (128,))
    generator, _ = rs.load(f"{FAMILY}/stylegan2").require_generator()
    codes = np.concatenate([part.w for part in random_codes(generator, 1000, seed=1)])
    spread = (codes @ direction.vector).std() / np.linalg.norm(direction.vector)
    assert abs(direction.unit / spread - 1) < 0.1


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.encodes])
def test_recipes_of_encoders_are_those_of_the_shipped_files(name: str):
    program = RECIPES[name].program
    assert program is not None
    config = read_experiment(program, {})
    encoder = json.loads((zoo.resolve(f"{FAMILY}/{name}") / "config.json").read_text())["encoder"]
    assert (encoder["trunk"], encoder["width"], encoder["in_channels"]) == (
        config.trunk,
        config.trunk_width,
        config.in_channels,
    )
    passes = config.max_steps * config.steps_per_image * config.batch_size
    if config.in_channels == 6:  # ReStyle starts from the single pass of its kind
        assert config.checkpoint == Path(FAMILY, name.removeprefix("restyle-")) and config.freeze_batch_norm
        passes *= 2
    assert passes == 128_000


@pytest.mark.parametrize("name", ["stylegan2-first", "stylegan2"])
def test_a_generator_is_made_again_by_as_many_steps(name: str, tmp_path: Path):
    *_, training = make.commands(name, tmp_path)
    assert training[-2] == "--max-steps"
    assert (
        f"- **training**: state after step {training[-1]}, "
        in (zoo.resolve(f"{FAMILY}/{name}") / "card.md").read_text()
    )


@pytest.mark.parametrize(
    "options",
    [
        InvertOptions(PSP, bootstrap_from=PSP),
        EditOptions(PSP, Along(PSP), (1.0,)),
        EvalOptions(PSP, Path("data"), identity_weights=PSP),
        GenerateOptions(PSP),
    ],
    ids=lambda options: type(options).__name__,
)
def test_settings_name_a_model_and_not_where_it_is_installed(options: Any):
    described = options.description()
    assert described["checkpoint"] == f"{FAMILY}/psp" and str(PSP) not in map(str, described.values())


def test_one_command_makes_a_file_again(tmp_path):
    """The command for the perceptual distance, whose fit is the quickest; and what becomes of its result."""
    target = tmp_path / "perceptual"
    commands = list(make.commands("perceptual", tmp_path / "runs"))
    assert commands == [
        ["experiments.avatars.perceptual", f"{FAMILY}/attributes", str(tmp_path / "runs" / "perceptual")]
    ]
    make.ship("perceptual", zoo.resolve(f"{FAMILY}/perceptual"), target)
    shipped = zoo.resolve(f"{FAMILY}/perceptual")
    assert (target / "weights.safetensors").read_bytes() == (shipped / "weights.safetensors").read_bytes()
    assert "0.0e+00 standard deviations on average" in (target / "card.md").read_text()
