"""One program on one device, four devices, and two processes with two devices each: real processes on this machine."""

import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import portpicker
import pytest

from restyle_jax.train.distributed import connect
from restyle_jax.train.errors import TrainingError
from tests.train import runs, toy

CONFIG: dict[str, Any] = {
    "max_steps": 12,
    "log_every": 1,
    "image_every": 5,
    "eval_every": 5,
    "save_every": 5,
    "keep": 9,
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 steps on one device."""
    folder = tmp_path_factory.mktemp("one")
    toy.train(toy.Toy(**CONFIG), folder)
    return folder


def assert_close(a: Path, b: Path, step: int) -> None:
    """Losses and state to 1e-5."""
    expected = [line for line in runs.lines(a) if line["step"] <= step]
    found = [line for line in runs.lines(b) if line["step"] <= step]
    assert [(line["step"], line["kind"]) for line in expected] == [(line["step"], line["kind"]) for line in found]
    for line, other in zip(expected, found, strict=True):
        values = {name: value for name, value in line.items() if name != "kind"}
        assert values == pytest.approx({name: other[name] for name in values}, rel=1e-5, abs=1e-5)
    runs.assert_same(runs.arrays(a, step), runs.arrays(b, step), 1e-5)


def test_four_devices(tmp_path: Path, one: Path):
    good = {"config": CONFIG | {"max_steps": 5}, "workdir": tmp_path / "four"}
    bad = {"config": CONFIG | {"batch_size": 6}, "workdir": tmp_path / "bad"}
    status, out, error = runs.finish(runs.start(good, bad, devices=4))
    assert_close(one, tmp_path / "four", 5)
    assert "4 cpu devices in 1 process: batch of 8, 2 on each device" in out
    exchanged = re.search(r"sums over all devices: ([\d.]+) kB", out)
    # The 240 gradients once for each of the three refinement steps, as they are summed in the loop, and a few means.
    assert exchanged and 2.88 <= float(exchanged[1]) < 3.4, out
    assert status == 1
    assert "batch_size = 6 cannot be divided among 4 devices" in error and "nearest possible sizes: 4 or 8" in error
    assert not (tmp_path / "bad").exists()


def pair(workdir: Path, *, slurm: bool = False):
    """Two processes with two devices each; each can be asked to stop while it waits for data."""
    run = {"config": CONFIG, "workdir": workdir, "seconds_per_batch": 0.3}
    port = portpicker.pick_unused_port()
    found = [f"localhost:{port},2,{i}" for i in range(2)]
    environments: list[dict[str, str]] = [{}, {}]
    if slurm:
        found = ["auto"] * 2
        job = str(random.randrange(10**6))  # it determines the port
        common = {
            "SLURM_JOB_ID": job,
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_STEP_NUM_NODES": "1",
        }
        environments = [common | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
    return [
        runs.start(run, devices=2, distributed=where, **environment)
        for where, environment in zip(found, environments, strict=True)
    ]


def test_two_processes(tmp_path: Path, one: Path):
    folder = tmp_path / "two"
    first, second = pair(folder)
    runs.wait_until(lambda: len(runs.lines(folder, "train")) >= 6, first)
    second.send_signal(signal.SIGTERM)  # one is asked, both stop after the same step
    (status, out, error), (other_status, other_out, other_error) = runs.finish(first), runs.finish(second)
    assert (status, other_status) == (143, 143), error + other_error
    assert "Traceback" not in error + other_error
    stopped = max(int(path.name) for path in (folder / "checkpoints").iterdir())
    assert 6 <= stopped < 12 and f"stopped by SIGTERM after step {stopped}" in out
    assert "4 cpu devices in 2 processes" in out and other_out.replace("[Gloo]", "").count("step") == 0
    assert_close(one, folder, 5)

    # They continue, find each other through SLURM, and one dies.
    first, second = pair(folder, slurm=True)
    runs.wait_until(lambda: runs.lines(folder, "train")[-1]["step"] > stopped, first)
    second.kill()
    status, out, error = runs.finish(first)
    runs.finish(second)
    assert status == 1 and "another process of the run was lost" in error, error
    assert "start the same command on all hosts again" in error
    assert f"continuing after step {stopped} of 12" in out

    # What they have left continues on one device.
    said: list[str] = []
    assert toy.train(toy.Toy(**CONFIG), folder, say=said.append).step == 12
    assert any("continuing after step" in line for line in said)
    assert_close(one, folder, 12)


def test_processes_that_do_not_agree(tmp_path: Path):
    """Each says how the others differ from the first one, before anything is made."""
    folder, where = tmp_path / "two", f"localhost:{portpicker.pick_unused_port()},2,"
    runs_of_each: list[dict[str, Any]] = [
        {"config": CONFIG | {"workers": 1}},
        {
            "config": CONFIG | {"workers": 2, "batch_size": 6, "learning_rate": 0.1, "max_steps": 6},
            "fingerprint": "25 pictures",
            "resume": "never",
        },
    ]
    both = [runs.start({"workdir": folder, **run}, distributed=f"{where}{i}") for i, run in enumerate(runs_of_each)]
    for status, out, error in map(runs.finish, both):
        assert status == 1 and "Traceback" not in error
        assert (
            "error: the processes of this run do not agree:\n"
            "  batch_size: 8 in process 0, 6 in process 1\n"
            "  learning_rate: 0.02 in process 0, 0.1 in process 1\n"
            "  max_steps: 12 in process 0, 6 in process 1\n"
            '  resume: "auto" in process 0, "never" in process 1\n'
            "  training data: 24 pictures in process 0, 25 pictures in process 1\n"
            "Start the same command on all hosts"
        ) in error, error
        assert "step" not in out
    assert not folder.exists()


def test_a_folder_that_is_not_shared(tmp_path: Path):
    """As with local disks: the second host has nothing there, or an earlier run."""
    where = f"localhost:{portpicker.pick_unused_port()},2,"
    folders = [tmp_path / f"host{i}" / "run" for i in range(2)]
    both = [runs.start({"config": CONFIG, "workdir": folders[i]}, distributed=f"{where}{i}") for i in range(2)]
    for (status, out, error), folder in zip(map(runs.finish, both), folders, strict=True):
        assert status == 1 and "Traceback" not in error
        assert f"error: {folder}: process 0 holds this folder, but process 1 found another one, or none" in error
        assert "step" not in out
    assert not folders[1].exists() and [path.name for path in folders[0].iterdir()] == [".lock"]


def test_a_request_to_stop_before_training(tmp_path: Path):
    """It ends the process, as it does without the others."""
    run = {"config": CONFIG | {"max_steps": 1}, "workdir": tmp_path / "run", "seconds_per_batch": 5}
    process = runs.start(run, distributed=f"localhost:{portpicker.pick_unused_port()},1,0")
    runs.wait_until((tmp_path / "run" / ".lock").exists, process)
    process.send_signal(signal.SIGTERM)
    assert runs.finish(process)[0] == -signal.SIGTERM


@pytest.mark.parametrize(
    "where",
    ["", "host", "host:1,2", "host:1,2,2", "host:a,2,0", "host:0,2,0", "host:65536,2,0", f"host:{'1' * 5000},2,0"],
)
def test_what_distributed_may_be(where: str):
    with pytest.raises(TrainingError, match=r"expected auto, or host:port,processes,process"):
        connect(where)


def test_processes_that_do_not_find_each_other():
    """The JAX runtime aborts the one that waits in vain, here after one second instead of five minutes."""
    code = (
        "import functools, sys, jax\n"
        "jax.distributed.initialize = functools.partial(jax.distributed.initialize, initialization_timeout=1)\n"
        "from restyle_jax.train.distributed import connect\n"
        "connect(sys.argv[1])"
    )
    where = f"localhost:{portpicker.pick_unused_port()},2,1"
    done = subprocess.run(
        [sys.executable, "-c", code, where], cwd=runs.ROOT, capture_output=True, text=True, timeout=runs.TIMEOUT
    )
    assert done.returncode == 1
    assert re.search(r"restyle: error: .* did not find each other .* same host:port.* used once\.\n$", done.stderr), (
        done.stderr
    )
