"""Bootstrapping from painted to comic avatars: what the program makes of two trained models, verdicts and figures."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import restyle_jax as rs
from data_pipelines.avatars import AvatarSource, render
from experiments.avatars import bootstrapping, bootstrapping_report, comic_encoder, comic_generator
from experiments.avatars.bootstrapping_report import ALONE, AVERAGE, BOOTSTRAPPED, MEASURES, STEPS
from experiments.avatars.measure import Judges, held_out
from experiments.avatars.settings import BASE
from restyle_jax.jobs.requirements import require
from restyle_jax.jobs.workdir import model_in
from restyle_jax.ops.images import to_float
from restyle_jax.train import checks
from restyle_jax.train.config import EncoderTraining, Run
from restyle_jax.train.loop import Outcome
from restyle_jax.train.stylegan_config import StyleGANTraining, problems
from tests import tiny
from tests.experiments.avatars import SIZE, judge_options, judges

PICTURES, BATCH = 3, 2
FIRST, TUNED, START = tiny.checkpoint(2), tiny.checkpoint(5, encoder=False), tiny.checkpoint()


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of the program; a picture to train on and another; trainings that end at once."""
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "data" / split / "0.png")

    def finished(model: rs.Model, workdir: Path, config: Run) -> Outcome:
        (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
        rs.save(model, workdir / "latest")
        return Outcome(config.max_steps)

    def generator(config: StyleGANTraining, workdir: Path, **how: Any) -> Outcome:
        assert config is comic_generator.config and workdir == tmp_path / "out" / "generator"
        return finished(rs.load(TUNED), workdir, config)

    def encoder(config: EncoderTraining, workdir: Path, **how: Any) -> Outcome:
        require(config)
        assert config.generator == tmp_path / "out" / "generator" and config.data == tmp_path / "data"
        tuned = rs.load(model_in(workdir.parent / "generator"))
        whole = dataclasses.replace(rs.load(START), generator=tuned.generator, w_avg=tuned.w_avg)
        return finished(whole, workdir, config)

    monkeypatch.setattr(bootstrapping, "train_stylegan", generator)
    monkeypatch.setattr(bootstrapping, "train_encoder", encoder)
    monkeypatch.setattr(comic_encoder, "config", dataclasses.replace(comic_encoder.config, height=SIZE, width=SIZE))
    folders = ["--output", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--restyle-psp", str(FIRST)]
    counts = {"pictures": PICTURES, "batch-size": BATCH, "repeats": 1}
    return [*folders, *judge_options(tmp_path), *(text for key, n in counts.items() for text in (f"--{key}", str(n)))]


def test_the_program_compares(named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = bootstrapping.main(named)
    out = tmp_path / "out"
    assert json.loads((out / "results.json").read_text()) == results
    report = (out / "report.md").read_text()
    assert report in capsys.readouterr().out and "experiments.avatars.bootstrapping --output" in report
    verdicts = re.findall(r"^- .*: (holds|does not hold) \(", report, re.MULTILINE)
    assert len(verdicts) == len(results["claims"]) == 24
    assert {path.name for path in out.iterdir()} == {
        *("generator", "encoder", "report.md", "results.json", "people.png", "error_by_step.svg")
    }
    assert [len(times) for times in results["seconds"].values()] == [STEPS, STEPS]
    assert results["generators"]["another code, redrawn"] > 0

    first, second = rs.load(FIRST), rs.load(out / "encoder" / "latest")
    np.testing.assert_array_equal(second.w_avg, rs.load(TUNED).w_avg)
    described = AvatarSource("test", PICTURES, SIZE).described(np.arange(PICTURES))
    x, truth = (to_float(render(described, SIZE, style)) for style in ("painted", "comic"))

    def inverted(model: rs.Model, steps: int, **how: Any) -> list[np.ndarray]:
        """Codes and pictures after each step."""
        parts = [rs.invert(model, x[rows], steps, resize_outputs=True, **how) for rows in ([0, 1], [2, 2])]
        return [np.concatenate(pair, axis=1)[:, :PICTURES] for pair in zip(*parts, strict=True)]

    codes, _ = inverted(first, STEPS)
    drawn = rs.synthesise(second, codes.reshape(-1, *codes.shape[2:]), batch_size=BATCH)
    expected = {
        AVERAGE: inverted(second, STEPS)[1],
        BOOTSTRAPPED: inverted(second, STEPS - 1, bootstrap_from=first)[1],
        ALONE: np.asarray(second.geometry.pool(jnp.asarray(drawn))).reshape(STEPS, *x.shape),
    }
    for start, images in expected.items():
        for name, target in (("input", x), ("truth", truth)):
            errors = np.square(images - target).mean((1, 2, 3, 4))
            np.testing.assert_allclose(results["means"][start][name]["l2"], errors, rtol=1e-4)
    assert results["scale"]["the truth"]["input"]["l2"] == [pytest.approx(np.square(truth - x).mean(), rel=1e-4)]


def test_missing_data_is_said_before_anything_is_trained(named: list[str], tmp_path: Path):
    with pytest.raises(SystemExit) as stopped:
        bootstrapping.main([*named, "--data", str(tmp_path / "nothing")])
    assert "nothing" in str(stopped.value) and not (tmp_path / "out").exists()


def test_pictures_are_compared_in_batches():
    judged, random = Judges(*judges()), np.random.default_rng(0)
    target = random.uniform(-1, 1, (5, SIZE, SIZE, 3)).astype(np.float32)
    images = np.stack([random.uniform(-1, 1, target.shape).astype(np.float32), target])
    found = bootstrapping.compared(judged, target, images, 3)
    order = [3, 0, 4, 2, 1]
    turned = bootstrapping.compared(judged, target[order], images[:, order], 3)
    assert found.keys() == turned.keys() == set(MEASURES)
    for name in MEASURES:
        np.testing.assert_allclose(turned[name], found[name][:, order], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[name][1], float(name == "identity"), atol=1e-5)
    np.testing.assert_allclose(found["l2"], np.square(images - target).mean((2, 3, 4)), rtol=1e-5)


def test_the_truth_shows_the_same_people():
    painted, comic = (np.concatenate([x for x, _ in held_out(4, 64, 2, style)]) for style in ("painted", "comic"))
    described = AvatarSource("test", 4, 64).described(np.arange(4))
    np.testing.assert_array_equal(painted, to_float(render(described, 64)))
    np.testing.assert_array_equal(comic, to_float(render(described, 64, "comic")))


def made_up(levels: dict[str, list[float]]) -> dict[str, Any]:
    """Errors of 20 pictures with these means after each step; the identity network is as content as the others."""
    noise = np.random.default_rng(0).normal(0, 0.01, 20)
    values = {start: np.array(means)[:, None] + noise for start, means in levels.items()}
    return {
        start: {other: {"l2": v, "perceptual": v, "identity": 1 - v} for other in ("input", "truth")}
        for start, v in values.items()
    }


def test_verdicts():
    levels = {
        AVERAGE: [0.9, 0.7, 0.5, 0.4, 0.3],
        BOOTSTRAPPED: [0.8, 0.2, 0.18, 0.16, 0.15],
        ALONE: [0.5, 0.4, 0.3, 0.2, 0.16],
    }
    good = bootstrapping_report.claims(made_up(levels))
    assert len(good) == 24 and all(claim.holds for claim in good)
    levels[BOOTSTRAPPED] = [0.8, 0.35, 0.3, 0.3, 0.3]
    bad = [claim.text.rsplit(",", 1)[0] for claim in bootstrapping_report.claims(made_up(levels)) if not claim.holds]
    assert set(bad) == {
        "Bootstrapped, 2 steps beat 5 from the average",
        "Bootstrapped, 5 steps beat 5 from the average",
        "Bootstrapped, 5 steps beat 5 of the first encoder alone",
        "Bootstrapped, the error falls over steps 2 to 5",
    }


def test_people_are_shown_in_whole_pixels(tmp_path: Path):
    pictures = np.linspace(-1, 1, 2 * 64 * 64 * 3, dtype=np.float32).reshape(2, 64, 64, 3)
    steps = np.repeat(pictures[None], STEPS, 0)
    bootstrapping_report.people(
        tmp_path / "sheet.png", pictures, pictures, dict.fromkeys((AVERAGE, BOOTSTRAPPED, ALONE), steps)
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 11 * 128 and sheet.height > 2 * 128


def test_the_settings_are_possible_and_the_published_losses():
    config = comic_encoder.config
    assert checks.problems(config) == [] and problems(comic_generator.config) == []
    assert (config.l2, config.lpips, config.identity, config.w_norm) == (1.0, 0.8, 1.0, 0.025)
    assert config.decay_from is None
    changed = {
        field.name for field in dataclasses.fields(BASE) if getattr(config, field.name) != getattr(BASE, field.name)
    }
    assert changed == {
        *("checkpoint", "generator", "identity", "w_norm", "decay_from", "ema"),
        *("max_steps", "image_every", "eval_every", "save_every"),
    }
    assert (comic_generator.config.avatar_style, comic_generator.config.batch_size) == ("comic", 16)
