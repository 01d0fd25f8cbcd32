"""The network whose features stand for pictures, from whatever file it is in."""

from pathlib import Path

import jax

from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.networks import load_inception
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.inception import Inception


def load_features(path: Path) -> FeatureNetwork:
    """The feature network in a file: FID's Inception-v3 (`pt_inception-2015-12-05-6726825d.pth`), or the directory of an attribute
    network of ours, which sees pictures of another size than its own resized (bilinear, antialiased).

    Raises CheckpointError if nothing is there (saying where people get that file), or if it holds something else.
    """
    if path.is_dir():
        network = load_attributes(path)
        size = network.config.resolution
        return FeatureNetwork(f"attribute network of {size} px", network, _attribute_features)
    return FeatureNetwork("Inception-v3 2015-12-05, pool3", load_inception(path), Inception.__call__)


def _attribute_features(network: AttributeNetwork, images: jax.Array) -> jax.Array:
    size = network.config.resolution
    x = images.astype("float32") / 127.5 - 1
    return network.features(jax.image.resize(x, (len(x), size, size, 3), "linear"))
