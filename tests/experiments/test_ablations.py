"""Ablations: small trainings that differ in one setting, measured, and not repeated."""

import argparse
import dataclasses
from pathlib import Path

import pytest

from data_pipelines.avatars import AvatarSource
from experiments.avatars import ablations
from experiments.avatars.settings import BASE
from tests import tiny
from tests.experiments.avatars import SIZE, judge_options


@pytest.fixture
def named(tmp_path: Path) -> list[str]:
    """Options of the program; four pictures to train on and two others."""
    for split, count in (("train", 4), ("test", 2)):
        source = AvatarSource(split, count, SIZE)  # pyright: ignore[reportArgumentType]
        (tmp_path / "data" / split).mkdir(parents=True)
        for i in range(count):
            source.open(i)[0].save(tmp_path / "data" / split / source.name(i))
    generator = str(tiny.checkpoint())
    folders = ["--output", str(tmp_path / "out"), "--data", str(tmp_path / "data"), "--generator", generator]
    return [
        *folders,
        *judge_options(tmp_path),
        "--size",
        str(SIZE),
        "--max-steps",
        "1",
        "--batch-size",
        "2",
        "--pictures",
        "2",
    ]


def test_a_variant_is_trained_once(
    named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    narrow = dataclasses.replace(
        BASE, checkpoint=tiny.checkpoint(), steps_per_image=1, lpips=0, identity=0, test_batch_size=2
    )
    monkeypatch.setattr(ablations, "BASE", narrow)
    monkeypatch.setattr(ablations, "VARIANTS", {"base": {}, "N = 0": {"steps_per_image": 0}})
    results = ablations.main(named)
    assert results["variants"].keys() == {"base"} and "steps_per_image" in results["failed"]["N = 0"]
    found = results["variants"]["base"]
    assert len(found["means"]["l2"]) == ablations.STEPS and found["seconds of a training step"] > 0
    assert found["by training step"][-1][0] == 1
    out = tmp_path / "out"
    report = (out / "report.md").read_text()
    assert report in capsys.readouterr().out and "experiments.avatars.ablations --output" in report
    assert "N = 0: " in report
    assert {path.name for path in out.iterdir()} == {
        *("base", "report.md", "results.json", "by_refinement_step.svg", "by_training_step.svg")
    }
    log = (out / "base" / "metrics.jsonl").stat().st_mtime_ns
    again = ablations.main(named)
    assert (out / "base" / "metrics.jsonl").stat().st_mtime_ns == log
    assert again["variants"]["base"]["means"] == found["means"]


def test_every_variant_is_a_possible_training():
    for changes in ablations.VARIANTS.values():
        assert all(getattr(BASE, name) != value for name, value in changes.items())
        dataclasses.replace(BASE, **changes).encoder(10, 128)
    assert (BASE.trunk_width, BASE.height, BASE.width, BASE.flip) == (16, 64, 64, False)


def test_the_rate_is_constant():
    options = {"data": Path("data"), "generator": None, "perceptual": None, "identity": None, "size": SIZE}
    config = ablations.configuration(argparse.Namespace(**options, max_steps=200, batch_size=2))
    assert config.decay_from is None


def test_missing_data_is_said_before_anything_is_trained(named: list[str], tmp_path: Path):
    with pytest.raises(SystemExit) as stopped:
        ablations.main([*named, "--data", str(tmp_path / "nothing")])
    assert "nothing" in str(stopped.value) and not (tmp_path / "out").exists()
