"""What the compiler plans for a training step: temporary memory, and what devices exchange; nothing is allocated or run.

    python -m experiments.benchmarks.planned --resolution 256

Prints {"bytes": B, "calls": C}, summed by all-reduces in one step, compiled for the devices at hand; `training.py --scaling`
runs it with two virtual ones. From that and the FLOP of a step follows the efficiency of data parallelism on pods.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmarks.flops import training_flops
from experiments.benchmarks.measure import markdown
from restyle_jax.nets.face import PICTURE, FaceNetwork
from restyle_jax.nets.image_encoders import make_encoder
from restyle_jax.nets.perceptual import LPIPS
from restyle_jax.nets.structure import structure
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.train import optim
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder import EncoderTrainer
from restyle_jax.train.objective import Objective
from restyle_jax.train.plan import exchange
from restyle_jax.train.sharding import abstract, data_mesh, replicated, split


class Device(NamedTuple):
    """Assumptions about a device of a pod, for `efficiency`.

    flop_per_second: peak in `precision`. utilisation: the part of it that training reaches; a smaller one would make
    the exchange look cheaper. bandwidth: bytes per second that a ring all-reduce moves past each device. latency: seconds of
    an all-reduce of nothing.
    """

    name: str
    precision: str
    flop_per_second: float
    utilisation: float
    bandwidth: float
    latency: float
    network: str


DEVICES = (
    Device(
        "TPU v5e", "bfloat16", 197e12, 0.4, 90e9, 10e-6, "one ring over ICI links, 45 GB/s each way, second axis unused"
    ),
    Device(
        "H200",
        "TF32",
        494e12,
        0.4,
        320e9,
        30e-6,
        "NVLink within 8, then 8 x 400 Gb/s for each host of 8, at 80 percent",
    ),
    Device("H200", "bfloat16", 989e12, 0.4, 320e9, 30e-6, "as above"),
)
COUNTS = (8, 64, 256)


def training_config(size: int, **fields: Any) -> EncoderTraining:
    """The published losses L2, LPIPS and identity (weight 0.1; its network takes 256-px pictures only) for size x size."""
    return EncoderTraining(height=size, width=size, identity=0.1 if size == PICTURE else 0.0, **fields)


def shapes(config: EncoderTraining, sizes: GeneratorConfig) -> tuple[EncoderTrainer, Any, Any]:
    """The trainer of a configuration, and the shapes of its state and its frozen arrays."""
    heads = config.encoder(sizes.num_styles, sizes.w_dim, sizes.mapping_layers)
    graph, params, stats = nnx.split(structure(make_encoder, heads, dtype=config.dtype), nnx.Param, nnx.BatchStat)
    generator: nnx.GraphDef[Any]
    generator, rest = nnx.split(structure(Generator, sizes, dtype=config.dtype))
    judges: dict[str, Any] = {"lpips": structure(LPIPS, config.lpips_net)}
    if config.identity:
        judges["identity"] = structure(FaceNetwork)
    objective, losses = Objective.of(config, judges)
    optimizer = optim.build(config)
    trainer = EncoderTrainer(config, heads, sizes.z_dim, graph, generator, None, objective, optimizer)
    params = {"encoder": params}
    state = {
        "step": jax.ShapeDtypeStruct((), jnp.int32),
        "key": jax.eval_shape(lambda: jax.random.key(0)),
        "params": params,
        "stats": stats,
        "optimizer": jax.eval_shape(optimizer.init, params),
    }
    w_avg = jax.ShapeDtypeStruct((sizes.num_styles, sizes.w_dim), jnp.float32)
    y_avg = jax.ShapeDtypeStruct((1, config.height, config.width, 3), jnp.float32)
    return trainer, state, {"generator": rest, "w_avg": w_avg, "losses": losses, "derived": {"y_avg": y_avg}}


def compiled_step(config: EncoderTraining, sizes: GeneratorConfig) -> Any:
    """The step as `train.programs` compiles it, for all devices of this process."""
    trainer, state, frozen = shapes(config, sizes)
    mesh = data_mesh()
    picture = jax.ShapeDtypeStruct((config.batch_size, config.height, config.width, 3), jnp.float32)
    batch = abstract({"source": picture, "target": picture}, split(mesh))
    step = jax.jit(trainer.step, donate_argnums=0, out_shardings=replicated(mesh))
    return step.lower(abstract(state, replicated(mesh)), abstract(frozen, replicated(mesh)), batch).compile()


def memory(config: EncoderTraining, sizes: GeneratorConfig, steps: Sequence[int], batches: Sequence[int]) -> list[Any]:
    """{batch, steps, temporary_bytes, argument_bytes} of every number of steps and batch size."""
    found = []
    for batch in batches:
        for count in steps:
            planned = dataclasses.replace(config, steps_per_image=count, batch_size=batch)
            analysis = compiled_step(planned, sizes).memory_analysis()
            sizes_ = {"temporary_bytes": analysis.temp_size_in_bytes, "argument_bytes": analysis.argument_size_in_bytes}
            found.append({"batch": batch, "steps": count, **sizes_})
            print(f"  planned: batch {batch}, N = {count}: {analysis.temp_size_in_bytes / 1e6:.0f} MB", flush=True)
    return found


def memory_table(planned: list[Any]) -> str:
    """Planned memory as a Markdown table."""
    names = ["batch", "N", "temporary MB", "weights, state and batch MB"]
    keys = ("temporary_bytes", "argument_bytes")
    return markdown(
        names, [[str(row["batch"]), str(row["steps"]), *(f"{row[key] / 1e6:.0f}" for key in keys)] for row in planned]
    )


def exchanged(size: int, resolution: int, steps: int, dtype: str) -> dict[str, int]:
    """{"bytes", "calls"} of all-reduces in one step, from `main` in a process with two virtual CPU devices."""
    command = [sys.executable, "-m", "experiments.benchmarks.planned", "--size", str(size), "--steps", str(steps)]
    command += ["--resolution", str(resolution), "--dtype", dtype]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def efficiency(compute: float, total: int, calls: int, devices: int, bandwidth: float, latency: float) -> float:
    """The part of a step in which devices compute, when they exchange nothing meanwhile.

    compute: seconds of a device for its part of the batch. total, calls: bytes and number of all-reduces in a step. A ring of n
    devices moves 2 (n - 1) / n of the bytes past each of them.
    """
    waiting = 2 * (devices - 1) / devices * total / bandwidth + calls * latency
    return compute / (compute + waiting)


def predictions(
    config: EncoderTraining, sizes: GeneratorConfig, batches: Sequence[int], sums: dict[str, int]
) -> list[Any]:
    """{device, precision, batch, seconds, efficiency, summed_once} for every batch size per device.

    efficiency: {devices: fraction}.
    summed_once: the same if the compiler moves the sums of gradients out of the loop over refinement steps, as XLA's has a pass for
    on GPUs (WhileLoopAllReduceCodeMotion); on CPU, where `sums` are counted, it does not.
    """
    cost = sum(training_flops(config, config.encoder(sizes.num_styles, sizes.w_dim), sizes))
    found = []
    for device in DEVICES:
        for batch in batches:
            seconds = batch * cost / (device.utilisation * device.flop_per_second)
            parts, once = (
                {
                    count: efficiency(seconds, total, sums["calls"], count, device.bandwidth, device.latency)
                    for count in COUNTS
                }
                for total in (sums["bytes"], sums["bytes"] // config.steps_per_image)
            )
            name = {"device": device.name, "precision": device.precision, "batch": batch}
            found.append({**name, "seconds": seconds, "efficiency": parts, "summed_once": once})
    return found


def scaling_table(predicted: list[Any], sums: dict[str, int]) -> str:
    """The predictions with their assumptions, as Markdown."""
    lines = [
        f"Summed over devices in one step: {sums['bytes'] / 1e6:.0f} MB (float32) in {sums['calls']} all-reduces.",
        "",
    ]
    lines += [
        f"- {device.name}, {device.precision}: {device.flop_per_second / 1e12:.0f} TFLOP/s at {device.utilisation:.0%}, "
        f"all-reduce at {device.bandwidth / 1e9:.0f} GB/s ({device.network}) and {device.latency * 1e6:.0f} us each"
        for device in DEVICES
    ]
    lines += ["- the exchange overlaps with nothing, and all-reduces are not combined", ""]
    rows = [
        [f"{row['device']} {row['precision']}", str(row["batch"]), f"{row['seconds'] * 1e3:.0f}"]
        + [f"{value:.2f}" for key in ("efficiency", "summed_once") for value in row[key].values()]
        for row in predicted
    ]
    names = ["device", "batch of each", "compute ms", *(f"{count} devices" for count in COUNTS)]
    names += [f"{count}, gradients summed once" for count in COUNTS]
    return "\n".join(lines) + "\n" + markdown(names, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the encoder's pictures")
    parser.add_argument("--resolution", type=int, default=256, help="of the generator")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    devices = jax.device_count()
    config = training_config(arguments.size, steps_per_image=arguments.steps, batch_size=devices, dtype=arguments.dtype)
    step = compiled_step(config, GeneratorConfig.rosinality(arguments.resolution))
    print(json.dumps(exchange(step)._asdict()))


if __name__ == "__main__":
    main()
