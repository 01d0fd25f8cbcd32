"""A run that is stopped, and killed in the middle of a save, continues to exactly what it would have been."""

import signal
from pathlib import Path

from tests.train import runs

# 4 million floats: writing them takes long enough to be killed in the middle.
CONFIG = {"max_steps": 10, "log_every": 1, "image_every": 5, "eval_every": 2, "save_every": 3, "ballast": 4_000_000}


def test_stop_and_kill_and_continue(tmp_path: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    status, out, error = runs.finish(runs.start({"config": CONFIG, "workdir": whole}))
    assert status == 0, error
    assert "continuing" not in out

    slow = {"config": CONFIG, "workdir": parts, "seconds_per_batch": 0.3}
    process = runs.start(slow)
    runs.wait_until(lambda: runs.lines(parts, "train"), process)
    process.send_signal(signal.SIGTERM)
    status, out, error = runs.finish(process)
    assert status == 143 and "Traceback" not in error, error
    stopped = max(int(path.name) for path in (parts / "checkpoints").iterdir())
    assert 1 <= stopped < 6 and f"stopped by SIGTERM after step {stopped}" in out
    assert runs.record(parts, stopped)["batches"] == stopped

    process = runs.start(slow)
    unfinished = parts / "checkpoints"
    runs.wait_until(lambda: list(unfinished.glob("[6-9].*tmp*/state*/**/d/*")), process, pause=0.001)
    process.kill()
    status, out, _ = runs.finish(process)
    assert status == -signal.SIGKILL and f"continuing after step {stopped}" in out
    assert list(unfinished.glob("*tmp*"))  # it was indeed killed in the middle of a save

    status, out, error = runs.finish(runs.start({"config": CONFIG, "workdir": parts}))
    assert status == 0 and "continuing after step" in out, error
    assert not list(unfinished.glob("*tmp*"))
    runs.assert_same(runs.arrays(whole, 10), runs.arrays(parts, 10))
    assert runs.record(whole, 10) == runs.record(parts, 10)
    assert runs.lines(whole) == runs.lines(parts)
    assert len(runs.lines(whole, "train")) == 10 and len(runs.lines(whole, "test")) == 5
    for which in ("best", "latest"):
        runs.assert_same(runs.model(whole, which), runs.model(parts, which))
