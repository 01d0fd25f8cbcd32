"""How well an identity network tells avatars apart that it was not trained on.

    python -m experiments.avatars.identity_accuracy runs/avatar_identity/best [--pictures 2000]

Takes ten seconds on one CPU core. All pairs of test pictures are compared, four pictures of each identity, which share the identity
factors alone; beside the network stand one that was not trained and the pixels themselves. Columns: area under the ROC curve, share
of pairs that are told apart at the threshold of equal error, mean similarity of pairs of one identity and of two.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from data_pipelines.avatars import AvatarSource, render
from restyle_jax.checkpoints.auxiliary import load_own_identity
from restyle_jax.metrics.verification import roc_area, verification_accuracy
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.identity import IdentityNetwork

CHUNK = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--pictures", type=int, default=2000, help="how many test pictures to draw")
    options = parser.parse_args()
    for line in report(load_own_identity(options.network), options.pictures):
        print(line)


def report(network: IdentityNetwork, pictures: int) -> list[str]:
    """The table, line by line."""
    source = AvatarSource("test", pictures, network.size)
    factors = source.described(np.arange(pictures))
    images = render(factors, network.size)
    pixels = images.reshape(pictures, -1).astype(np.float32)
    pixels -= pixels.mean(0)
    described = {
        "trained": features(network, images),
        "not trained": features(IdentityNetwork(network.config, rngs=nnx.Rngs(0)), images),
        "pixels": pixels / np.linalg.norm(pixels, axis=1, keepdims=True),
    }
    lines = [f"{'features':12} {'ROC area':>9} {'accuracy':>9} {'same':>7} {'other':>7}"]
    first, second = np.triu_indices(pictures, 1)
    one = factors["identity"][first] == factors["identity"][second]
    for name, rows in described.items():
        similarity = (rows @ rows.T)[first, second]
        same, other = similarity[one], similarity[~one]
        numbers = roc_area(same, other), verification_accuracy(same, other)
        lines.append(f"{name:12} {numbers[0]:9.4f} {numbers[1]:9.4f} {same.mean():7.3f} {other.mean():7.3f}")
    return lines


def features(network: IdentityNetwork, images: np.ndarray) -> np.ndarray:
    """What the network says about images u8[N, R, R, 3]: f32[N, D]."""
    compiled = FeatureNetwork("identity", network, _features)
    return np.concatenate([compiled(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)])


def _features(network: IdentityNetwork, images: jax.Array) -> jax.Array:
    return network(images.astype("float32") / 127.5 - 1)


if __name__ == "__main__":
    main()
