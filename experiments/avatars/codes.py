"""Codes of drawn faces, which the latent classifier and the networks for edits by reference are trained on.

    python -m experiments.avatars.codes avatars64/restyle-e4e runs/avatar_codes.npz [--pictures 20000]

The pictures are training avatars, drawn as they are needed, so that none has to be written to a file; what is written is what
`restyle invert` would give for them: a `latents.npz` with the last of N = 5 steps, under names that say what is in a picture
(`data_pipelines.labels.avatar_labels`).

Hardware: 5 minutes of one CPU core.
"""

import argparse
import os
from pathlib import Path

import restyle_jax as rs  # before jax: it chooses the convolutions of the CPU backend

# isort: split
import numpy as np
from tqdm import tqdm

from data_pipelines.avatars import AvatarSource
from experiments.avatars.editing_measures import inverted
from restyle_jax.ops.images import to_float

CHUNK = 500  # pictures drawn at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a model with an encoder: a file, or a name of the zoo")
    parser.add_argument("output", type=Path, help="a new file .npz")
    parser.add_argument("--pictures", type=int, default=20_000, help="how many training pictures to invert")
    options = parser.parse_args()
    model = rs.load(options.checkpoint)
    source = AvatarSource("train", options.pictures, model.geometry.width)
    codes = {}
    for first in tqdm(range(0, options.pictures, CHUNK), unit=f"{CHUNK} pictures", dynamic_ncols=True):
        numbers = np.arange(first, min(first + CHUNK, options.pictures))
        drawn = to_float(source.drawn(numbers))
        names = map(source.name, numbers.tolist())
        codes |= {name: code[None] for name, code in zip(names, inverted(model, drawn), strict=True)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = options.output.with_name(f".{options.output.name}.npz")
    np.savez(unfinished, **codes)
    os.replace(unfinished, options.output)
    print(f"{len(codes)} codes are in {options.output}")


if __name__ == "__main__":
    main()
