"""What a generator of avatars has learned: scores beside their floor, attributes, nearest training pictures, a sheet of samples.

    python -m experiments.avatars.generator_report runs/avatars64 --attributes runs/avatar_attributes/best --output report

Prints and writes to `report/`:
  scores.json     FID, KID, precision and recall in the features of the attribute network: of the generator, of an untrained one
                  of the same sizes, and of one half of the data against the other, which is the floor; the share of every value
                  of every discrete factor in the data and in generated pictures, as the network sees them, and the factor between
  samples.png     64 pictures of fixed seeds, untruncated
  neighbours.png  generated pictures, and the training pictures whose features are nearest

Hardware: 2 CPU cores, some minutes.

Expected result: experiments/RESULTS.md.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import numpy as np
from flax import nnx
from PIL import Image

from data_pipelines.avatars import AvatarSource, render
from restyle_jax import checkpoints
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.feature_networks import load_features
from restyle_jax.jobs.workdir import model_in
from restyle_jax.metrics.generated import pictures_of_generator
from restyle_jax.metrics.sets import compare_sets, features_of_pictures
from restyle_jax.nets.attributes import AttributeNetwork, frequencies
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.generators import Generator
from restyle_jax.ops.images import to_float
from restyle_jax.viz import GridRow, picture_grid

BATCH = 50
SAMPLES, NEIGHBOURS, CELL = 8, 6, 128


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Command line; returns what scores.json says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the training run, or a model")
    parser.add_argument("--attributes", type=Path, required=True, help="folder of an attribute network of avatars")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--pictures", type=int, default=5000, help="of each half of the data, and generated")
    options = parser.parse_args(arguments)
    generator, w_avg = checkpoints.load(model_in(options.run)).require_generator()
    network, features = load_attributes(options.attributes), load_features(options.attributes)
    size, count = generator.config.resolution, options.pictures
    data = drawn(2 * count, size)
    made = pictures(generator, w_avg, count)
    fresh = pictures(untrained(generator), np.zeros_like(w_avg), count)
    halves = [of(features, half) for half in (data[:count], data[count:])]
    scores = {
        "generator": dict(compare_sets(halves[0], of(features, made))),
        "half of the data": dict(compare_sets(*halves)),
        "untrained generator": dict(compare_sets(halves[0], of(features, fresh))),
    }
    shares = compared(network, data, made)
    results = {"pictures": count, "features": features.name, "scores": scores, "shares": shares}
    options.output.mkdir(parents=True)
    (options.output / "scores.json").write_text(json.dumps(results, indent=1) + "\n")
    save(options.output / "samples.png", made[:64].reshape(8, 8, *made.shape[1:]))
    near = np.linalg.norm(of(features, made[:SAMPLES])[:, None] - np.concatenate(halves)[None], axis=-1)
    rows = [np.stack([made[i], *data[np.argsort(near[i])[:NEIGHBOURS]]]) for i in range(SAMPLES)]
    save(
        options.output / "neighbours.png",
        np.stack(rows),
        ("generated", *(f"nearest {i + 1}" for i in range(NEIGHBOURS))),
    )
    print(table(results))
    return results


def drawn(count: int, size: int) -> np.ndarray:
    """The first training avatars in random order, so that both halves are alike: u8[N, size, size, 3]."""
    source = AvatarSource("train", count, size)
    order = np.random.default_rng(0).permutation(count)
    return np.concatenate([render(source.described(part), size) for part in np.array_split(order, -(-count // BATCH))])


def pictures(generator: Generator, w_avg: Any, count: int) -> np.ndarray:
    """Untruncated pictures of fixed seeds, u8[count, R, R, 3]."""
    return np.concatenate(list(pictures_of_generator(generator, w_avg, count, seed=0, batch_size=min(BATCH, count))))


def untrained(generator: Generator) -> Generator:
    """A new generator of the same sizes."""
    kind: Any = type(generator)
    return nnx.jit(lambda: kind(generator.config, rngs=nnx.Rngs(1)))()


def of(network: FeatureNetwork, images: np.ndarray) -> np.ndarray:
    """Features f32[N, F] of u8[N, R, R, 3]."""
    batches = (images[first : first + BATCH] for first in range(0, len(images), BATCH))
    return np.concatenate(list(features_of_pictures(network, batches)))


def compared(network: AttributeNetwork, data: np.ndarray, made: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """{factor: {value: {"data", "generated", "factor"}}}: shares, and by which factor they differ at most."""
    shares = [frequencies(network, to_float(images)) for images in (data, made)]

    def entry(data: float, generated: float) -> dict[str, float]:
        return {"data": data, "generated": generated, "factor": max(data / generated, generated / data)}

    return {
        factor: {value: entry(share, shares[1][factor][value]) for value, share in values.items()}
        for factor, values in shares[0].items()
    }


def save(path: Path, images: np.ndarray, columns: tuple[str, ...] = ("",) * 8) -> None:
    """A sheet of u8[rows, columns, R, R, 3]."""
    size = min(images.shape[2], CELL)
    Image.fromarray(picture_grid(columns, [GridRow("", list(row)) for row in images], size, size)).save(path)


def table(results: Mapping[str, Any]) -> str:
    """For people: the scores, and the worst value of each factor."""
    lines = [f"in the features of: {results['features']}, {results['pictures']} pictures of each side"]
    lines += [
        f"{name:20} " + "  ".join(f"{key} {value:.4f}" for key, value in scores.items())
        for name, scores in results["scores"].items()
    ]
    for factor, values in results["shares"].items():
        value, worst = max(values.items(), key=lambda item: item[1]["factor"])
        lines.append(
            f"{factor:16} worst: {value} {worst['data']:.3f} in the data, {worst['generated']:.3f} generated "
            f"(factor {worst['factor']:.2f})"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
