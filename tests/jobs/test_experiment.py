"""Experiment files: executed, checked, and complaints about them."""

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
