"""All benchmarks of one GPU: inversion, training of encoders, training of generators, in float32 (TF32 products) and bfloat16.

    python -m experiments.benchmarks.accelerator --output runs/gpu --restyle ~/restyle-encoder --ada ~/stylegan2-ada-pytorch

First all of them once, several at a time, which fills a cache of compiled programs, for that takes longest; then one after the
other, alone on the device, with the official code beside ours where its checkout is given. Prints their tables, and writes
NAME.txt and NAME.json for each to the output folder. So their columns of compile time are times to read the cache, and those of
peak memory are the largest so far in a process. --only compile or measure does one of the two; --limit ends those that are still
under way after so many seconds, and the others are measured.

Hardware: one GPU of 80 GB, 16 CPU cores; a quarter of an hour. Expected result: experiments/RESULTS.md.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INFERENCE = "inference --resolutions 256 1024 --batch-sizes 1 4 16"
ENCODERS = "training --batch-sizes 8"
GENERATORS = "generator_training --only step phases"
BENCHMARKS = {
    "inversion_float32": INFERENCE,
    "inversion_bfloat16": f"{INFERENCE} --dtype bfloat16",
    "generator_256": f"{GENERATORS} --experiment experiments/stylegan2_paper256.py --augment none",
    "generator_1024": f"{GENERATORS} --experiment experiments/stylegan2_paper1024.py --augment none --batch-size 16",
    "encoder_1024_float32": f"{ENCODERS} --resolution 1024",
    "encoder_1024_bfloat16": f"{ENCODERS} --resolution 1024 --dtype bfloat16",
    "generator_256_ada": "generator_training --only step --experiment experiments/stylegan2_paper256.py",
    "generator_256_float32": "generator_training --only step --experiment experiments/stylegan2_paper256.py --augment none "
    "--dtype float32 --batch-size 32",
}
"""Module of `experiments.benchmarks` with its options, in the order of measurement."""
COMPARED = {
    "inversion_float32": "restyle",
    "encoder_1024_float32": "restyle",
    "generator_256_float32": "ada",
}
"""What has an official counterpart in the same precision, and the option that names its checkout."""
AT_ONCE = 6


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for tables and numbers")
    parser.add_argument("--restyle", type=Path, help="a checkout of yuval-alaluf/restyle-encoder to time beside ours")
    parser.add_argument("--ada", type=Path, help="a checkout of NVlabs/stylegan2-ada-pytorch to time beside ours")
    parser.add_argument("--only", choices=("compile", "measure"))
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one benchmark (default: 600)")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(options.output.resolve() / "compiled"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the official code needs memory, too
        **os.environ,
    }
    failed = []
    if options.only != "measure":
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = {name: f"{name}.compile" for name in BENCHMARKS}
            runs = [
                pool.submit(run, name, ["--repeats", "1"], log, options, environment) for name, log in names.items()
            ]
            failed += [name for name, done in zip(names.values(), runs, strict=True) if done.result()]
    if options.only != "compile":
        for name in BENCHMARKS:
            reference = vars(options).get(COMPARED.get(name, ""))
            more = ["--reference", str(reference)] if reference else []
            more += ["--json", str(options.output / f"{name}.json")]
            if run(name, more, name, options, environment):
                failed.append(name)
            print((options.output / f"{name}.txt").read_text(encoding="utf-8"), flush=True)
    for name in failed:
        print(
            f"{name} failed, or took longer than {options.limit:g} s: see {options.output / name}.txt", file=sys.stderr
        )
    return bool(failed)


def run(name: str, more: list[str], log: str, options: argparse.Namespace, environment: dict[str, str]) -> int:
    """One benchmark, with what it prints in a file of the output folder; its exit status, 124 if it took too long."""
    module, *settings = BENCHMARKS[name].split()
    command = [sys.executable, "-m", f"experiments.benchmarks.{module}", *settings, *more]
    start = time.monotonic()
    with (options.output / f"{log}.txt").open("w", encoding="utf-8") as file:
        try:
            ended = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, timeout=options.limit, check=False
            )
            status = ended.returncode
        except subprocess.TimeoutExpired:
            status = 124
    print(f"{log}: {time.monotonic() - start:.0f} s, status {status}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
