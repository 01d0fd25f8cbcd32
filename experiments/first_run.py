"""The whole main job on a fresh machine, without any download: a random checkpoint, a few drawn pictures, `restyle invert`.

    python -m experiments.first_run [FOLDER]

Takes about a minute on 2 CPU cores and 0.6 GB of disk. The pictures that come out are noise, because the weights are.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from experiments.make_random_checkpoint import random_model
from restyle_jax import cli, export_torch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("first_run"), help="where to write (first_run)")
    folder: Path = parser.parse_args().folder
    checkpoint, photos, output = folder / "random.pt", folder / "photos", folder / "inverted"
    draw_photos(photos)
    if not checkpoint.exists():
        print(f"Making {checkpoint}: random weights in the official ReStyle format, 64-px pictures ...", flush=True)
        export_torch(random_model("ResNetBackboneEncoder", 64), checkpoint)
    for command in (
        ["inspect", str(checkpoint)],
        ["invert", "--checkpoint", str(checkpoint), "--input", str(photos), "--output", str(output)],
    ):
        print("$ restyle", *command, flush=True)
        if code := cli.main(command):
            return code
    print(
        f"\nLook at {output / 'grid.png'} and {output / 'change.png'}. The reconstructions are NOISE, because the weights are "
        "random:\nthis run only shows that everything works here. Give the same command a real checkpoint and your own "
        "photos\n(README.md says where to get both)."
    )
    return 0


def draw_photos(folder: Path, count: int = 3, size: int = 256) -> None:
    """Write a few simple pictures: an ellipse and a band over a vertical gradient, different for each."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(count):
        top, bottom = random.integers(0, 256, (2, 3))
        rows = np.linspace(top, bottom, size)[:, None]
        picture = Image.fromarray(np.broadcast_to(rows, (size, size, 3)).astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        x, y = random.integers(size // 8, size // 2, 2)
        draw.ellipse((x, y, x + size // 3, y + size // 2), fill=tuple(map(int, random.integers(0, 256, 3))))
        draw.rectangle((0, size - y // 2, size, size), fill=tuple(map(int, random.integers(0, 256, 3))))
        picture.save(folder / f"drawn{index}.png")


if __name__ == "__main__":
    raise SystemExit(main())
