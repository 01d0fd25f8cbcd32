"""The network whose features stand for pictures, from whatever file it is in."""

from pathlib import Path

from restyle_jax.checkpoints.networks import INCEPTION, load_inception, load_vgg16, located
from restyle_jax.convert import reader
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.inception import Inception
from restyle_jax.nets.vgg import VGG16


def load_features(path: Path) -> FeatureNetwork:
    """The feature network in a file: FID's Inception-v3 (`pt_inception-2015-12-05-6726825d.pth`), or torchvision's VGG16.

    Raises CheckpointError if nothing is there (saying where people get the former), or if it holds something else.
    """
    tree = reader.read(located(path, INCEPTION)).tree
    if isinstance(tree, dict) and "classifier.3.weight" in tree:
        return FeatureNetwork("VGG16 of torchvision, second dense layer", load_vgg16(path), VGG16.__call__)
    return FeatureNetwork("Inception-v3 2015-12-05, pool3", load_inception(path), Inception.__call__)
