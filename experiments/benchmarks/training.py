"""Speed and memory of training: one iteration of ReStyle-pSp with L2, LPIPS and identity, and its parts.

    python -m experiments.benchmarks.training --memory --scaling --json training.json
    python -m experiments.benchmarks.training --reference ~/restyle-encoder        # the official PyTorch coach beside it

Prints a table: seconds of an iteration (N refinement steps and one update), of its forward pass with the losses, of the
backward pass (the gradient without the forward pass), of the update (Ranger); images per second; the achieved fraction of the
fastest large matrix product of any library here in the same run; compile time, peak and planned memory; the rate of the input
pipeline alone. With --reference the same of the official coach with the same weights and threads, in alternation, in
two forms (see `official.py`), and the largest relative difference between the losses of the first iteration. --memory adds
the planned memory for N = 1, 5, 10; --scaling what devices exchange in a step, and the efficiency on pods that follows.
The weights are random: speed does not depend on them. Run it with nothing else running. On 2 cores with --reference it takes
about an hour; --repeats 0 only plans.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import numpy as np
from flax import nnx

from data_pipelines.source import open_split
from experiments.benchmarks import planned
from experiments.benchmarks.flops import training_flops
from experiments.benchmarks.input import make_pictures, speed
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
from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.perceptual import LPIPS
from restyle_jax.nets.stylegan2 import GeneratorConfig
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder import EncoderTrainer
from restyle_jax.train.encoder_task import assemble
from restyle_jax.train.objective import Objective

try:
    from experiments.benchmarks.official import FORMS
    from experiments.benchmarks.official_training import OfficialTraining
except ModuleNotFoundError:  # torch is only needed for the comparison
    FORMS, OfficialTraining = (), None

PARTS = ("iteration", "forward", "backward", "update")
INPUT_THREADS = 2  # the default of `workers`


@dataclasses.dataclass
class Row:
    """One line of the table: medians, in seconds of a whole batch. Those of the official code have no sizes."""

    name: str
    batch: int
    gflop: float
    iteration: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    update: float = 0.0
    fraction: float = 0.0
    compile_seconds: float | None = None
    peak_bytes: int | None = None
    temporary_bytes: int | None = None
    slowest: dict[str, float] = dataclasses.field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="refinement steps N")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--resolution", type=int, default=256, help="of the generator")
    parser.add_argument(
        "--size",
        type=int,
        default=256,
        help="side of the encoder's pictures; others than 256 are without the identity loss",
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each part, taken in alternation")
    parser.add_argument(
        "--slowest", type=int, default=0, metavar="N", help="also the N slowest operations of an iteration, on a GPU"
    )
    parser.add_argument("--reference", type=Path, help="a checkout of yuval-alaluf/restyle-encoder to time beside ours")
    parser.add_argument("--memory", action="store_true", help="planned memory for N = 1, 5, 10 and every batch size")
    parser.add_argument("--scaling", action="store_true", help="bytes exchanged by devices, and predicted efficiency")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    if arguments.reference and OfficialTraining is None:
        parser.error("--reference needs PyTorch: pip install 'restyle_jax[torch]'")

    config = planned.training_config(arguments.size, steps_per_image=arguments.steps, dtype=arguments.dtype)
    sizes = GeneratorConfig.rosinality(arguments.resolution)
    rates, rows, more = {}, [], {}
    if arguments.repeats:
        rates = matrix_rates(arguments.dtype)
        rows, difference = measure(config, arguments)
        rates = best_of(rates, matrix_rates(arguments.dtype))
        for row in rows:
            row.fraction = row.gflop * 1e9 / row.iteration / max(rates.values())
        more = {"loss_difference": difference, "input_images_per_second": input_rate(max(arguments.batch_sizes))}
        print(table(rows, rates))
        if arguments.slowest:
            print(slowest_lines({f"an iteration, batch {row.batch}": row.slowest for row in rows if row.slowest}))
        fastest = max(row.batch / row.iteration for row in rows if row.name == "ours")
        rate = more["input_images_per_second"]
        print(
            f"Input alone: {rate:.0f} images/s with {INPUT_THREADS} threads, {rate / fastest:.1f} times what training uses."
        )
        if difference is not None:
            print(f"Losses of the first iteration differ from the official ones by at most {difference:.1e}.")
    if arguments.memory:
        more["memory"] = planned.memory(config, sizes, (1, 5, 10), arguments.batch_sizes)
        print(planned.memory_table(more["memory"]))
    if arguments.scaling:
        sums = planned.exchanged(arguments.size, arguments.resolution, arguments.steps, arguments.dtype)
        more |= {"exchanged": sums, "predictions": planned.predictions(config, sizes, arguments.batch_sizes, sums)}
        print(planned.scaling_table(more["predictions"], sums))
    if arguments.json:
        write_json(arguments.json, arguments, rates, rows, **more)


class Ours:
    """Our trainer with its state, and for each batch size the compiled parts of an iteration."""

    def __init__(self, trainer: EncoderTrainer, frozen: Any, state: Any):
        self.trainer, self.frozen, self.state = trainer, frozen, state
        self.gradient: Any = None
        self._step: dict[int, Any] = {}
        self._batches: dict[int, dict[str, jax.Array]] = {}
        self._gradient = jax.jit(self._both)
        # Without the result that needs a backward pass, the compiler leaves that out.
        self._forward = jax.jit(lambda *arguments: self._both(*arguments)[1:])
        self._update = jax.jit(trainer.update, donate_argnums=0)

    def _both(self, state: Any, frozen: Any, batch: dict[str, jax.Array]) -> Any:
        return self.trainer.gradient(state, frozen, batch["source"], batch["target"], state["key"])

    def compile(self, pictures: np.ndarray) -> tuple[float, int]:
        """Compile the iteration for a batch f32[B, H, W, 3]: seconds, and bytes of temporary memory."""
        batch, x = len(pictures), jax.device_put(pictures)
        self._batches[batch] = {"source": x, "target": x}
        start = time.perf_counter()
        step = jax.jit(self.trainer.step, donate_argnums=0).lower(self.state, self.frozen, self._batches[batch])
        self._step[batch] = step.compile()
        seconds = time.perf_counter() - start
        return seconds, self._step[batch].memory_analysis().temp_size_in_bytes

    def iteration(self, batch: int) -> Any:
        self.state, metrics = self._step[batch](self.state, self.frozen, self._batches[batch])
        return self.state, metrics

    def forward(self, batch: int) -> Any:
        return self._forward(self.state, self.frozen, self._batches[batch])

    def forward_and_backward(self, batch: int) -> Any:
        self.gradient, *_ = self._gradient(self.state, self.frozen, self._batches[batch])
        return self.gradient

    def update(self, batch: int) -> Any:
        del batch
        self.state = self._update(self.state, self.gradient)
        return self.state

    def seconds(self, batch: int) -> dict[str, float]:
        """One timed run of every part."""
        parts = (self.iteration, self.forward, self.forward_and_backward, self.update)
        found = {part.__name__: timed(lambda part=part: part(batch)) for part in parts}
        return found | {"backward": found["forward_and_backward"] - found["forward"]}


def measure(config: EncoderTraining, arguments: argparse.Namespace) -> tuple[list[Row], float | None]:
    """The rows of the table, and the largest relative difference between the first losses of ours and the official code."""
    random, side = np.random.default_rng(0), arguments.size
    inputs = {b: random.uniform(-1, 1, (b, side, side, 3)).astype(np.float32) for b in arguments.batch_sizes}
    sizes = GeneratorConfig.rosinality(arguments.resolution)
    gflop = sum(training_flops(config, config.encoder(sizes.num_styles), sizes)) / 1e9
    rows: dict[tuple[str, int], Row] = {}
    losses: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        rs.export_torch(random_start(arguments.resolution), path)
        judges = random_judges(config)
        ours = assembled(config, path, judges)
        for batch, pictures in inputs.items():  # before the official networks take memory
            seconds, temporary = ours.compile(pictures)
            losses.append(np.asarray(ours.iteration(batch)[1]["loss"]))
            reset_peak_memory()
            jax.block_until_ready(ours.iteration(batch))
            rows["ours", batch] = Row(
                "ours",
                batch,
                batch * gflop,
                compile_seconds=seconds,
                peak_bytes=peak_memory(),
                temporary_bytes=temporary,
            )
        official: Any = None
        if arguments.reference and OfficialTraining:
            official = OfficialTraining(arguments.reference, path, config, judges, torch_device())
    difference = None
    if official:
        _, theirs = official.iteration(inputs[arguments.batch_sizes[0]])
        difference = float(np.abs(losses[0] / np.array(theirs) - 1).max())
    for batch, pictures in inputs.items():
        ours.seconds(batch)  # compiles
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(arguments.repeats):
            runs.setdefault("ours", []).append(ours.seconds(batch))
            for form in FORMS if official else ():
                official.use_form(form)
                runs.setdefault(form, []).append(official.iteration(pictures)[0])
        if arguments.slowest:
            rows["ours", batch].slowest = slowest(lambda batch=batch: ours.iteration(batch), arguments.slowest)
        for name, found in runs.items():
            row = rows.setdefault((name, batch), Row(name, batch, batch * gflop))
            for part in PARTS:
                setattr(row, part, statistics.median(run[part] for run in found))
            print(f"  {name}, batch {batch}: {row.iteration:.2f} s", flush=True)
    return sorted(rows.values(), key=lambda row: row.batch), difference


def random_start(resolution: int) -> rs.Model:
    """Random weights, and noise of strength zero: it is drawn all the same, but two codes can be compared."""
    model = random_model("BackboneEncoder", resolution)
    generator, _ = model.require_generator()

    def silence(path: Any, leaf: jax.Array) -> jax.Array:
        return leaf * 0 if "noise_strength" in jax.tree_util.keystr(path) else leaf

    nnx.update(generator, jax.tree_util.tree_map_with_path(silence, nnx.state(generator)))
    return model


def random_judges(config: EncoderTraining) -> dict[str, nnx.Module]:
    """The networks of the losses with random weights, by the names of `Objective.of`."""
    lpips: Any = nnx.jit(lambda: LPIPS(config.lpips_net, rngs=nnx.Rngs(0)))
    face: Any = nnx.jit(lambda: FaceNetwork(rngs=nnx.Rngs(1)))
    return {"lpips": lpips(), **({"identity": face()} if config.identity else {})}


def assembled(config: EncoderTraining, path: Path, judges: dict[str, nnx.Module]) -> Ours:
    """The trainer of the model in an official file."""
    model = dataclasses.replace(rs.load(path, dtype=config.dtype), geometry=config.geometry)
    trainer, frozen, init = assemble(config, model, *Objective.of(config, judges))
    return Ours(trainer, frozen, init(jax.random.key(0)))


def input_rate(batch: int) -> float:
    """Images per second of the input pipeline alone, from JPEG files of 256 px in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder) / "train", 256, "jpg", 32)
        rate, *_ = speed(open_split(Path(folder), "train"), INPUT_THREADS, batch, 2048 // batch)
    return rate


def table(rows: list[Row], rates: dict[str, float]) -> str:
    """The numbers as a Markdown table; `x` says how many times as long as ours an iteration takes."""
    names = ["code", "batch", "iteration s", "forward", "backward", "update", "images/s", "GFLOP", "fraction"]
    names += ["x", "compile s", "peak MB", "temporary MB"]
    ours = {row.batch: row for row in rows if row.name == "ours"}
    lines = []
    for row in rows:
        cells = [row.name, str(row.batch), *(f"{getattr(row, part):.2f}" for part in PARTS)]
        cells += [f"{row.batch / row.iteration:.3f}", f"{row.gflop:.0f}", f"{row.fraction:.2f}"]
        cells += [f"{row.iteration / ours[row.batch].iteration:.2f}"]
        cells += ["" if row.compile_seconds is None else f"{row.compile_seconds:.0f}"]
        cells += ["" if size is None else f"{size / 1e6:.0f}" for size in (row.peak_bytes, row.temporary_bytes)]
        lines.append(cells)
    return rates_line(rates) + "\n\n" + markdown(names, lines) + "\n"


if __name__ == "__main__":
    main()
