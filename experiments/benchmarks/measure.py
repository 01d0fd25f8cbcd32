"""What the benchmarks share: the yardstick, clocks, peak memory, the record."""

import argparse
import dataclasses
import gzip
import importlib.util
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np


def timed(function: Callable) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def slowest(function: Callable, count: int) -> dict[str, float]:
    """The `count` operations of compiled programs that take longest in one call of `function`, and the seconds of each, all its
    runs together: "operation" or "operation: kernel of the GPU". On CPU those that run on other threads, such as convolutions, are
    missing."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(function())
        (file,) = Path(folder).rglob("*.trace.json.gz")
        with gzip.open(file) as stream:
            events = json.load(stream)["traceEvents"]
    seconds: Counter[str] = Counter()
    for event in events:
        operation = event.get("args", {}).get("hlo_op")
        if operation and event["ph"] == "X":
            name = operation if operation == event["name"] else f"{operation}: {event['name']}"
            seconds[name] += event["dur"] / 1e6
    return dict(seconds.most_common(count))


def slowest_lines(found: Mapping[str, Mapping[str, float]]) -> str:
    """For people: of each part, the operations that `slowest` found."""
    lines = []
    for part, operations in found.items():
        lines += [f"Slowest in {part}:", *(f"  {seconds * 1e3:.3g} ms  {name}" for name, seconds in operations.items())]
    return "\n".join(lines)


def matrix_rates(dtype: str) -> dict[str, float]:
    """FLOP/s of one large matrix product in each library at hand: the yardstick, best of several."""
    size = 4096 if jax.default_backend() == "cpu" else 16384
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    candidates: dict[str, Callable] = {"jax": lambda: product(a, a)}
    if jax.default_backend() == "cpu":
        dense = np.asarray(a, np.float32)
        candidates["numpy"] = lambda: dense @ dense
        if importlib.util.find_spec("torch"):
            import torch

            tensor = torch.from_numpy(dense.copy())
            candidates["torch"] = lambda: tensor @ tensor
    return {name: 2 * size**3 / min(timed(f) for f in [function] * 5) for name, function in candidates.items()}


def best_of(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """The faster of two measurements of each library."""
    return {name: max(rate, after[name]) for name, rate in before.items()}


def rates_line(rates: dict[str, float]) -> str:
    """For people."""
    return "Matrix product: " + ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items())


def torch_device() -> str:
    """The device on which the official code has the same conditions as ours."""
    return "cpu" if jax.default_backend() == "cpu" else "cuda"


def reset_peak_memory() -> None:
    """Forget the process's peak resident size, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        print(f"peak memory is that of the whole run: {error}")


def peak_memory() -> int:
    """Bytes: the accelerator's peak, or the process's peak resident size since the last reset, weights included."""
    statistics = jax.devices()[0].memory_stats()
    if statistics:
        return statistics["peak_bytes_in_use"]
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def markdown(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---"] * len(names), *rows))


def write_json(
    path: Path, arguments: argparse.Namespace, rates: dict[str, float], rows: list[Any], **more: Any
) -> None:
    """The numbers with the machine, the versions and the settings. rows: dataclasses."""
    record = {
        "date": date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "settings": {key: str(value) for key, value in vars(arguments).items()},
        "matrix_flop_per_second": rates,
        "rows": [dataclasses.asdict(row) for row in rows],
        **more,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
