"""Runs of the toy task in processes of their own, and what they leave behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

ROOT = Path(__file__).parents[2]
TIMEOUT = 150  # seconds, for processes that normally take five


def start(*runs: dict[str, Any], devices: int = 1, distributed: str = "", **environment: str):
    """A process that makes these runs one after the other."""
    settings = {"devices": devices, "distributed": distributed, "runs": runs}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.toy", json.dumps(settings, default=str)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status and output."""
    try:
        out, error = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    return process.returncode, out, error


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str], pause: float = 0.02) -> None:
    """Poll; fails if the process ends before."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(pause)


def lines(workdir: Path, kind: str = "") -> list[dict[str, Any]]:
    """metrics.jsonl without timings; kind: only lines of this kind."""
    file = workdir / "metrics.jsonl"
    parsed = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [{k: v for k, v in line.items() if k != "timing"} for line in parsed if kind in ("", line["kind"])]


def record(workdir: Path, step: int) -> dict[str, Any]:
    return json.loads((workdir / "checkpoints" / str(step) / "record" / "metadata").read_text())


def arrays(workdir: Path, step: int) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint, read by Orbax alone."""
    folder = workdir.resolve() / "checkpoints" / str(step) / "state"
    with ocp.PyTreeCheckpointer() as reader:
        saved = reader.metadata(folder).item_metadata.tree
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
        return _flat(reader.restore(folder, restore_args=kinds))


def model(workdir: Path, which: str) -> dict[str, np.ndarray]:
    """What was published."""
    with np.load(workdir / which / "model.npz") as file:
        return dict(file)


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float = 0.0) -> None:
    assert a.keys() == b.keys() and a
    for name in a:
        bound = tolerance if np.issubdtype(a[name].dtype, np.inexact) else 0
        np.testing.assert_allclose(a[name], b[name], rtol=bound, atol=bound, err_msg=name)


def _flat(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, (list, tuple)):
        parts = enumerate(tree)
    else:
        return {} if tree is None else {prefix: np.asarray(tree)}
    return {name: leaf for key, part in parts for name, leaf in _flat(part, f"{prefix}/{key}").items()}
