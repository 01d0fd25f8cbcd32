"""Features of batches, and all metrics of two sets together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.metrics.frechet import frechet_distance, gaussian
from restyle_jax.metrics.sets import DEFINITIONS, compare_sets, features_of_pictures
from restyle_jax.nets.feature_networks import FeatureNetwork


class Mean(nnx.Module):
    def __init__(self):
        self.gain = nnx.Param(jnp.array(2.0))


def double_mean(network: Mean, images: jax.Array) -> jax.Array:
    return network.gain[...] * images.astype(jnp.float32).mean(axis=(1, 2))


def test_features_of_batches_of_different_sizes():
    pictures = np.random.default_rng(0).integers(0, 256, (8, 5, 6, 3), dtype=np.uint8)
    network = FeatureNetwork("mean colour", Mean(), double_mean)
    chunks = list(features_of_pictures(network, iter([pictures[:3], pictures[3:6], pictures[6:]])))
    assert [len(chunk) for chunk in chunks] == [3, 3, 2]
    np.testing.assert_allclose(np.concatenate(chunks), 2 * pictures.mean(axis=(1, 2)), rtol=1e-6)


def test_all_metrics_of_two_sets():
    random = np.random.default_rng(0)
    real, fake = random.standard_normal((2, 60, 5)).astype(np.float32)
    found = compare_sets(real, fake)
    assert found.keys() == DEFINITIONS.keys()
    assert found["fid"] == frechet_distance(gaussian([real]), gaussian([fake]))
    assert 0 < found["precision"] <= 1 and 0 < found["recall"] <= 1 and abs(found["kid"]) < 0.5
    same = compare_sets(real, real)
    assert abs(same["fid"]) < 1e-3 and same["precision"] == same["recall"] == 1.0
    with pytest.raises(ValueError, match="more than 3 features"):
        compare_sets(real[:3], fake)
