"""Speed and memory of inversion: generator, encoder, and the N-step loop.

    python -m experiments.benchmarks.inference --json inference.json
    python -m experiments.benchmarks.inference --reference ~/restyle-encoder       # the official PyTorch code beside it

Prints a table: seconds per image, analytic GFLOP, achieved fraction of the fastest large float32 (or --dtype) matrix
product of any library here in the same run, compile time, peak memory; with --reference also the time of the official
model with the same weights, inputs and threads, in alternation, in two forms (see `official.py`), and the largest
difference between the pictures. The weights are random: speed does not depend on them. Run it with nothing else running.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.benchmarks.flops import encoder_flops, synthesis_flops
from experiments.benchmarks.measure import (
    best_of,
    markdown,
    matrix_rates,
    peak_memory,
    rates_line,
    reset_peak_memory,
    slowest,
    slowest_lines,
    timed,
    torch_device,
    write_json,
)
from experiments.make_random_checkpoint import random_model
from restyle_jax.nets.stylegan2 import Generator

try:
    from experiments.benchmarks.official import FORMS, Official
except ModuleNotFoundError:  # torch is only needed for the comparison
    FORMS, Official = (), None


@dataclasses.dataclass
class Row:
    """One line of the table; times are medians in seconds per image."""

    name: str
    batch: int
    seconds: float
    gflop: float
    fraction: float
    compile_seconds: float
    peak_bytes: int
    reference_seconds: dict[str, float]
    difference: float | None
    slowest: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each function, taken in alternation")
    parser.add_argument(
        "--slowest", type=int, default=0, metavar="N", help="also the N slowest operations of each part, on a GPU"
    )
    parser.add_argument("--reference", type=Path, help="a checkout of yuval-alaluf/restyle-encoder to time beside ours")
    parser.add_argument("--only", nargs="+", default=["generator", "encoder", "loop"], help="parts to time")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    if arguments.reference and Official is None:
        parser.error("--reference needs PyTorch: pip install 'restyle_jax[torch]'")

    rates = matrix_rates(arguments.dtype)
    rows = []
    for resolution in arguments.resolutions:
        model, official = random_networks(resolution, arguments.dtype, arguments.reference)
        for batch in arguments.batch_sizes:
            for name, flops, ours, theirs in cases(model, official, batch, arguments):
                rows.append(measure(f"{name} {resolution}", batch, flops, ours, theirs, arguments))
                print(f"  {rows[-1].name}, batch {batch}: {rows[-1].seconds:.3f} s per image", flush=True)
        rates = best_of(rates, matrix_rates(arguments.dtype))
    best = max(rates.values())
    for row in rows:
        row.fraction = row.gflop * 1e9 / row.seconds / best

    print(table(rows, rates))
    if arguments.slowest:
        print(slowest_lines({f"{row.name}, batch {row.batch}": row.slowest for row in rows if row.slowest}))
    if arguments.json:
        write_json(arguments.json, arguments, rates, rows)


def cases(model: rs.Model, official, batch: int, arguments: argparse.Namespace):
    """(name, FLOP per image, our function, {form: the official function}) of each part; functions return pictures or codes."""
    generator, encoder, geometry = model.generator, model.encoder, model.geometry
    assert isinstance(generator, Generator) and encoder is not None
    random = np.random.default_rng(0)
    w = np.asarray(random.standard_normal((batch, generator.config.num_styles, 512)) * 0.5, np.float32)
    x = np.asarray(random.uniform(-1, 1, (batch, geometry.height, geometry.width, 6)), np.float32)
    synthesis_cost = synthesis_flops(generator.config)
    encoder_cost = encoder_flops(encoder.config, geometry.height, geometry.width)

    def with_forms(function: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
        def run(form: str) -> Any:
            official.use_form(form)
            return function()

        return {form: (lambda form=form: run(form)) for form in FORMS} if official else {}

    if "generator" in arguments.only:
        yield (
            "generator",
            synthesis_cost,
            compiled(generator, call_synthesis, w),
            with_forms(lambda: official.synthesis(w)),
        )
    if "encoder" in arguments.only:
        theirs = {"official": lambda: official.encode(x)} if official else {}
        yield "encoder", encoder_cost, compiled(encoder, lambda net, x: net(x), x), theirs
    if "loop" in arguments.only:
        steps = arguments.steps
        images = x[..., :3]
        model.average.y.block_until_ready()
        yield (
            f"loop N={steps}",
            steps * (synthesis_cost + encoder_cost),
            lambda: rs.invert(model, images, steps=steps).images,
            with_forms(lambda: official.invert(images, steps)),
        )


def call_synthesis(generator: Generator, w: jax.Array) -> jax.Array:
    return generator.synthesis(w)


def compiled(module: nnx.Module, function: Callable, argument: np.ndarray) -> Callable[[], jax.Array]:
    """A function without arguments that runs `function(module, argument)` under jit, weights already on the device."""
    graph, state = nnx.split(module)
    jitted = jax.jit(lambda state, x: function(nnx.merge(graph, state, copy=True), x))
    x = jax.device_put(argument)
    return lambda: jitted(state, x)


def measure(
    name: str, batch: int, flops: int, ours: Callable, theirs: dict[str, Callable], arguments: argparse.Namespace
) -> Row:
    """Time `ours` and the official forms in alternation, after one untimed call of each."""
    reset_peak_memory()
    start = time.perf_counter()
    picture = np.asarray(jax.block_until_ready(ours()))
    first = time.perf_counter() - start
    seconds = [timed(ours)]
    peak = peak_memory()
    difference = max((relative_difference(picture, run().cpu().numpy()) for run in theirs.values()), default=None)
    reference: dict[str, list[float]] = {form: [] for form in theirs}
    for _ in range(arguments.repeats):
        seconds.append(timed(ours))
        for form, run in theirs.items():
            reference[form].append(timed(run))
    median = statistics.median(seconds)
    return Row(
        name,
        batch,
        median / batch,
        flops / 1e9,
        0.0,
        max(first - median, 0.0),
        peak,
        {form: statistics.median(values) / batch for form, values in reference.items()},
        difference,
        slowest(ours, arguments.slowest) if arguments.slowest else {},
    )


def relative_difference(found: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference over the standard deviation; of a loop only its first step, since later ones amplify rounding."""
    if found.ndim == 5:
        found, reference = found[0], reference[0]
    return float(np.abs(found - reference).max() / reference.std())


