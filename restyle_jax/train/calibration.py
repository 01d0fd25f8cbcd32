"""The linear weights of a perceptual distance (`nets.small_perceptual`), from pairs of distortions whose order is known."""

import numpy as np

RIDGE = 1e-4
STEPS = 500


def calibrate(nearer: np.ndarray, farther: np.ndarray) -> np.ndarray:
    """Weights f32[C] of 0 or more, with which the weaker distortion of a picture is nearer to it than the stronger one.

    nearer, farther: f32[P, C], differences of the channels between a picture and its weaker and stronger distortion. With
    x = farther - nearer, scaled so that weights of 1 give values of about 1, the weights minimise

        mean over pairs of log(1 + exp(-x w)) + RIDGE / 2 |w|^2,  w >= 0,

    the likelihood of the known orders if the farther one is chosen with probability 1 / (1 + exp(-x w)): LPIPS trains its
    weights on judgements of people by a small network in place of that function (arXiv 1801.03924, section 3.3). It is
    convex, and solved by accelerated projected gradients (Beck and Teboulle, 2009) in float64.

    Raises ValueError if the shapes differ, or nothing differs.
    """
    if nearer.shape != farther.shape or nearer.ndim != 2:
        raise ValueError(f"differences of shapes {nearer.shape} and {farther.shape}: expected the same [P, C] for both")
    x = (farther - nearer).astype(np.float64)
    pairs, channels = x.shape
    scale = np.sqrt(np.square(x).mean() * channels)
    if not scale > 0:
        raise ValueError(f"{pairs} pairs of distortions: expected some whose differences from their pictures differ")
    x /= scale
    # The second derivative of the logistic loss is 1/4 at most.
    curvature = np.linalg.norm(x, 2) ** 2 / (4 * pairs) + RIDGE
    weights = ahead = np.zeros(channels)
    momentum = 1.0
    for _ in range(STEPS):
        gradient = RIDGE * ahead - x.T @ (1 / (1 + np.exp(x @ ahead))) / pairs
        new = np.maximum(ahead - gradient / curvature, 0)
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / faster * (new - weights)
        weights, momentum = new, faster
    return (weights / scale).astype(np.float32)
