"""Speed of the input pipeline alone: pictures from the disk to batches, without training.

    python -m experiments.benchmarks.input --json input.json

Makes pictures (blurred noise with grain, so that files are about as large as those of photos), prepares them, and reads
batches of 256 x 256 from the folder and from the prepared data set with several numbers of threads; median of runs taken in
alternation, after one warm-up. The files are in the page cache: a disk must deliver the MB/s of that column. The last column is
what a training loop waits for its next batch while an accelerator computes for --device-ms each time. The kind "drawn" are
avatars in memory, in batches of their own size. Needs the CPU only; run it with nothing else running. Expected on one x86-64
core: about 1.2 ms for a JPEG of 256 px, 3 for PNG; at 1024 px 10 and 22.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from data_pipelines.avatars import KeptAvatars
from data_pipelines.loader import training_batches
from data_pipelines.preparation import Preparation
from data_pipelines.prepare import prepare
from data_pipelines.source import Source, open_split


@dataclasses.dataclass
class Row:
    """One line of the table; medians of `runs`: images per second, CPU ms per image over all threads, and ms of waiting for a
    batch beside a device."""

    pixels: int
    kind: str
    place: str
    threads: int
    images_per_second: float
    megabytes_per_second: float
    cpu_ms: float
    wait_ms: float
    runs: list[tuple[float, float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024], help="sides of the square source pictures")
    parser.add_argument("--kinds", nargs="+", choices=("jpg", "png", "drawn"), default=["jpg", "png"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device-ms", type=float, default=20.0, help="of one training step on an accelerator")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each run takes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    rows = []
    for size in arguments.sizes:
        for kind in arguments.kinds:
            rows += measure(size, kind, arguments)
    print("| source | files | from | threads | images/s | MB/s | CPU ms per image | waiting ms |")
    print("|---" * 8 + "|")
    for row in rows:
        rates = f"{row.images_per_second:.0f} | {row.megabytes_per_second:.0f} | {row.cpu_ms:.2f} | {row.wait_ms:.1f}"
        print(f"| {row.pixels} px | {row.kind} | {row.place} | {row.threads} | {rates} |")
    if arguments.json:
        record = {
            "date": date.today().isoformat(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "settings": {key: str(value) for key, value in vars(arguments).items()},
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


def measure(size: int, kind: str, arguments: argparse.Namespace) -> list[Row]:
    """Rates for pictures of one size and kind."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if kind == "drawn":
            sources: dict[str, Source] = {"memory": KeptAvatars("train", 900, size)}
            preparation, mean_bytes = Preparation(height=size, width=size, flip=False), 0.0
        else:
            make_pictures(folder / "in" / "train", size, kind, 32)
            prepare("folder", folder / "in", folder / "data", progress=False)
            mean_bytes = statistics.mean(path.stat().st_size for path in (folder / "in" / "train").iterdir())
            sources = {
                name: open_split(folder / path, "train") for name, path in (("folder", "in"), ("prepared", "data"))
            }
            preparation = None
        cases = [(name, threads) for name in sources for threads in arguments.threads]
        batch = arguments.batch_size
        rate, *_ = speed(next(iter(sources.values())), 1, batch, 8, preparation)
        batches = max(2, round(rate * arguments.seconds / batch))
        runs: dict[tuple[str, int], list[tuple[float, float, float]]] = {case: [] for case in cases}
        for _ in range(arguments.repeats):
            for name, threads in cases:
                rate, cpu, _ = speed(sources[name], threads, batch, batches, preparation)
                *_, wait = speed(sources[name], threads, batch, batches, preparation, arguments.device_ms)
                runs[name, threads].append((rate, cpu, wait))
    rows = []
    for (name, threads), found in runs.items():
        rate, cpu, wait = (statistics.median(values) for values in zip(*found, strict=True))
        rows.append(Row(size, kind, name, threads, rate, rate * mean_bytes / 1e6, cpu, wait, found))
    return rows


def make_pictures(folder: Path, size: int, kind: str, count: int) -> None:
    """`count` files of blurred noise with some grain, and seven links to each: grain shuffles small sets slowly."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        smooth = coarse.resize((size, size), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(size / 64))
        grain = random.normal(0, 2, (size, size, 1))
        pixels = np.clip(np.asarray(smooth, np.float32) + grain, 0, 255).astype(np.uint8)
        path = folder / f"{i:03}.{kind}"
        Image.fromarray(pixels).save(path, quality=90)
        for link in range(1, 8):
            (folder / f"{i:03}-{link}.{kind}").symlink_to(path)


def speed(
    source: Source,
    threads: int,
    batch_size: int,
    batches: int,
    preparation: Preparation | None = None,
    device_ms: float = 0.0,
) -> tuple[float, float, float]:
    """Images per second, CPU ms per image, and mean ms of waiting for a batch, over `batches` batches, after one that starts the
    threads.

    preparation: None is that of a 256-px encoder. device_ms: what an accelerator computes before each batch is asked for.
    """
    iterator = training_batches(source, preparation or Preparation(), batch_size=batch_size, seed=0, workers=threads)
    next(iterator)
    start, cpu, waited = time.perf_counter(), time.process_time(), 0.0
    for _ in range(batches):
        if device_ms:
            time.sleep(device_ms / 1e3)
        asked = time.perf_counter()
        next(iterator)
        waited += time.perf_counter() - asked
    images = batches * batch_size
    found = images / (time.perf_counter() - start), (time.process_time() - cpu) / images * 1e3, waited / batches * 1e3
    iterator.close()
    return found


if __name__ == "__main__":
    main()