def random_networks(resolution: int, dtype: str, repository: Path | None):
    """Our model, and the official one with the same weights if there is a checkout, both from one official file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        rs.export_torch(random_model("BackboneEncoder", resolution), path)
        model = rs.load(path, dtype=jnp.dtype(dtype))
        if repository is None or Official is None:
            return model, None
        return model, Official(repository, path, torch_device())


def table(rows: list[Row], rates: dict[str, float]) -> str:
    """The numbers as a Markdown table."""
    used = [form for form in FORMS if any(form in row.reference_seconds for row in rows)]
    names = ["part", "batch", "s/image", "GFLOP", "GFLOP/s", "fraction", "compile s", "peak MB"]
    names += [f"{form} s" for form in used] + [f"x {form}" for form in used] + ["difference"] * bool(used)
    lines = []
    for row in rows:
        cells = [row.name, str(row.batch), f"{row.seconds:.3f}", f"{row.gflop:.1f}", f"{row.gflop / row.seconds:.0f}"]
        cells += [f"{row.fraction:.2f}", f"{row.compile_seconds:.1f}", f"{row.peak_bytes / 1e6:.0f}"]
        times = [row.reference_seconds.get(form) for form in used]
        cells += ["" if t is None else f"{t:.3f}" for t in times]
        cells += ["" if t is None else f"{t / row.seconds:.2f}" for t in times]
        cells += ["" if row.difference is None else f"{row.difference:.1e}"] * bool(used)
        lines.append(cells)
    return rates_line(rates) + "\n\n" + markdown(names, lines)


if __name__ == "__main__":
    main()
