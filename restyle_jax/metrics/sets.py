"""Features of pictures, batch by batch, and what two sets of features say: FID, KID, precision and recall."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from restyle_jax.metrics.frechet import frechet_distance, gaussian
from restyle_jax.metrics.kernel import kernel_distance
from restyle_jax.metrics.precision_recall import NEIGHBOUR, precision_recall
from restyle_jax.nets.feature_networks import FeatureNetwork

SMALLEST = NEIGHBOUR + 1  # features of a set, so that all of them are defined

DEFINITIONS = {
    "fid": "Frechet distance of the two Gaussians of the features, with covariances divided by N - 1 (as the TensorFlow "
    "StyleGANs, rosinality and pytorch-fid; stylegan2-ada-pytorch divides by N)",
    "kid": "unbiased kernel distance with (x.y / F + 1)^3, mean over 100 pairs of subsets of min(1000, N), not times 1000; "
    "may be negative",
    "precision": "share of the made pictures whose features are within the third-neighbour ball of a real picture",
    "recall": "share of the real pictures whose features are within the third-neighbour ball of a made picture",
}


def features_of_pictures(network: FeatureNetwork, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The features f32[b, F] of batches u8[b, H, W, 3], of which none is larger than the first.

    Smaller ones are filled up for the computation, so that one compilation serves all.
    """
    size = 0
    for pictures in batches:
        size = size or len(pictures)
        filled = np.resize(pictures, (size, *pictures.shape[1:]))  # repeats rows; the repetitions are dropped again
        yield np.asarray(network(filled))[: len(pictures)]


def compare_sets(real: np.ndarray, fake: np.ndarray, *, seed: int = 0) -> Mapping[str, float]:
    """fid, kid, precision and recall (see DEFINITIONS) of features f32[N, F] and f32[M, F]; `seed` draws the subsets of KID.

    Raises ValueError for sets of fewer than four features, and for features that are not finite.
    """
    fid = frechet_distance(gaussian([real]), gaussian([fake]))
    near = precision_recall(real, fake)
    return {
        "fid": fid,
        "kid": kernel_distance(real, fake, seed=seed),
        "precision": near.precision,
        "recall": near.recall,
    }
