"""The table of inversions: the whole program as a process, and its measures against direct formulas."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import restyle_jax as rs
from data_pipelines.avatars import AvatarSource
from experiments.avatars import edits, inversion
from experiments.avatars.claims import Claim, falls, less
from experiments.avatars.measure import Judges, coarse_share, held_out, join, measure, seconds
from experiments.avatars.tables import table
from restyle_jax.edit.direction import Direction
from restyle_jax.jobs.edit_measures import Identity
from restyle_jax.ops.images import to_float
from tests import networks, tiny
from tests.experiments.avatars import ENCODERS, SIZE, attributes, judges, options

ROOT = Path(__file__).parents[2]
PICTURES, EDITED, BATCH = 5, 3, 4
random = np.random.default_rng(0)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return options(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def judged() -> Judges:
    return Judges(*judges())


def test_the_program_measures_everything(named: list[str], tmp_path: Path):
    numbers = {
        "pictures": PICTURES,
        "optimised": 2,
        "edited": EDITED,
        "batch-size": BATCH,
        "repeats": 1,
        "change": 0.01,
    }
    chosen = [text for name, value in numbers.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "experiments.avatars.inversion", *named, *chosen, "--iterations", "1", "2"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text())
    assert done.stdout.strip() == (tmp_path / "out" / "report.md").read_text().strip()
    assert "### Claims" in done.stdout and "python -m experiments.avatars.inversion --perceptual" in done.stdout

    assert {title: len(means["l2"]) for title, means in results["encoders"].items()} == {
        "pSp": 1, "e4e": 1, "Transformer": 1, "ReStyle-pSp": 10, "ReStyle-e4e": 10, "ReStyle-Transformer": 10,
    }  # fmt: skip
    assert results["seconds"]["pSp"].keys() == {"1"} and results["seconds"]["ReStyle-e4e"].keys() == {
        "1",
        "2",
        "3",
        "5",
        "10",
    }
    assert results["optimisation"].keys() == {"average", "ReStyle-pSp"}
    assert results["edits"].keys() | results["edits that failed"].keys() == set(inversion.ENCODERS)
    for found in results["edits"].values():
        assert found["change"] == pytest.approx(results["wanted change"], rel=edits.TOLERANCE)
    verdicts = re.findall(r"^- .*: (holds|does not hold|not measured) \(", done.stdout, re.MULTILINE)
    assert len(verdicts) == 33 and (verdicts.count("not measured") > 0) == bool(results["edits that failed"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("report.md", "results.json", "error_by_step.svg", "reconstructions.png"),
        *("quality_against_time_l2.svg", "quality_against_time_perceptual.svg"),
        *("changes_restyle-psp.png", "changes_restyle-e4e.png", "changes_restyle-transformer.png"),
    }

    seed, channels = ENCODERS["psp"]
    model = rs.load(tiny.checkpoint(seed, in_channels=channels))
    x = np.concatenate([x[:kept] for x, kept in held_out(PICTURES, SIZE, BATCH)])
    codes, images = rs.invert(model, x, resize_outputs=True)
    expected = {
        "l2": np.square(np.asarray(images[0]) - x).mean(),
        "delta": np.linalg.norm(codes[0, :, 1:] - codes[0, :, :1], axis=-1).mean(),
        "from average": np.linalg.norm(codes[0] - np.asarray(model.w_avg), axis=-1).mean(),
    }
    found = results["encoders"]["pSp"]
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_measures_are_the_formulas(judged: Judges):
    model = rs.load(tiny.checkpoint())
    assert model.w_avg is not None
    x, images = random.uniform(-1, 1, (2, 3, SIZE, SIZE, 3)).astype(np.float32)
    images = np.stack([images, 0.5 * (images + x)])
    latents = random.standard_normal((2, 3, *model.w_avg.shape)).astype(np.float32)
    whole = measure(model, judged, x, latents, images)
    some = measure(model, judged, x, latents, images, kept=2)
    rows = slice(2, 3)
    rest = measure(model, judged, x[rows], latents[:, rows], images[:, rows])
    put_together = join([some, rest])
    for name, values in whole.values.items():
        np.testing.assert_allclose(put_together.values[name], values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(put_together.change, whole.change, rtol=1e-5)

    before = np.stack([np.broadcast_to(np.asarray(model.average.y[0]), x.shape), images[0]])
    np.testing.assert_allclose(whole.change, np.abs(images - before).mean((1, 4)), rtol=1e-5)
    person = networks.apply(judged.identity, _called, x)
    expected = {
        "l2": np.square(images - x).mean((2, 3, 4)),
        "perceptual": np.stack([networks.apply(judged.perceptual, _called, y, x) for y in images]),
        "identity": np.stack([(networks.apply(judged.identity, _called, y) * person).sum(-1) for y in images]),
        "delta": np.linalg.norm(latents[:, :, 1:] - latents[:, :, :1], axis=-1).mean(-1),
        "from average": np.linalg.norm(latents - np.asarray(model.w_avg), axis=-1).mean(-1),
        "coarse share": np.stack([_share(change) for change in images - before]),
    }
    assert whole.values.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(whole.values[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    assert whole.means(2)["l2"] == pytest.approx(expected["l2"][:, :2].mean(1), rel=1e-5)


def _called(network: Any, *inputs: jax.Array) -> jax.Array:
    return network(*inputs)


def _share(change: np.ndarray) -> np.ndarray:
    blocks = change.reshape(len(change), 16, SIZE // 16, 16, SIZE // 16, 3).mean((2, 4))
    coarse = blocks.repeat(SIZE // 16, 1).repeat(SIZE // 16, 2)
    return np.square(coarse).sum((1, 2, 3)) / np.square(change).sum((1, 2, 3))


def test_what_is_coarse():
    coarse = random.standard_normal((1, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    fine = np.indices((16, 16)).sum(0)[None, :, :, None] % 2 * 2.0 - 1
    fine = np.broadcast_to(fine, coarse.shape) * np.sqrt(np.square(coarse).mean())
    shares = coarse_share(np.concatenate([coarse, fine, coarse + fine, 0 * fine]).astype(np.float32), 4)
    np.testing.assert_allclose(shares, [1, 0, 0.5, 0], atol=1e-5)


def test_held_out_pictures_are_those_of_the_test_split():
    batches = list(held_out(5, 16, 3))
    assert [(x.shape, kept) for x, kept in batches] == [((3, 16, 16, 3), 3), ((3, 16, 16, 3), 2)]
    source = AvatarSource("test", 5, 16)
    drawn = to_float(np.stack([np.asarray(source.open(i)[0]) for i in range(5)]))
    np.testing.assert_array_equal(np.concatenate([x[:kept] for x, kept in batches]), drawn)


def test_the_first_call_is_not_timed():
    calls: list[int] = []
    assert seconds(lambda: calls.append(0), 3) < 1
    assert len(calls) == 4


@pytest.mark.parametrize("change", [lambda s: s**2, lambda s: 3 * s, lambda s: s + 1.5 * np.sin(2 * s), np.sqrt])
@pytest.mark.parametrize("wanted", [0.05, 2.0, 7.0])
def test_the_strength_of_a_wanted_change_is_found(change: Any, wanted: float):
    strength = edits.strength_for(change, wanted)
    assert 0 < strength <= edits.LARGEST and change(strength) == pytest.approx(wanted, rel=edits.TOLERANCE)


def test_a_direction_that_does_nothing_is_said():
    with pytest.raises(ValueError, match=r"strength 64 changes the attribute by 0, and 1 was asked for"):
        edits.strength_for(lambda strength: 0.0, 1.0)


def test_an_edit_of_a_given_change(judged: Judges):
    model, network = rs.load(tiny.checkpoint()), attributes()
    assert model.w_avg is not None
    codes = random.standard_normal((BATCH, *model.w_avg.shape)).astype(np.float32)
    inputs = random.uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype(np.float32)
    ruler = edits.Ruler.of(network, "smile", inputs, 0.02)
    read = edits.readings_of(network, inputs)[:, list(network.config.columns).index("smile")]
    assert ruler.wanted == pytest.approx(0.02 * read.std())
    vector = random.standard_normal(tiny.STYLE_DIM).astype(np.float32)
    before = edits.pictures(model, codes, BATCH)
    small = edits.pictures(model, codes + 0.25 * vector, BATCH)
    change = (edits.readings_of(network, small) - edits.readings_of(network, before))[:, ruler.column].mean()
    direction = Direction("smile", vector if change > 0 else -vector, "W")
    found = edits.edit(model, codes, direction, ruler, Identity(judged.identity), BATCH)
    after = edits.pictures(model, codes + np.float32(found.strength) * direction.vector, BATCH)
    changed = edits.readings_of(network, after) - edits.readings_of(network, before)
    assert found.change == pytest.approx(ruler.wanted, rel=edits.TOLERANCE)
    assert changed[:, ruler.column].mean() == pytest.approx(ruler.wanted, rel=0.05)
    others = np.delete(np.abs(changed).mean(0) / ruler.spread, ruler.column)
    assert found.others == pytest.approx(others.mean(), rel=1e-2)
    people = [networks.apply(judged.identity, _called, pictures) for pictures in (before, after)]
    np.testing.assert_allclose(found.identity, (people[0] * people[1]).sum(-1), atol=1e-3)


def test_a_claim_needs_more_than_chance():
    worse = random.uniform(0.5, 1, 100)
    assert less("better", (worse - 0.1, worse)).holds
    assert str(less("better", (worse - 0.1, worse))).startswith("better: holds (0.6")
    assert not less("worse", (worse, worse - 0.1)).holds
    assert not less("equal", (worse + 0.01 * random.standard_normal(100), worse)).holds
    steps = np.stack([worse, worse - 0.1, worse - 0.2])
    assert falls("falls", steps).holds and not falls("rises at the end", np.concatenate([steps, steps[:1]])).holds
    assert str(Claim("unknown", None, "no edit")) == "unknown: not measured (no edit)"
    with pytest.raises(ValueError, match="expected equally many"):
        less("one", (worse[:1], worse[:1]))


def test_a_table_keeps_small_numbers():
    assert table(("a", "b"), [[1234, 0.000123], [None, 12.34567]]).splitlines()[2:] == [
        "| 1,234 | 0.000123 |",
        "|  | 12.3457 |",
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--psp", "6"), "pSp has an encoder with 6 input channels; expected 6 for ReStyle, 3 for the others"),
        (("--e4e", "none"), "none"),
        (("--attribute", "height"), "attribute 'height': expected one of"),
        (("--perceptual", "identity"), "perceptual"),
        (("--direction", "S"), "found a direction in S; expected one in W or W+"),
    ],
)
def test_what_does_not_fit_is_said(named: list[str], tmp_path: Path, changed: tuple[str, str], message: str):
    from restyle_jax.edit.files import write_directions

    known = dict(zip(named[::2], named[1::2], strict=True))
    write_directions([Direction("s", np.ones(4), "S", widths=(4,))], tmp_path / "s.npz")
    option, what = changed
    replaced = {"6": known["--restyle-psp"], "identity": known["--identity"], "S": str(tmp_path / "s.npz")}.get(
        what, what
    )
    arguments = [text for pair in (known | {option: replaced}).items() for text in pair]
    with pytest.raises(SystemExit) as stopped:
        inversion.main([*arguments, "--output", str(tmp_path / "out"), "--pictures", "2"])
    assert message in str(stopped.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [("--pictures", "1"), ("--repeats", "0"), ("--change", "0")])
def test_numbers_that_measure_nothing_are_refused(capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]):
    with pytest.raises(SystemExit):
        inversion.parse(["--output", "out", *wrong])
    assert f"{wrong[0]} is {wrong[1]}" in capsys.readouterr().err
