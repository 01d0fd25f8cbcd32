"""Scores of a generator in training against the pictures it learns from."""

import functools
from dataclasses import dataclass

import jax
import numpy as np

from data_pipelines.source import Source
from restyle_jax.jobs.real_pictures import real_pictures
from restyle_jax.metrics.generated import pictures_of_generator
from restyle_jax.metrics.sets import compare_sets, features_of_pictures
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.generators import Generator

BATCH = 32


@dataclass(frozen=True)
class Snapshots:
    """FID, KID, precision and recall, in the features of one network, of `count` pictures of each side.

    The pictures of the data, `size` pixels wide, are spread over the source; damaged ones are left out. Codes, noise and labels
    are the same each time. labels: int32[N], the class of each picture of the source, from which those of a conditional generator
    are drawn.
    """

    network: FeatureNetwork
    source: Source
    size: int
    count: int
    labels: np.ndarray | None = None

    def score(self, generator: Generator, w_avg: jax.Array) -> dict[str, float]:
        """{"fid/<network>": value, ...} for a generator; w_avg: f32[K, w_dim]. Names: `metrics.sets.DEFINITIONS`.

        Raises ValueError: see `metrics.sets.compare_sets`.
        """
        made = pictures_of_generator(
            generator, w_avg, self.count, seed=0, batch_size=min(BATCH, self.count), labels=self.labels
        )
        scores = compare_sets(self.real, np.concatenate(list(features_of_pictures(self.network, made))))
        return {f"{name}/{self.network.name}": value for name, value in scores.items()}

    @functools.cached_property
    def real(self) -> np.ndarray:
        """Features of the data, f32[N, F]."""
        total = len(self.source)
        indices = np.unique(np.linspace(0, total - 1, min(self.count, total)).astype(int)).tolist()
        pictures = real_pictures(self.source, indices, size=self.size, batch_size=BATCH, unreadable={})
        return np.concatenate(list(features_of_pictures(self.network, pictures)))
