"""The network whose features stand for pictures, from whatever file it is in."""

from pathlib import Path

from restyle_jax.checkpoints.networks import load_inception
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.inception import Inception


def load_features(path: Path) -> FeatureNetwork:
    """The feature network in a file: FID's Inception-v3 (`pt_inception-2015-12-05-6726825d.pth`).

    Raises CheckpointError if nothing is there (saying where people get that file), or if it holds something else.
    """
    return FeatureNetwork("Inception-v3 2015-12-05, pool3", load_inception(path), Inception.__call__)
