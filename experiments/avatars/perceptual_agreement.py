"""How often a perceptual network says which of two distortions of an avatar is the stronger, for avatars that it was not fitted on.

    python -m experiments.avatars.perceptual_agreement runs/avatar_perceptual [--pictures 4000]

Takes a minute on one CPU core. One row for each kind of distortion, where both have the same kind and the order is beyond doubt;
their mean; and pairs of two kinds, where the order is that of the scale in `data_pipelines.distorted_avatars`. Beside the
distance stand the mean squared error of the pixels and the same network with equal weights.
"""

import argparse
from pathlib import Path

import numpy as np

from data_pipelines.avatars import AvatarSource
from data_pipelines.distorted_avatars import KINDS, triplets
from experiments.avatars.perceptual import differences
from restyle_jax.checkpoints.auxiliary import load_own_perceptual
from restyle_jax.nets.small_perceptual import PerceptualNetwork


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--pictures", type=int, default=4000, help="how many test pictures to draw and distort")
    options = parser.parse_args()
    for line in report(load_own_perceptual(options.network), options.pictures):
        print(line)


def report(network: PerceptualNetwork, pictures: int) -> list[str]:
    """The table, line by line."""
    drawn = triplets(AvatarSource("test", pictures, network.config.resolution), seed=1)
    weights = np.concatenate([np.asarray(part[...]) for part in network.weights])
    nearer, farther = differences(network, drawn)
    x = drawn.original.astype(np.float32)
    errors = [np.square(y - x).mean((1, 2, 3)) for y in (drawn.nearer, drawn.farther)]
    right = {
        "L2": errors[0] < errors[1],
        "equal": nearer.sum(1) < farther.sum(1),
        "calibrated": nearer @ weights < farther @ weights,
    }
    same = drawn.kinds[:, 0] == drawn.kinds[:, 1]
    rows = {kind: same & (drawn.kinds[:, 0] == i) for i, kind in enumerate(KINDS)}
    rows |= {"one kind": same, "two kinds": ~same}
    lines = [f"{'distortions':12} {'pairs':>6} " + " ".join(f"{name:>10}" for name in right)]
    for name, some in rows.items():
        shares = " ".join(f"{of[some].mean():10.3f}" for of in right.values())
        lines.append(f"{name:12} {some.sum():6} {shares}")
    return lines


if __name__ == "__main__":
    main()
