"""The network whose features stand for pictures, from whatever file it is in."""

import hashlib
from pathlib import Path

import jax

from restyle_jax import zoo
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.native import files_of
from restyle_jax.checkpoints.networks import INCEPTION, load_inception, load_vgg16, located
from restyle_jax.convert import reader
from restyle_jax.nets.attributes import AttributeNetwork
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.inception import Inception
from restyle_jax.nets.vgg import VGG16


def load_features(path: Path) -> FeatureNetwork:
    """The feature network in a file: FID's Inception-v3 (`pt_inception-2015-12-05-6726825d.pth`), torchvision's VGG16; or the
    directory of an attribute network of ours, which sees pictures of another size than its own resized (bilinear, antialiased).
    Names of the zoo will do.

    Raises CheckpointError if nothing is there (saying where people get the first), or if it holds something else.
    """
    if zoo.is_directory(path):
        network = load_attributes(path)
        return FeatureNetwork(f"attribute network of {network.config.resolution} px", network, _attribute_features)
    tree = reader.read(located(path, INCEPTION)).tree
    if isinstance(tree, dict) and "classifier.3.weight" in tree:
        return FeatureNetwork("VGG16 of torchvision, second dense layer", load_vgg16(path), VGG16.__call__)
    return FeatureNetwork("Inception-v3 2015-12-05, pool3", load_inception(path), Inception.__call__)


def origin(name: str, path: Path) -> dict[str, str]:
    """What a network of this name, read from `path` (or a name of the zoo), is: numbers of other weights do not compare."""
    digest = hashlib.sha256()
    for part in files_of(zoo.resolve(path)):
        with part.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return {"name": name, "file": str(path), "sha256": digest.hexdigest()}


def _attribute_features(network: AttributeNetwork, images: jax.Array) -> jax.Array:
    size = network.config.resolution
    x = images.astype("float32") / 127.5 - 1
    return network.features(jax.image.resize(x, (len(x), size, size, 3), "linear"))
