"""Kernel distance between two sets of features (Binkowski et al., arXiv 1801.01401): KID, if the features are Inception's."""

import numpy as np


def kernel_distance(a: np.ndarray, b: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / F + 1)^3, averaged over random subsets.

    a, b: f32[N, F] and f32[M, F]. Each of the `subsets` pairs has min(size, N, M) features of either set, drawn without
    replacement by the seed. As in stylegan2-ada-pytorch; not multiplied by 1000. About 0 for sets of the same distribution,
    and then as often negative. Raises ValueError for fewer than two features.
    """
    size = min(size, len(a), len(b))
    if size < 2:
        raise ValueError(
            f"an unbiased kernel distance needs at least two features of each set, got {len(a)} and {len(b)}"
        )
    random = np.random.default_rng(seed)
    total = 0.0
    for _ in range(subsets):
        x, y = (np.asarray(of[random.choice(len(of), size, replace=False)], np.float64) for of in (a, b))
        within = sum(k.sum() - np.trace(k) for k in (_kernel(x, x), _kernel(y, y)))
        total += within / (size * (size - 1)) - 2 * _kernel(x, y).mean()
    return float(total / subsets)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base  # several times as fast as base**3
