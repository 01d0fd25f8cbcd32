"""How well a similarity tells pairs of pictures of one person from pairs of two."""

import numpy as np


def roc_area(same: np.ndarray, different: np.ndarray) -> float:
    """Area under the ROC curve: the probability that a pair of one person is more similar than one of two; ties count half.

    same, different: similarities [n] and [m] of pairs of one person and of two. 0.5 for who guesses.

    Raises ValueError if there are none.
    """
    _check(same, different)
    order = np.sort(different)
    below = np.searchsorted(order, same, side="left") + np.searchsorted(order, same, side="right")
    return float(below.mean() / (2 * len(different)))


def verification_accuracy(same: np.ndarray, different: np.ndarray) -> float:
    """Share of pairs that are told apart at the threshold where as many of one person are missed as of two are taken for one.

    That is 1 - the equal error rate. Arguments and errors as `roc_area`.
    """
    _check(same, different)
    thresholds = np.sort(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), thresholds, side="left") / len(same)
    taken = 1 - np.searchsorted(np.sort(different), thresholds, side="left") / len(different)
    # The first rises and the second falls with the threshold.
    crossing = np.argmin(np.abs(missed - taken))
    return float(1 - (missed[crossing] + taken[crossing]) / 2)


def _check(same: np.ndarray, different: np.ndarray) -> None:
    if not (len(same) and len(different)):
        raise ValueError(f"{len(same)} pairs of one person and {len(different)} of two: expected some of both")
