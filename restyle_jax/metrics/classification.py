"""How well probabilities say which of two classes something belongs to: functions of arrays for many attributes at once."""

from typing import NamedTuple

import numpy as np

BINS = 15


class Quality(NamedTuple):
    """Of A attributes, f64[A] each. accuracy: share of right answers at one half. average_precision: NaN where no item has the
    attribute. calibration_error: expected calibration error (arXiv 1706.04599), of the probability of the attribute."""

    accuracy: np.ndarray
    average_precision: np.ndarray
    calibration_error: np.ndarray


def quality(probabilities: np.ndarray, labels: np.ndarray) -> Quality:
    """Of N items: probabilities f32[N, A] in [0, 1], labels [N, A] in {0, 1}.

    Raises ValueError if the shapes are not the same, or there are no items.
    """
    if probabilities.shape != labels.shape or probabilities.ndim != 2 or not len(labels):
        raise ValueError(
            f"probabilities {probabilities.shape} and labels {labels.shape}: expected the same [N, A], N > 0"
        )
    right = (probabilities > 0.5) == (labels > 0)
    columns = list(zip(np.asarray(probabilities, np.float64).T, labels.T > 0, strict=True))
    precision = np.array([_average_precision(*column) for column in columns])
    return Quality(right.mean(0), precision, np.array([_calibration_error(*column) for column in columns]))


def _average_precision(p: np.ndarray, label: np.ndarray) -> float:
    """Sum over thresholds of precision times the gain of recall, equal probabilities together, as scikit-learn."""
    if not label.any():
        return np.nan
    order = np.argsort(-p, kind="stable")
    p, hits = p[order], np.cumsum(label[order])
    last = np.flatnonzero(np.append(np.diff(p) != 0, True))
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def _calibration_error(p: np.ndarray, label: np.ndarray) -> float:
    """Mean over the items of |mean probability - frequency| in their bin, of BINS of equal width."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, p - label, minlength=BINS)
    return float(np.abs(excess).sum() / len(p))
