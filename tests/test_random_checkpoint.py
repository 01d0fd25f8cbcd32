"""The first command of a newcomer: a checkpoint with random weights in the official format."""

import subprocess
import sys
from pathlib import Path

import restyle_jax as rs

SCRIPT = Path(__file__).parents[1] / "experiments" / "make_random_checkpoint.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_it_is_a_complete_official_file(tmp_path: Path):
    file = tmp_path / "random.pt"
    done = run(file, "--encoder", "ResNetProgressiveBackboneEncoder", "--resolution", "8", "--cars")
    assert done.returncode == 0, done.stderr
    report = rs.inspect(file)
    assert report["networks"]["encoder"]["encoder_type"] == "ResNetProgressiveBackboneEncoder"
    assert (report["resolution"], report["geometry"]["height"], report["format"]) == (8, 192, "torch-zip")
    assert (report["missing"], report["unexpected"]) == ([], [])


def test_impossible_sizes_are_explained(tmp_path: Path):
    done = run(tmp_path / "random.pt", "--resolution", "100")
    assert done.returncode == 1 and "100" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
