"""`restyle edit` and `restyle directions` as a user runs them, in processes of their own, and what they refuse to start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restyle_jax.cli import main
from tests import tiny, weight_files

K = 14  # styles of a generator of 256 px


def restyle(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "restyle_jax", *map(str, arguments)],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )


def test_components_are_found_and_faces_edited(tmp_path: Path):
    """A list of strengths that starts with a minus sign is no option."""
    checkpoint, components = tiny.checkpoint(resolution=256, encoder=False), tmp_path / "components.npz"
    fit = ["directions", "fit", "ganspace", "--checkpoint", checkpoint, "--output", components]
    done = restyle(tmp_path, *fit, "--components", 3, "--samples", 500)
    assert done.returncode == 0 and "Drawing codes: 100%" in done.stderr, done.stderr
    assert "component2" in done.stdout and "of the variance" in done.stdout

    latents = tmp_path / "latents.npz"
    codes = np.random.default_rng(1).standard_normal((1, K, tiny.STYLE_DIM)).astype(np.float32)
    np.savez(latents, allow_pickle=False, **{"me.jpg": codes})
    arguments = ["--checkpoint", checkpoint, "--input", latents, "--output", tmp_path / "out", "--batch-size", 1]
    arguments += ["--direction", components, "--component", "component2", "--strengths", "-2,0,1"]
    done = restyle(tmp_path, "edit", *arguments, "--identity-weights", weight_files.face(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "1 photo(s) edited" in done.stdout and "identity" in done.stdout and "Editing: 100%" in done.stderr
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    low, same, high = (entry["identity"] for entry in report["mean"])
    assert same == pytest.approx(1, abs=1e-5) and max(low, high) < 1 - 1e-4
    assert report["definitions"].keys() == {"identity"} and report["images"]["me.jpg"]["file"] == "me.png"
    assert (tmp_path / "out" / "strength_-2" / "me.png").exists()
    with Image.open(tmp_path / "out" / "strips" / "me.png") as strip:
        assert 4 * 256 < strip.width < 5 * 256  # reconstruction and three strengths; the photo is not at hand


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
    for strengths in ("", "nan,1", "-1,inf", "1;2"):
        refused([*along, f"--strengths={strengths}"], "expected finite numbers such as -3,0,3")
    refused([*along, "--morph", "1"], "--morph needs two different strengths")
    refused([*along, "--order", "2"], "--order is for edits with --label, not with --direction")
    refused([*along, "--attribute", "smile"], "add --attributes NETWORK or --classifier FILE")
    refused([*start, "--label", "smile"], "expected an attribute and 0 or 1")
    refused([*start, "--label", "smile=1"], "--label needs --classifier FILE")
    refused([*start, "--reference", "a.png"], "--reference needs --editor FILE and --attribute NAME")
    refused([*along, "--strength", "1"], "did you mean --strengths?")
    scored = ["directions", "fit", "interfacegan", "--checkpoint", "a.pt", "--output", "a.npz", "--attribute", "smile"]
    refused(scored, "one of the arguments --attributes --classifier is required")
    refused([*scored, "--classifier", "c", "--chosen", "0"], "--chosen is 0; expected a share")
    assert not (tmp_path / "out").exists()
