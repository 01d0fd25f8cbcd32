"""`restyle data`, `train`, `eval` and `export` as a user runs them: from a folder of pictures to an official file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import portpicker
import pytest
from PIL import Image

import restyle_jax as rs
from experiments.make_random_checkpoint import random_model
from restyle_jax.cli import main
from tests import tiny

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
from pathlib import Path
from restyle_jax.train.config import EncoderTraining

config = EncoderTraining(
    checkpoint=Path({checkpoint!r}), trunk="resnet18", height=32, width=32, lpips=0, steps_per_image=2, optimizer="adam",
    batch_size=2, test_batch_size=2, max_steps=100_000, log_every=1, image_every=2, eval_every=1, save_every=1,
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with train/ and test/, and `experiment.py` for a tiny model."""
    root = tmp_path_factory.mktemp("user")
    for split, count in (("train", 5), ("test", 3)):
        (root / "photos" / split).mkdir(parents=True)
        for i in range(count):
            pixels = np.random.default_rng([count, i]).integers(0, 256, (5, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((40, 36)).save(root / "photos" / split / f"{i}.png")
    (root / "experiment.py").write_text(EXPERIMENT.format(checkpoint=str(tiny.checkpoint(resolution=8))))
    return root


def start(folder: Path, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "restyle_jax", *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=300)
    assert "Traceback" not in error, error
    return process.returncode, out, error


def lines(workdir: Path, kind: str) -> list[dict[str, Any]]:
    file = workdir / "metrics.jsonl"
    text = file.read_text() if file.exists() else ""
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def test_from_pictures_to_a_measured_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, workdir = folder / "data", folder / "run"
    status, out, error = finish(start(folder, "data", "prepare", "folder", "--from", folder / "photos", "--to", data))
    assert status == 0, error
    assert "folder, train: 5 pictures" in out and "folder, test: 3 pictures" in out

    train = ["train", folder / "experiment.py", "--workdir", workdir, "--data", data, "--seed", 3]
    process = start(folder, *train)
    while not lines(workdir, "test") and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # the machine is taken away
    status, _, error = finish(process)
    assert status == 128 + signal.SIGTERM, error
    assert (
        "batch of 2, 2 on each device" in error and "planned memory" in error and "the same command continues" in error
    )

    done = lines(workdir, "train")[-1]["step"]
    status, _, error = finish(start(folder, *train, "--max-steps", done + 1))
    assert status == 0, error
    assert f"continuing after step {done} of {done + 1}" in error and f"Trained {done + 1} steps" in error
    assert [line["step"] for line in lines(workdir, "train")] == list(range(1, done + 2))
    assert (workdir / "images").is_dir() and json.loads((workdir / "config.json").read_text())["config"]["seed"] == 3

    arguments = ["eval", "--checkpoint", workdir, "--data", data, "--output", folder / "eval", "--steps", 2]
    assert main([*map(str, arguments), "--batch-size", "2", "--no-compilation-cache"]) == 0
    measured = json.loads((folder / "eval" / "metrics.json").read_text())
    best = min(lines(workdir, "test"), key=lambda line: line["loss/2"])
    assert measured["count"] == 3 and measured["settings"]["checkpoint"] == str(workdir / "best")
    assert measured["mean"]["l2"] == pytest.approx([best["l2/1"], best["l2/2"]], rel=1e-4)
    assert "Means over 3 picture(s)" in capfd.readouterr().out

    assert main(["inspect", "--json", str(workdir)]) == 0
    assert json.loads(capfd.readouterr().out)["resolution"] == 8
    assert main(["train", *map(str, train[1:]), "--resume", "never", "--no-compilation-cache"]) == 1
    assert "holds an earlier run" in capfd.readouterr().err


def test_a_trained_model_becomes_an_official_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    assert main(["export", str(workdir), str(tmp_path / "out.pt")]) == 1
    assert "has not written a model yet" in capsys.readouterr().err
    rs.save(random_model("ResNetBackboneEncoder", 8), workdir / "latest")
    assert main(["export", str(workdir), str(tmp_path / "out.pt")]) == 0
    report = rs.inspect(tmp_path / "out.pt")
    assert report["networks"]["encoder"]["encoder_type"] == "ResNetBackboneEncoder"
    assert (report["format"], report["missing"], report["unexpected"]) == ("torch-zip", [], [])


def test_a_batch_that_the_devices_cannot_share(folder: Path, tmp_path: Path) -> None:
    arguments = ["train", folder / "experiment.py", "--workdir", tmp_path / "run", "--data", folder / "photos"]
    devices = "--xla_force_host_platform_device_count=4"
    status, _, error = finish(start(folder, *arguments, "--batch-size", 6, "--dry-run", XLA_FLAGS=devices))
    assert status == 1 and "restyle: error: batch_size = 6 cannot be divided among 4 devices" in error
    assert "4 or 8" in error and not (tmp_path / "run").exists()


@pytest.mark.parametrize("distributed", [False, True])
def test_a_device_that_is_not_here(folder: Path, tmp_path: Path, distributed: bool) -> None:
    together = ["--distributed", f"localhost:{portpicker.pick_unused_port()},1,0"] if distributed else []
    arguments = [
        "train",
        folder / "experiment.py",
        "--workdir",
        tmp_path / "run",
        "--data",
        folder / "photos",
        *together,
    ]
    status, _, error = finish(start(folder, *arguments, JAX_PLATFORMS="nonsense"))
    assert status == 1 and "restyle: error: JAX_PLATFORMS=nonsense: JAX finds no such device" in error
    assert not (tmp_path / "run").exists()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that fails before it computes anything."""
    assert main([*map(str, arguments)]) == 1
    captured = capsys.readouterr()
    assert not captured.out and "restyle: error: " in captured.err
    return captured.err


def test_everything_missing_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(
        capsys,
        "train",
        ROOT / "experiments/restyle_e4e_ffhq.py",
        "--workdir",
        tmp_path / "run",
        "--no-compilation-cache",
    )
    for words in (
        "--generator: pretrained_models/stylegan2-ffhq-config-f.pt: found no file here",
        "--trunk-weights: pretrained_models/model_ir_se50.pth",
        "--lpips-trunk-weights: pretrained_models/alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "--lpips-linear-weights: pretrained_models/alex.pth",
        "richzhang/PerceptualSimilarity",
        "--identity-weights: pretrained_models/model_ir_se50.pth",
        "README of yuval-alaluf/restyle-encoder",
        "(ffhq_cartoon_blended.pt: the README of yuval-alaluf/hyperstyle)",
        "--data: data/ffhq: there is no such folder",
        "--test-data: data/celeba_hq: there is no such folder",
    ):
        assert words in error
    error = refusal(
        capsys,
        *("train", ROOT / "experiments/restyle_psp_cars.py", "--workdir", tmp_path / "run", "--no-compilation-cache"),
        *("--moco-weights", "none", "--generator", "none", "--data", "none"),
    )
    assert "--moco-weights: moco_v2_800ep_pretrain.pt: found no path" in error and "resnet34-333f7ec4.pth" in error
    assert "--generator: stylegan2-<data set>-config-f.pt: found no path" in error and "--data: expected" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--identity", 0.1, "--moco", 0.5], "identity and moco: found 0.1 and 0.5, expected one of them to be 0"),
        (["--batch-size", 0, "--ema", 2], "ema: found 2.0, expected a number between 0 and 1"),
        (["--checkpoint", "nowhere"], "--checkpoint: nowhere: there is no such file or folder"),
        (["--trunk", "resnet34"], "has an encoder with trunk = 'resnet18'"),
        (["--generator", "{other}"], "has an encoder with num_styles = 4, but the generator asks for 8"),
        (["--task", "sketch", "--in-channels", 1], "holds single pictures, but task sketch needs pairs"),
        (["--test-data", "nowhere"], "--test-data: nowhere: there is no such folder"),
        (["--distributed", "host,1"], "expected auto, or host:port,processes,process"),
        (["--lpips", 1], "--lpips-trunk-weights: alexnet-owt-7be5be79.pth: found no path to this file"),
    ],
)
def test_impossible_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[Any], words: str
) -> None:
    other = tiny.checkpoint(resolution=32, encoder=False)
    options = [str(option).format(other=other) for option in options]
    error = refusal(
        capsys,
        *("train", folder / "experiment.py", "--workdir", tmp_path / "run", "--data", folder / "photos"),
        *("--no-compilation-cache", "--dry-run", *options),
    )
    assert words in error and len({*error.splitlines()}) == len(error.splitlines())
    assert not (tmp_path / "run").exists()


def test_a_workdir_among_the_pictures(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run would write pictures that it reads when it is continued."""
    data = Path(shutil.copytree(folder / "photos", tmp_path / "data"))
    (tmp_path / "link").symlink_to(data / "test")
    for workdir, photos, more in (
        (data / "train" / "run", data / "train", ["--test-data", data]),
        (tmp_path / "link" / "run", data, []),
        (data / "test" / "run", folder / "photos", ["--test-data", data]),
    ):
        arguments = ["--data", photos, *more, "--no-compilation-cache", "--dry-run"]
        error = refusal(capsys, "train", folder / "experiment.py", "--workdir", workdir, *arguments)
        assert f"{workdir}: lies in " in error and not workdir.exists()
    beside = ["train", folder / "experiment.py", "--workdir", data / "run", "--data", data]
    assert main([*map(str, beside), "--no-compilation-cache", "--dry-run"]) == 0


def test_experiment_files_that_do_not_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.py"
    file.write_text("config = 1 / 0")
    assert "line 1: fails with ZeroDivisionError" in refusal(capsys, "train", file, "--workdir", tmp_path / "run")
    assert "there is no such file" in refusal(capsys, "train", tmp_path / "no.py", "--workdir", tmp_path / "run")
    file.write_text("import sys\nsys.exit()")
    assert "line 2: fails with SystemExit\n" in refusal(capsys, "train", file, "--workdir", tmp_path / "run")


def test_data_that_is_refused_or_spoiled(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "data", "prepare", "cars", "--from", folder / "photos", "--to", tmp_path / "cars")
    assert "cars_train" in error and not list(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    error = refusal(capsys, "data", "prepare", "folder", "--from", folder / "photos", "--to", tmp_path / "full")
    assert "exists and is not an empty folder" in error and (tmp_path / "full" / "mine.txt").read_text() == "keep"

    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(photos / name)
    (photos / "c.png").write_bytes(b"x")
    assert main(["data", "check", str(photos)]) == 1
    captured = capsys.readouterr()
    assert "unreadable: train/c.png" in captured.out and "duplicates: train/a.png, train/b.png" in captured.out
    (photos / "c.png").unlink()
    (photos / "b.png").unlink()
    assert main(["data", "check", str(photos)]) == 0
    assert "all fine" in capsys.readouterr().out


def test_the_command_knows_every_data_set() -> None:
    from data_pipelines.prepare import DATA_SETS
    from restyle_jax.commands import data

    assert (*DATA_SETS, "avatars") == data.DATA_SETS


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "train",
            [
                "--steps-per-image INTEGER",
                "--no-flip",
                "--distributed",
                "restyle train EXPERIMENT",
                "steps_per_image: N",
            ],
        ),
        ("eval", ["--lpips-trunk-weights", "metrics.json"]),
        ("data prepare", ["lsun_bedroom", "list_eval_partition.txt"]),
    ],
)
def test_help_starts_without_jax(command: str, words: list[str]) -> None:
    script = (
        "import sys; from restyle_jax.cli import main\n"
        f"try: main({command.split()!r} + ['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and all(word in done.stdout for word in words), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lernig-rate", "1e-3"], "there is no option --lernig-rate; did you mean --learning-rate?"),
        (["--steps", "3"], "did you mean --max-steps?"),
        (["--workdri=x"], "there is no option --workdri; did you mean --workdir?"),
        (["--batch-siz", "4"], "did you mean --batch-size?"),
        (["--batch-size", "1.5"], "argument --batch-size: found '1.5', expected a whole number"),
        (["--ema", "fast"], "argument --ema: found 'fast', expected a number or none"),
        (["--trunk", "resnet"], "argument --trunk: found 'resnet', expected one of irse50"),
        (["--resize-factors", "1,x"], "found '1,x', expected whole numbers with commas between them"),
        (["--flip", "yes"], "unrecognized arguments: yes"),
        (["--flip=yes"], "argument --flip/--no-flip: takes no value, found 'yes'"),
        (["--resume", "maybe"], "invalid choice: 'maybe'"),
    ],
)
def test_options_that_do_not_exist(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "experiment.py", "--workdir", "run", *options])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
