"""Attribute dependency (StyleSpace, arXiv 2011.12799, section 5): how much an edit of one attribute changes the others.

Changes of logits are measured in standard deviations of the logits over generated pictures, so that attributes compare.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dependency:
    """Mean changes |logit after - logit before| / sigma over the pictures.

    target: of the edited attribute. each: of every attribute, f64[A], the edited one among them. mean, maximum: of the others,
    the paper's mean-AD and max-AD. Compare edits at equal `target`.
    """

    target: float
    each: np.ndarray
    mean: float
    maximum: float


def attribute_dependency(before: np.ndarray, after: np.ndarray, sigma: np.ndarray, target: int) -> Dependency:
    """The dependency of an edit of attribute `target`.

    Args:
        before: f32[N, A] logits of pictures.
        after: f32[N, A] logits of the edited pictures.
        sigma: f32[A] standard deviations of the logits over generated pictures.

    Raises ValueError for shapes that do not fit, numbers that are not finite, a sigma that is not positive, a target that
    does not exist, and for less than two attributes.
    """
    before, after, sigma = (np.asarray(array, np.float64) for array in (before, after, sigma))
    if before.ndim != 2 or not len(before) or after.shape != before.shape or sigma.shape != before.shape[1:]:
        raise ValueError(
            f"logits have shapes {before.shape} and {after.shape} and sigma {sigma.shape}, expected [N, A], [N, A] and [A]"
        )
    if not (np.isfinite(before).all() and np.isfinite(after).all() and np.isfinite(sigma).all() and (sigma > 0).all()):
        raise ValueError(
            "some logits or sigmas are not finite, or a sigma is not positive; is a logit the same everywhere?"
        )
    attributes = len(sigma)
    if attributes < 2 or not 0 <= target < attributes:
        raise ValueError(f"target is {target} of {attributes} attributes, expected one of at least two")
    each = (np.abs(after - before) / sigma).mean(0)
    others = np.delete(each, target)
    return Dependency(float(each[target]), each, float(others.mean()), float(others.max()))
