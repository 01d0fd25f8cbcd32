"""A checkpoint in the official ReStyle format with random weights, to try everything before downloading a real one.

    python experiments/make_random_checkpoint.py random.pt --encoder BackboneEncoder --resolution 64

It has the official widths, so that it takes as long as a trained one: 0.6 GB at 64 px, 0.9 GB at
1024 px. The pictures are noise. Weights are scaled so that activations neither vanish nor explode, and codes stay finite
over many refinement steps.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import restyle_jax as rs
from restyle_jax.checkpoints.modules import Blueprint
from restyle_jax.checkpoints.opts import CARS
from restyle_jax.nets.encoders import OFFICIAL, Encoder, EncoderConfig
from restyle_jax.nets.style_based import mean_w
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig

# Encoders that see only the photo, not the current reconstruction.
SINGLE_PASS = ("Encoder4Editing",)


def random_model(encoder_type: str, resolution: int, *, seed: int = 0, cars: bool = False) -> rs.Model:
    """A model of official sizes. Raises ValueError on a resolution that is not a power of two from 8 to 1024."""
    if resolution not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"the resolution is {resolution}, expected a power of two from 8 to 1024")
    head, trunk = OFFICIAL[encoder_type]
    sizes = GeneratorConfig.rosinality(resolution)
    channels = 3 if encoder_type in SINGLE_PASS else 6
    heads = EncoderConfig(head, trunk, sizes.num_styles, in_channels=channels)  # pyright: ignore[reportArgumentType]
    random = np.random.default_rng(seed)
    generator = filled(Generator, sizes, random)
    average = mean_w(generator.mapping, jax.random.key(seed), samples=10_000)
    return rs.Model(
        generator=generator,
        w_avg=jnp.tile(average, (sizes.num_styles, 1)),
        encoder=filled(Encoder, heads, random),
        geometry=CARS if cars else rs.Geometry(),
        metadata={"source": f"random weights, seed {seed}"},
    )


def filled(kind: Any, config: Any, random: np.random.Generator) -> Any:
    """A network of a class, with random weights of sensible size."""
    blueprint = Blueprint.of(kind, config)
    arrays = {}
    for path, target in blueprint.targets.items():
        scale, offset = _equalised(path) if kind is Generator else _plain(path, target.shape)
        draw = random.random if path.endswith((".var", ".slope")) else random.standard_normal
        arrays[path] = np.asarray(offset + np.float32(scale) * draw(target.shape, np.float32), target.dtype)
    return blueprint.fill(arrays)


def _equalised(path: str) -> tuple[float, float]:
    """(scale, offset) of the draw for an array of the generator, whose layers divide by the fan-in themselves."""
    if path.endswith(("bias", "noise_strength")):
        return 0.1, float("modulation" in path)
    return (100.0, 0.0) if "mapping" in path else (1.0, 0.0)


def _plain(path: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """(scale, offset) of the draw for an array of the encoder."""
    statistics = {"scale": (0.1, 1.0), "mean": (0.1, 0.0), "var": (1.0, 0.5), "slope": (0.5, 0.25), "count": (0.0, 0.0)}
    name = path.rpartition(".")[2]
    if name != "kernel":
        return statistics.get(name, (0.1, 0.0))
    # A step of size one would make the codes grow with every refinement.
    return (0.1, 0.0) if path.endswith("linear.kernel") else (1 / math.sqrt(math.prod(shape[-4:-1])), 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the file to write, for example random.pt")
    parser.add_argument("--encoder", choices=OFFICIAL, default="BackboneEncoder", help="official class of the encoder")
    parser.add_argument("--resolution", type=int, default=64, help="of the generator, 8 to 1024 (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    parser.add_argument("--cars", action="store_true", help="take 192 x 256 photos, like the official cars models")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    arguments = parser.parse_args()
    try:
        model = random_model(arguments.encoder, arguments.resolution, seed=arguments.seed, cars=arguments.cars)
        rs.export_torch(model, arguments.output, overwrite=arguments.overwrite)
    except (rs.CheckpointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {arguments.output}: {arguments.encoder}, {arguments.resolution} px, random weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
