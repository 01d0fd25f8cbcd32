"""Does an encoder trained here learn to invert? A small one, on pictures whose true codes are known and on real photos.

    python -m experiments.proof_of_training proof --photos path/to/photos

Makes a 64-px generator with random weights, samples pictures from it (`--pictures` to train on, 64 held out) and trains two
encoders on them with the same command, data and number of training steps: one with N = 5 refinement steps, one with N = 1. With
`--photos` it also trains one on photos: 100 of every 120, the others held out. A random generator cannot draw rooms; there
the error falls to what it can do. Writes into the folder `curves.svg`, the grids of the runs, and `summary.json`:
held-out L2 by training step, of the mean picture, and of each refinement step, and the distance of the codes from the true
ones. Takes about 25 minutes on 2 CPU cores.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from data_pipelines.folder import list_photos, read_photo
from experiments.make_random_checkpoint import filled
from restyle_jax.jobs.train_encoder import train_encoder
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.style_based import mean_w
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.ops.images import to_bytes
from restyle_jax.plot import COLOURS, Line, as_file, line_plot, logarithmic, whole_numbers
from restyle_jax.train.config import EncoderTraining

SIDE, WIDTH, STYLES, HELD_OUT = 64, 128, 10, 64
SIZES = GeneratorConfig(SIDE, (64, 64, 64, 32, 32), z_dim=WIDTH, w_dim=WIDTH, mapping_layers=4)
ENCODER = EncoderConfig("backbone", "resnet18", STYLES, style_dim=WIDTH, width=32, head_convs=2)


def starting_model() -> rs.Model:
    """A generator with random weights, whose colours are kept small, and an untrained encoder."""
    generator = filled(Generator, SIZES, np.random.default_rng(0))
    for block in generator.synthesis.blocks:
        block.to_rgb.kernel[...] *= 0.25
    average = mean_w(generator.mapping, jax.random.key(0), samples=10_000)
    return rs.Model(
        generator=generator,
        w_avg=jnp.tile(average, (STYLES, 1)),
        encoder=Encoder(ENCODER, rngs=nnx.Rngs(0)),
        geometry=rs.Geometry(SIDE, SIDE),
        metadata={"source": "random weights"},
    )


def sample_pictures(model: rs.Model, folder: Path, seeds: range) -> dict[str, np.ndarray]:
    """PNG files of seeds; returns {file name: true code f32[K, width]}."""
    folder.mkdir(parents=True, exist_ok=True)
    codes = np.asarray(rs.sample(model, list(seeds)))
    pictures = to_bytes(rs.synthesise(model, codes, batch_size=64))
    for seed, picture in zip(seeds, pictures, strict=True):
        Image.fromarray(picture).save(folder / f"{seed:05d}.png")
    return {f"{seed:05d}.png": code for seed, code in zip(seeds, codes, strict=True)}


def split_photos(photos: Path, folder: Path) -> None:
    """64-px copies of photos: every sixth is held out."""
    for i, photo in enumerate(list_photos([photos])):
        path = folder / ("test" if i % 6 == 5 else "train") / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        read_photo(photo.path).resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path)


def mean_picture_error(model: rs.Model, folder: Path) -> float:
    """L2 of the mean picture, from which every refinement starts, on the held-out pictures."""
    return float(
        np.mean([np.mean((held_out(path) - np.asarray(model.average.y[0])) ** 2) for path in pictures(folder)])
    )


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def held_out(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), np.float32) / 127.5 - 1


def evaluations(workdir: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "test"]


def run(name: str, config: EncoderTraining, folder: Path, codes: dict[str, np.ndarray]) -> dict[str, Any]:
    """Train and measure on the held-out pictures."""
    assert config.data is not None
    workdir = folder / name.replace(" ", "").replace("=", "").replace(",", "_")
    train_encoder(config, workdir)
    start, model = rs.load(folder / "start"), rs.load(workdir / "latest")
    mean = mean_picture_error(start, config.data / "test")
    curve = [(line["step"], line[f"l2/{config.steps_per_image}"]) for line in evaluations(workdir)]
    last = evaluations(workdir)[-1]
    steps = [last[f"l2/{i + 1}"] for i in range(config.steps_per_image)]
    result = {"mean_picture_l2": mean, "l2_by_training_step": curve, "l2_by_refinement_step": steps}
    result["factor"] = mean / steps[-1]
    if codes:
        paths = pictures(config.data / "test")
        found = np.asarray(
            rs.invert(model, np.stack([held_out(path) for path in paths]), config.steps_per_image).latents
        )
        true = np.stack([codes[path.name] for path in paths])
        assert model.w_avg is not None
        distance = np.linalg.norm(found - true, axis=-1).mean((1, 2))
        result["code_distance_by_refinement_step"] = distance.tolist()
        result["code_distance_of_w_avg"] = float(np.linalg.norm(np.asarray(model.w_avg) - true, axis=-1).mean())
    return result


def draw_curves(results: dict[str, dict[str, Any]]) -> str:
    """Held-out L2 over the error of the mean picture, on a logarithmic scale, by training step; an SVG file."""
    lines = [
        Line([(step, l2 / result["mean_picture_l2"]) for step, l2 in result["l2_by_training_step"]], colour, name)
        for colour, (name, result) in zip(COLOURS, results.items(), strict=False)
    ]
    points = [point for line in lines for point in line.points]
    steps = whole_numbers("training steps", max(int(step) for step, _ in points))
    title = "held-out L2 / L2 of the mean picture"
    return as_file(line_plot(title, steps, logarithmic(title, [ratio for _, ratio in points]), lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--photos", type=Path, help="a folder of photos for the third run")
    parser.add_argument("--pictures", type=int, default=2048, help="sampled pictures to train on (default 2048)")
    parser.add_argument("--max-steps", type=int, default=500, help="training steps of each run (default 500)")
    arguments = parser.parse_args()
    folder = arguments.folder
    model = starting_model()
    rs.save(model, folder / "start")
    codes = sample_pictures(model, folder / "sampled" / "test", range(HELD_OUT))
    sample_pictures(model, folder / "sampled" / "train", range(HELD_OUT, HELD_OUT + arguments.pictures))
    config = EncoderTraining(
        checkpoint=folder / "start", data=folder / "sampled", trunk="resnet18", height=SIDE, width=SIDE, flip=False,
        lpips=0, random_noise=False, learning_rate=1e-3, optimizer="adam", batch_size=16, test_batch_size=HELD_OUT,
        max_steps=arguments.max_steps, log_every=10, image_every=arguments.max_steps, eval_every=25, save_every=250,
    )  # fmt: skip
    runs = {"N = 5": (config, codes), "N = 1": (dataclasses.replace(config, steps_per_image=1), codes)}
    if arguments.photos:
        split_photos(arguments.photos, folder / "photos")
        runs["photos, N = 5"] = (dataclasses.replace(config, data=folder / "photos", flip=True, test_batch_size=10), {})
    results = {name: run(name, settings, folder, known) for name, (settings, known) in runs.items()}
    (folder / "summary.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "curves.svg").write_text(draw_curves(results))
    for name, result in results.items():
        steps = ", ".join(f"{value:.4f}" for value in result["l2_by_refinement_step"])
        print(
            f"{name}: mean picture {result['mean_picture_l2']:.4f}; refinement steps {steps}; factor {result['factor']:.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
