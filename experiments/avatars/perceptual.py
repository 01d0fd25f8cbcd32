"""A perceptual distance for avatars of 64 px, in the form of LPIPS: the trunk of the attribute network, with calibrated weights.

    python -m experiments.avatars.perceptual runs/avatar_attributes/best runs/avatar_perceptual [--pictures 10000]

Hardware: 2 CPU cores, two minutes. The trunk is that of `experiments/avatars/attributes.py` and stays as it is; what is fitted
(`restyle_jax.train.calibration`) is one weight for each of its 256 channels. The pictures are drawn, and distorted in ways
whose order is known (`data_pipelines.distorted_avatars`). Weights are scaled so that two different avatars are 0.5 apart on
average: of the size of LPIPS between photos, so that the weights of published losses are a start.

Expected result: experiments/RESULTS.md; `python -m experiments.avatars.perceptual_agreement runs/avatar_perceptual` measures it.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.avatars import PICTURES_PER_IDENTITY, AvatarSource
from data_pipelines.distorted_avatars import Triplets, triplets
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import save_perceptual
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.small_perceptual import PerceptualNetwork, on_trunk
from restyle_jax.train.calibration import calibrate

CHUNK = 100
UNRELATED = 0.5  # mean distance of two different avatars


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attributes", type=Path, help="an attribute network")
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--pictures", type=int, default=10_000, help="how many training pictures to draw and distort")
    options = parser.parse_args()
    network = calibrated(load_attributes(options.attributes), options.pictures)
    about = {"kind": "a perceptual network made by experiments/avatars/perceptual.py", "pictures": options.pictures}
    save_perceptual(network, about, options.output)
    print(f"The network is in {options.output}")


def calibrated(attributes: AttributeNetwork, pictures: int) -> PerceptualNetwork:
    """The distance on the trunk of an attribute network, with weights fitted on so many training pictures."""
    uniform = on_trunk(attributes, np.ones(sum(attributes.config.widths)))
    drawn = triplets(AvatarSource("train", pictures, attributes.size), seed=0)
    weights = calibrate(*differences(uniform, drawn))
    other = np.roll(drawn.original, PICTURES_PER_IDENTITY, axis=0)
    apart, _ = differences(uniform, Triplets(drawn.original, other, other, drawn.kinds, drawn.strengths))
    return on_trunk(attributes, weights * UNRELATED / (apart @ weights).mean())


def differences(network: PerceptualNetwork, drawn: Triplets) -> tuple[np.ndarray, np.ndarray]:
    """What the weights weigh, between each picture and its weaker and stronger distortion: f32[n, C] each."""
    compiled = FeatureNetwork("perceptual", network, _differences)
    together = np.stack([drawn.original, drawn.nearer, drawn.farther], axis=1)
    found = np.concatenate([compiled(together[first : first + CHUNK]) for first in range(0, len(together), CHUNK)])
    return found[:, 0], found[:, 1]


def _differences(network: PerceptualNetwork, images: jax.Array) -> jax.Array:
    """u8[B, 3, R, R, 3] -> f32[B, 2, C]."""
    original, nearer, farther = (network.features(images[:, i].astype("float32") / 127.5 - 1) for i in range(3))
    return jnp.stack([network.differences(original, nearer), network.differences(original, farther)], axis=1)


if __name__ == "__main__":
    main()
