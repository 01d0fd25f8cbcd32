"""`restyle edit` and `restyle directions` as a user runs them, in processes of their own, and what they refuse to start."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restyle_jax.checkpoints.latent_classifier import save_classifier
from restyle_jax.cli import main
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from tests import networks, tiny, weight_files

K = 14  # styles of a generator of 256 px


def restyle(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "restyle_jax", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_components_are_found_and_faces_edited(tmp_path: Path):
    """A list of strengths that starts with a minus sign is no option."""
    checkpoint, components = tiny.checkpoint(resolution=256, encoder=False), tmp_path / "components.npz"
    fit = ["directions", "fit", "sefa", "--checkpoint", checkpoint, "--output", components, "--layers", "0-6"]
    done = restyle(*fit, "--components", 3)
    assert done.returncode == 0, done.stderr
    assert "component2" in done.stdout and "eigenvalue" in done.stdout and "3 direction(s) in" in done.stdout

    latents = tmp_path / "latents.npz"
    codes = np.random.default_rng(1).standard_normal((1, K, tiny.STYLE_DIM)).astype(np.float32)
    np.savez(latents, allow_pickle=False, **{"me.jpg": codes})
    arguments = ["--checkpoint", checkpoint, "--input", latents, "--output", tmp_path / "out", "--batch-size", 1]
    arguments += ["--direction", components, "--component", "component2", "--strengths", "-9,0,9"]
    done = restyle("edit", *arguments, "--identity-weights", weight_files.face(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "1 photo(s) edited" in done.stdout and "identity" in done.stdout and "Editing: 100%" in done.stderr
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    low, same, high = (entry["identity"] for entry in report["mean"])
    assert same == pytest.approx(1, abs=1e-5) and max(low, high) < 1 - 1e-4
    assert report["definitions"].keys() == {"identity"} and report["images"]["me.jpg"]["file"] == "me.png"
    assert (tmp_path / "out" / "strength_-9" / "me.png").exists()
    with Image.open(tmp_path / "out" / "strips" / "me.png") as strip:
        assert 4 * 256 < strip.width < 5 * 256  # reconstruction and three strengths; the photo is not at hand


def test_methods_say_what_they_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
):
    classifier, generator = tmp_path / "classifier", str(tiny.checkpoint(encoder=False))
    config = LatentClassifierConfig(
        6, tiny.STYLE_DIM, ("smile", "narrow_glasses_with_a_dark_frame"), widths=(8,), embedding=4
    )
    save_classifier(networks.random(LatentClassifier, config), {}, classifier)

    def fit(method: str, *arguments: str) -> tuple[str, str]:
        start = ["directions", "fit", method, "--checkpoint", generator, "--output", str(tmp_path / f"{method}.npz")]
        assert main([*start, "--no-compilation-cache", *arguments]) == 0
        said = capsys.readouterr()
        return said.out, said.err

    scored = ["--attribute", "smile", "--classifier", str(classifier), "--samples", "300"]
    out, progress = fit("interfacegan", *scored, "--chosen", "30")
    assert "in validation" in out and "30 codes on each side" in out and "Scoring: 100%" in progress
    scored[1] = "narrow_glasses_with_a_dark_frame"
    out, _ = fit("stylespace", *scored, "--channels", "2")
    assert "frame0 channel (" in out
    assert out.count("channel (") == 2 and "score" in out
    out, progress = fit("ganspace", "--samples", "100", "--components", "30")
    assert "% of the variance" in out and "... 30 in all" in out and "Drawing codes: 100%" in progress


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start = ["edit", "--checkpoint", "a.pt", "--input", str(tmp_path), "--output", str(tmp_path / "out")]
    along = [*start, "--direction", "smile.pt"]

    def refused(arguments: list[str], words: str) -> None:
        try:
            assert main(arguments) == 1
        except SystemExit as error:
            assert error.code == 2
        assert words in capsys.readouterr().err

    refused(start, "one of the arguments --direction --label --reference is required")
    refused([*along, "--label", "a=1"], "not allowed with argument")
    for strengths in ("", "nan,1", "-1,inf", "1;2", "0,1e39", "-1e39"):
        refused([*along, f"--strengths={strengths}"], "expected finite numbers such as -3,0,3")
    refused([*along, "--morph", "0,1e39"], "expected finite numbers such as -3,0,3")
    refused([*along, "--direction", "age.pt"], "argument --direction: is given twice")
    refused([*start, "--label", "a=1", "--label", "b=1"], "argument --label: is given twice")
    refused([*start, "--reference", "a.png", "--reference", "b.png"], "argument --reference: is given twice")
    refused([*along, "--morph", "1"], "--morph needs two different strengths")
    refused([*along, "--order", "2"], "--order is for edits with --label, not with --direction")
    refused([*along, "--attribute", "smile"], "add --attributes NETWORK or --classifier FILE")
    refused([*start, "--label", "smile"], "expected an attribute and 0 or 1")
    refused([*start, "--label", "smile=1"], "--label needs --classifier FILE")
    refused([*start, "--reference", "a.png"], "--reference needs --editor FILE and --attribute NAME")
    refused([*along, "--strength", "1"], "did you mean --strengths?")
    unknown = "official/smile: found neither a file nor the name of a model"
    refused([*start, "--direction", "official/smile"], unknown)
    refused(["demo", *start[1:3], "--output", str(tmp_path / "out"), "--direction", "official/smile"], unknown)
    scored = ["directions", "fit", "interfacegan", "--checkpoint", "a.pt", "--output", "a.npz", "--attribute", "smile"]
    refused(scored, "one of the arguments --attributes --classifier is required")
    refused([*scored, "--classifier", "c", "--chosen", "0"], "--chosen is 0; expected a share")
    refused([*scored, "--classifier", "c", "--chosen", "inf"], "argument --chosen: got 'inf', expected a finite number")
    refused([*scored, "--classifier", "c", "--truncation-psi", "nan"], "got 'nan', expected a finite number")
    refused([*scored, "--classifier", "c", "--seed", str(2**32)], "got '4294967296', expected a whole number")
    closed = ["directions", "fit", "sefa", *scored[3:7]]
    for unused in (["--seed", "1"], ["--batch-size", "2"], ["--dtype", "bfloat16"]):
        refused([*closed, *unused], f"there is no option {unused[0]}")
    refused(["directions", "fit", "ganspace", *scored[3:7], "--batch-size", "2"], "there is no option --batch-size")
    channels = ["directions", "fit", "stylespace", *scored[3:], "--classifier", "c", "--samples", "30"]
    refused(channels, "--positives is 30 of 30 codes; expected fewer than --samples")
    assert not (tmp_path / "out").exists()
