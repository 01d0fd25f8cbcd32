"""Speed and memory of training StyleGAN2: a step, its four updates one by one, and the pictures that it is fed.

    python -m experiments.benchmarks.generator_training --json generator_training.json
    python -m experiments.benchmarks.generator_training --reference ~/stylegan2-ada-pytorch     # the public trainer beside it

Prints a table. An update is that of the generator or the discriminator by its loss ("main") or by its regulariser ("path", "R1"),
compiled on its own. A step is the mean over as many steps as bring every regulariser round (16): in the form that training
uses, one program in which the regularisers are traced conditions, and as one program for each combination of regularisers,
without conditions. Data are the pictures of the loader alone. Columns: how often it is done, in steps; seconds of one, median
of runs in alternation; s/kimg, its seconds in a thousand training pictures; the achieved fraction of the fastest large matrix
product of any library here in the same run; compile time; the memory that the compiler plans, with weights, state and
batch; the peak (of a device, or on CPU of the process, with all that was compiled before). With --reference (PyTorch,
float32) also the same of NVlabs/stylegan2-ada-pytorch with networks of the same sizes and weights, and the largest relative
difference between the scores of the same pictures. The weights are new: speed does not depend on them.

Hardware: one device, with nothing else running. On 2 CPU cores it takes about 15 minutes at 64 px, most of them to compile; with
`--only phases` 5. On a GPU with --reference, set XLA_PYTHON_CLIENT_PREALLOCATE=false; of several GPUs, choose one by
CUDA_VISIBLE_DEVICES.

Expected result: experiments/RESULTS.md.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import numpy as np

from data_pipelines.avatars import KeptAvatars
from data_pipelines.preparation import Preparation
from data_pipelines.source import open_split
from experiments.benchmarks.generator_programs import PROGRAMS, STEP, Ours, updates
from experiments.benchmarks.input import speed
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
from restyle_jax.jobs.experiment import read_experiment
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.stylegan_config import Augmentation, StyleGANTraining

try:
    from experiments.benchmarks.official_generator import OfficialGenerator, import_official
except ModuleNotFoundError:  # torch is only needed for the comparison
    OfficialGenerator = import_official = None

ONLY = ("phases", "step", "programs", "data")
DATA = "data"
AUGMENT_P = 0.5  # where the experiment adapts it: the reference does less for a smaller one, ours does not
DRAWN, PIXELS = 2048, 2**24  # the pictures that are drawn for the loader, and their pixels, at most


@dataclasses.dataclass
class Row:
    """One line of the table. seconds: of one, for a batch, the median. per_kimg: seconds in a thousand training pictures."""

    name: str
    every: int
    seconds: float
    per_kimg: float
    gflop: float = 0.0
    fraction: float = 0.0
    compile_seconds: float | None = None
    planned_bytes: int | None = None
    peak_bytes: int | None = None
    reference_seconds: float | None = None
    slowest: dict[str, float] = dataclasses.field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", type=Path, default=Path("experiments/stylegan2_avatars64.py"))
    parser.add_argument("--resolution", type=int, help="instead of the experiment's, as the following")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"))
    parser.add_argument("--augment", choices=get_args(Augmentation))
    parser.add_argument("--only", nargs="+", choices=ONLY, default=ONLY, help="parts to time")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each part, taken in alternation")
    parser.add_argument(
        "--slowest", type=int, default=0, metavar="N", help="also the N slowest operations of each part, on a GPU"
    )
    parser.add_argument("--reference", type=Path, help="a checkout of NVlabs/stylegan2-ada-pytorch to time beside ours")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    names = ("resolution", "batch_size", "dtype", "augment")
    changes = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    try:
        config = read_experiment(arguments.experiment, changes)
    except TrainingError as error:
        parser.error(str(error))
    if not isinstance(config, StyleGANTraining):
        parser.error(f"{arguments.experiment}: found {type(config).__name__}, expected a StyleGANTraining")
    if arguments.repeats < 1:
        parser.error(f"--repeats: found {arguments.repeats}, expected at least 1")
    reference = None
    if arguments.reference:
        if import_official is None:
            parser.error("--reference needs PyTorch: pip install 'restyle_jax[torch]'")
        if config.dtype != "float32":
            parser.error(f"--reference: found dtype {config.dtype}, expected float32")
        try:
            reference = import_official(arguments.reference)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            parser.error(f"--reference: {error}")

    rates = matrix_rates(config.dtype)
    rows, difference = measure(config, arguments.only, arguments.repeats, reference, arguments.slowest)
    rates = best_of(rates, matrix_rates(config.dtype))
    for row in rows:
        row.fraction = row.gflop * 1e9 / row.seconds / max(rates.values())
    print(table(rows, rates))
    if arguments.slowest:
        print(slowest_lines({row.name: row.slowest for row in rows if row.slowest}))
    seconds = {row.name: row.seconds for row in rows}
    if STEP in seconds and PROGRAMS in seconds:
        print(f"Separate programs take {seconds[PROGRAMS] / seconds[STEP]:.3f} times as long as one with conditions.")
    if difference is not None:
        print(f"Scores of the same pictures differ from the reference's by at most {difference:.1e}.")
    if arguments.json:
        write_json(arguments.json, arguments, rates, rows, config=str(config), score_difference=difference)


def measure(
    config: StyleGANTraining, only: Collection[str], repeats: int, reference: Any = None, operations: int = 0
) -> tuple[list[Row], float | None]:
    """The rows of the table without fractions, and the largest relative difference between scores of ours and the reference.

    only: of ONLY. reference: what `official_generator.import_official` returns. operations: how many of the slowest are named.
    """
    config = dataclasses.replace(config, checkpoint=None, labels=None, features=None)
    if config.augment != "none" and config.augment_p is None:
        config = dataclasses.replace(config, augment_p=AUGMENT_P)
    batch, side = config.batch_size, config.resolution
    random = np.random.default_rng(0)
    pictures = random.uniform(-1, 1, (batch, side, side, 3)).astype(np.float32)
    ours, official, difference = Ours(config, pictures), None, None
    if reference and OfficialGenerator:  # with our weights, before the first step
        networks = ours.trainer.networks(ours.state["params"], ours.frozen)
        official = OfficialGenerator(reference, config, networks, ours.intervals, pictures, torch_device())
        z = random.standard_normal((batch, config.w_dim)).astype(np.float32)
        expected = official.scores(z)
        difference = float(np.abs(ours.scores(z) - expected).max() / np.abs(expected).max())
    gflop = ours.gflops()
    rows: dict[str, Row] = {}

    def add(name: str, every: int, cost: float, compiled: tuple[float, int], peak: int | None = None) -> None:
        rows[name] = Row(name, every, 0.0, 0.0, cost, 0.0, *compiled, peak)
        print(f"  compiled {name}: {compiled[0]:.0f} s", flush=True)

    mean = sum(gflop[name] / every for name, every in ours.intervals.items())
    if "step" in only:  # before the other programs take memory
        compiled = ours.compile_step()
        reset_peak_memory()
        jax.block_until_ready(ours.run(STEP))
        add(STEP, 1, mean, compiled, peak_memory())
    if "programs" in only:
        add(PROGRAMS, 1, mean, ours.compile_programs())
    if "phases" in only:
        functions = updates(ours.trainer)
        for name, every in ours.intervals.items():
            add(name, every, gflop[name], ours.compile(name, functions[name]))
    runs: dict[str, list[float]] = {name: [] for name in rows}
    theirs: dict[str, list[float]] = {name: [] for name in rows}
    for repeat in range(repeats + 1):
        for name in rows:
            seconds = timed(lambda name=name: ours.run(name))
            other = None
            if official and name != PROGRAMS:
                other = timed(lambda name=name: official.steps(ours.cycle) if name == STEP else official.update(name))
            if repeat:  # the first run of each is a warm-up
                runs[name].append(seconds)
                theirs[name] += [] if other is None else [other]
    for name, row in rows.items():
        steps = ours.cycle if name in (STEP, PROGRAMS) else 1
        row.seconds = statistics.median(runs[name]) / steps
        row.reference_seconds = statistics.median(theirs[name]) / steps if theirs[name] else None
        row.slowest = slowest(lambda name=name: ours.run(name), operations) if operations else {}
    found = [*rows.values()]
    if "data" in only:
        found.append(Row(DATA, 1, batch / input_rate(config, repeats), 0.0))
    for row in found:
        row.per_kimg = row.seconds / row.every * 1000 / batch
    return found, difference


def input_rate(config: StyleGANTraining, repeats: int) -> float:
    """Images per second of the loader alone, the median: of the experiment's folder, or of avatars that were drawn before."""
    count = max(min(DRAWN, PIXELS // config.resolution**2), config.batch_size)
    source = open_split(config.data, "train") if config.data else KeptAvatars("train", count, config.resolution)
    preparation = Preparation(height=config.resolution, width=config.resolution, flip=config.flip)
    batches = max(count // config.batch_size // 2, 2)
    runs = [speed(source, config.workers, config.batch_size, batches, preparation)[0] for _ in range(repeats)]
    return statistics.median(runs)


def table(rows: list[Row], rates: dict[str, float]) -> str:
    """The numbers as a Markdown table; `x` says how many times as long as ours the reference takes."""
    names = ["part", "every", "s", "s/kimg", "images/s", "GFLOP", "fraction", "compile s", "planned MB", "peak MB"]
    compared = any(row.reference_seconds for row in rows)
    lines = []
    for row in rows:
        cells = [row.name, str(row.every), f"{row.seconds:.4g}", f"{row.per_kimg:.4g}"]
        cells += [f"{1000 / row.per_kimg:.4g}" if row.name in (STEP, PROGRAMS, DATA) else ""]
        cells += [f"{row.gflop:.4g}" if row.gflop else "", f"{row.fraction:.2f}" if row.gflop else ""]
        cells += ["" if row.compile_seconds is None else f"{row.compile_seconds:.0f}"]
        cells += ["" if size is None else f"{size / 1e6:.0f}" for size in (row.planned_bytes, row.peak_bytes)]
        if compared:
            theirs = row.reference_seconds
            cells += ["", ""] if theirs is None else [f"{theirs:.4g}", f"{theirs / row.seconds:.2f}"]
        lines.append(cells)
    return rates_line(rates) + "\n\n" + markdown(names + ["reference s", "x"] * compared, lines) + "\n"


if __name__ == "__main__":
    main()
