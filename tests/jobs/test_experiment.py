"""Experiment files: executed, checked, and complaints about them."""

import sys
from pathlib import Path

import pytest

from restyle_jax.jobs.experiment import read_experiment
from restyle_jax.train.errors import TrainingError

IMPORT = "from restyle_jax.train.config import EncoderTraining\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.py"
    path.write_text(text)
    return path


def test_a_file_and_changes_to_it(tmp_path: Path) -> None:
    path = written(tmp_path, IMPORT + "SIZE = 4\nconfig = EncoderTraining(batch_size=2 * SIZE, seed=7)")
    config = read_experiment(path, {"seed": 8, "data": Path("here")})
    assert (config.batch_size, config.seed, config.data) == (8, 8, Path("here"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "found no variable config, expected config = EncoderTraining(...)"),
        ("config = {'lpips': 1}", "found config = {'lpips': 1}"),
        ("\n1 / 0", "experiment.py, line 2: fails with ZeroDivisionError: division by zero"),
        (IMPORT + "config = EncoderTraining(lernig_rate=1)", "line 2: fails with TypeError"),
        ("config = (", "fails with SyntaxError"),
        (IMPORT + "config = EncoderTraining(batch_size=0, steps_per_image=0)", "steps_per_image: found 0"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TrainingError) as caught:
        read_experiment(written(tmp_path, text), {})
    assert words in str(caught.value) and "experiment.py" in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere\.py: there is no such file"):
        read_experiment(tmp_path / "nowhere.py", {})


@pytest.mark.parametrize("folder", ["", "own", "other/faces"])
def test_a_file_may_import_its_neighbours(folder: str, tmp_path: Path):
    """Those beside it, or those in the package that it is in, wherever the command is given."""
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    for inner in range(folder.count("/") + 1 if folder else 0):
        (tmp_path / "/".join(folder.split("/")[: inner + 1]) / "__init__.py").touch()
    unique = f"settings_{len(folder)}"
    (place / f"{unique}.py").write_text("SEED = 7\n")
    module = ".".join([*filter(None, folder.split("/")), unique])
    before = [*sys.path]
    text = f"from {module} import SEED\nfrom restyle_jax.train.config import EncoderTraining\nconfig = EncoderTraining(seed=SEED)"
    assert read_experiment(written(place, text), {}).seed == 7
    assert sys.path == before


def test_the_path_is_as_before_when_a_file_fails(tmp_path: Path):
    before = [*sys.path]
    with pytest.raises(TrainingError, match="No module named 'nothing_like_it'"):
        read_experiment(written(tmp_path, "import nothing_like_it"), {})
    assert sys.path == before
