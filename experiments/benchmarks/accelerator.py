"""All benchmarks of one GPU: inversion, training of encoders, training of generators, in float32 and bfloat16. Products of float32
are in JAX's default precision.

    python -m experiments.benchmarks.accelerator --output runs/gpu --restyle ~/restyle-encoder --ada ~/stylegan2-ada-pytorch

One after the other, alone on the device, with the official code beside ours where its checkout is given. Prints their tables, and
writes NAME.txt and NAME.json for each to the output folder. Compiled programs are kept there, too, so that columns of compile time
are short in a second run; those of peak memory are the largest so far in a process. --names chooses some of them.

Hardware: one GPU of 80 GB; a first run compiles for some minutes in each. Expected result: experiments/RESULTS.md.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

INFERENCE = "inference --batch-sizes 1 4 16 --repeats 3"
ENCODERS = "training --batch-sizes 8 --resolution 1024"
PAPER256, PAPER1024 = (f"generator_training --experiment experiments/stylegan2_paper{side}.py" for side in (256, 1024))
BENCHMARKS = {
    "inversion_1024_float32": f"{INFERENCE} --resolutions 1024",
    "inversion_1024_bfloat16": f"{INFERENCE} --resolutions 1024 --dtype bfloat16",
    "inversion_256_float32": f"{INFERENCE} --resolutions 256",
    "inversion_256_bfloat16": f"{INFERENCE} --resolutions 256 --dtype bfloat16",
    "generator_256": f"{PAPER256} --only step phases --augment none",
    "generator_1024": f"{PAPER1024} --only step phases --augment none --batch-size 16",
    "encoder_1024_float32": ENCODERS,
    "encoder_1024_bfloat16": f"{ENCODERS} --dtype bfloat16",
    "generator_256_ada": f"{PAPER256} --only step",
    "generator_256_float32": f"{PAPER256} --only step --augment none --dtype float32 --batch-size 32",
}
"""Module of `experiments.benchmarks` with its options, in the order of measurement."""
COMPARED = {
    "inversion_1024_float32": "restyle",
    "inversion_256_float32": "restyle",
    "encoder_1024_float32": "restyle",
    "generator_256_float32": "ada",
}
"""What has an official counterpart in the same precision, and the option that names its checkout."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for tables and numbers")
    parser.add_argument("--restyle", type=Path, help="a checkout of yuval-alaluf/restyle-encoder to time beside ours")
    parser.add_argument("--ada", type=Path, help="a checkout of NVlabs/stylegan2-ada-pytorch to time beside ours")
    parser.add_argument(
        "--names", nargs="+", choices=BENCHMARKS, default=[*BENCHMARKS], help="some of them (default: all)"
    )
    parser.add_argument(
        "--slowest", type=int, default=0, metavar="N", help="also the N slowest operations of each part, on a GPU"
    )
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(options.output.resolve() / "compiled"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the official code needs memory, too
        **os.environ,
    }
    failed = []
    for name in options.names:
        reference = vars(options).get(COMPARED.get(name, ""))
        more = ["--reference", str(reference)] if reference else []
        module, *settings = BENCHMARKS[name].split()
        more += ["--slowest", str(options.slowest)] if options.slowest else []
        command = [sys.executable, "-m", f"experiments.benchmarks.{module}", *settings, *more]
        log = options.output / f"{name}.txt"
        with log.open("w", encoding="utf-8") as file:
            status = subprocess.run(
                [*command, "--json", str(options.output / f"{name}.json")],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
            ).returncode
        print(f"## {name}\n{log.read_text(encoding='utf-8')}", flush=True)
        if status:
            failed.append(f"{name} ended with status {status}: see {log}")
    for line in failed:
        print(line, file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
