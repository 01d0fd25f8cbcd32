"""Fréchet distance between two sets of features (Heusel et al., arXiv 1706.08500): FID, if the features are Inception's.

Covariances are unbiased, divided by N - 1, as in the TensorFlow StyleGANs, rosinality and pytorch-fid. The metrics of
stylegan2-ada-pytorch divide by N, so that their covariances are (N - 1) / N times these.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Mean f64[F] and unbiased covariance f64[F, F] of `count` features."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def gaussian(chunks: Iterable[np.ndarray]) -> Gaussian:
    """The Gaussian of features that come in chunks f32[n, F] of any size, one of which is held at a time.

    Chunks are centred before their products are summed, so that a mean far from zero costs no digits. Raises ValueError for
    fewer than two features, and for features that are not finite.
    """
    count, mean, scatter = 0, np.zeros(()), np.zeros(())
    for chunk in chunks:
        features = np.asarray(chunk, np.float64)
        if not np.isfinite(features).all():
            raise ValueError("some features are not finite; the pictures or the network that they come from are broken")
        of_chunk = features.mean(axis=0)
        centred, shift = features - of_chunk, of_chunk - mean
        total = count + len(features)
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * (count * len(features) / total)
        mean = mean + shift * (len(features) / total)
        count = total
    if count < 2:
        raise ValueError(f"a covariance needs at least two features, got {count}")
    return Gaussian(mean, scatter / (count - 1), count)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) for the covariances A and B. 0 for equal ones, up to rounding.

    The trace of the square root of A B is the sum of the singular values of A^(1/2) B^(1/2). They are as exact as the
    numbers themselves, while the root of the product would turn a rounding error of 1e-16 in each of its zeros into 1e-8;
    with fewer features than dimensions it has many.
    """
    root = np.linalg.svd(_root(a.covariance).T @ _root(b.covariance), compute_uv=False).sum()
    return float(np.square(a.mean - b.mean).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * root)


def _root(covariance: np.ndarray) -> np.ndarray:
    """R f64[F, rank] with R R^T = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])
