"""GANSpace (arXiv 2004.02546, harskish/ganspace `decomposition.py`): the principal components of random codes."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from restyle_jax.edit.direction import Direction, Layers, Space, layer_numbers

FRESH = 5000
"""Codes that the standard deviations come from, in the official code."""


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of codes.

    Attributes:
        vectors: f32[n, D], of unit length and orthogonal, by descending variance; their signs are arbitrary.
        mean: f32[D], of the codes.
        std: f32[n], standard deviations of the coordinates.
        explained: f32[n], the share of the variance of the codes that each explains; None if a file does not say.
        random_std: f32[n], standard deviations along random directions, for comparison; None likewise.
        space: of the codes.

    Raises ValueError if the shapes do not fit together.
    """

    vectors: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    explained: np.ndarray | None = None
    random_std: np.ndarray | None = None
    space: Space = "W"

    def __post_init__(self):
        if self.vectors.ndim != 2 or self.mean.shape != self.vectors.shape[1:]:
            raise ValueError(
                f"components have shape {self.vectors.shape} and a mean {self.mean.shape}, expected [n, D] and [D]"
            )
        for name in ("std", "explained", "random_std"):
            value = getattr(self, name)
            if value is not None and value.shape != self.vectors.shape[:1]:
                raise ValueError(
                    f"{name} has shape {value.shape}, expected [{len(self.vectors)}], one for each component"
                )

    def directions(self, layers: Layers | None = None) -> list[Direction]:
        """component0, component1, ...: strength 1 is a standard deviation, and absolute strengths count from the mean.

        layers: that they change, all if None (GANSpace finds useful ranges by hand).
        """
        chosen = None if layers is None or layers == "all" else layer_numbers(layers)
        return [
            Direction(
                f"component{i}",
                vector,
                self.space,
                layers=chosen,
                unit=float(std),
                zero=float(np.dot(self.mean.astype(np.float64), vector.astype(np.float64))),
                metadata={"method": "ganspace"},
            )
            for i, (vector, std) in enumerate(zip(self.vectors, self.std, strict=True))
        ]


def fit(chunks: Iterable[np.ndarray], *, components: int = 80, fresh: int = FRESH, space: Space = "W") -> Components:
    """Components of codes f32[b, D] that come in chunks of any size, of which a few are held at a time.

    The first `fresh` codes are kept apart for the standard deviations, and a rest of fewer codes than components is left out.
    The official settings are 1,000,000 codes, 80 components and 5,000 fresh codes. Raises ValueError for codes of another
    shape, too few of them, or fresh ones that are not finite.
    """
    from sklearn.decomposition import IncrementalPCA

    rows = (row for chunk in chunks for row in np.asarray(chunk, np.float32))
    held = np.array(list(islice(rows, fresh)))
    if len(held) < fresh or held.ndim != 2 or not 0 < components <= held.shape[1]:
        raise ValueError(
            f"{components} components and {fresh} fresh codes were asked for, and the codes begin with {held.shape}; expected "
            "[N, D] with more codes than fresh ones and at least as many numbers as components"
        )
    if not np.isfinite(held).all():
        raise ValueError("some codes are not finite; expected finite numbers")
    pca, fitted = IncrementalPCA(components), 0
    while len(codes := np.array(list(islice(rows, max(2000, 3 * components))))) >= components:
        pca.partial_fit(codes)
        fitted += len(codes)
    if not fitted:
        raise ValueError(
            f"{len(held) + len(codes)} codes are too few; expected {fresh} fresh ones and {components} more"
        )
    vectors = np.asarray(pca.components_)
    random = np.random.RandomState(2).standard_normal(vectors.shape)  # the seed of the official code
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    std, random_std = ((held @ axes.T).std(0) for axes in (vectors, random))
    found = (vectors, pca.mean_, std, pca.explained_variance_ratio_, random_std)
    return Components(*(np.asarray(array, np.float32) for array in found), space=space)
