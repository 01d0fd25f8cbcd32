"""InterFaceGAN (arXiv 2005.09635, genforce/interfacegan `utils/manipulator.py`): the normal of a linear boundary between the
codes of pictures with and without an attribute, and boundaries that leave other attributes alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from restyle_jax.edit.direction import Direction, Space


def fit(
    codes: np.ndarray,
    scores: np.ndarray,
    *,
    name: str,
    space: Space,
    chosen: float = 0.02,
    split: float = 0.7,
    invalid: float | None = None,
    seed: int = 0,
) -> Direction:
    """The unit normal of a linear SVM between the codes of highest and of lowest score, towards the high ones.

    The intercept is left out, as in the official code, so that the coordinate of a code is its plain projection.

    Args:
        codes: f32[N, D] of Z or W.
        scores: f32[N], any monotonous measure of the attribute.
        chosen: how many codes of either end take part, as a share of all up to 1, or a number above; half of all at most.
        split: the share of them that trains; the others validate.
        invalid: score of the codes that do not count.
        seed: of the shuffle before the split.

    Returns a direction whose metadata has the number of codes and the accuracy in training, in validation, and among the codes
    between the ends, where a positive one is above the mean of the largest and the smallest score. An accuracy without codes
    is None. Raises ValueError for shapes or numbers that do not fit, and for codes that cannot be told apart.
    """
    codes, scores = np.asarray(codes), np.asarray(scores).reshape(-1)
    if codes.ndim != 2 or len(codes) != len(scores):
        raise ValueError(f"codes have shape {codes.shape} and scores {scores.shape}, expected [N, D] and [N]")
    if not (np.isfinite(codes).all() and np.isfinite(scores).all()):
        raise ValueError("some codes or scores are not finite; expected finite numbers")
    if invalid is not None:
        codes, scores = codes[scores != invalid], scores[scores != invalid]
    order = np.argsort(scores)[::-1]
    codes, scores = codes[order], scores[order]
    number = min(int(chosen * len(codes)) if chosen <= 1 else int(chosen), len(codes) // 2)
    training = int(number * split)
    if training < 1 or not 0 < split <= 1:
        raise ValueError(
            f"chosen is {chosen} and split {split}, which leaves {training} of {len(codes)} codes on each side for training; "
            "expected at least 1"
        )
    if scores[0] == scores[-1]:
        raise ValueError(f"all scores are {scores[0]}; expected pictures with and without {name}")

    from sklearn.svm import SVC

    shuffle = np.random.RandomState(seed)
    ends = [codes[:number], codes[len(codes) - number :]]
    ends = [end[shuffle.permutation(number)] for end in ends]
    machine = SVC(kernel="linear").fit(*_labelled(ends[0][:training], ends[1][:training]))
    normal = machine.coef_[0] / np.linalg.norm(machine.coef_)

    between, threshold = slice(number, len(codes) - number), (scores[0] + scores[-1]) / 2
    accuracy = {
        "training": _accuracy(machine, *_labelled(ends[0][:training], ends[1][:training])),
        "validation": _accuracy(machine, *_labelled(ends[0][training:], ends[1][training:])),
        "between": _accuracy(machine, codes[between], (scores[between] > threshold).astype(int)),
    }
    return Direction(
        name, normal, space, metadata={"method": "interfacegan", "chosen": number, "accuracy": accuracy, "seed": seed}
    )


def _labelled(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([positive, negative]), np.repeat([1, 0], [len(positive), len(negative)])


def _accuracy(machine, codes: np.ndarray, labels: np.ndarray) -> float | None:
    return float(machine.score(codes, labels)) if len(codes) else None


def project(direction: Direction, conditions: Sequence[Direction]) -> Direction:
    """The part of a direction that is orthogonal to all conditions, of unit length: it changes nothing along them.

    Any number of conditions of any length; the official code has a formula of its own for one and for two, with the same
    result. Raises ValueError without conditions, if they belong to another space, or if they leave nothing of the direction.
    """
    others = [condition.vector for condition in conditions]
    if not others or any((c.space, c.vector.shape) != (direction.space, direction.vector.shape) for c in conditions):
        found = ", ".join(f"{c.name} {c.vector.shape} in {c.space}" for c in conditions) or "none"
        raise ValueError(
            f"conditions are {found}; expected at least one, {direction.vector.shape} in {direction.space} as {direction.name}"
        )
    basis = np.stack([other.reshape(-1) for other in others], axis=1).astype(np.float64)
    vector = direction.vector.reshape(-1).astype(np.float64)
    rest = vector - basis @ np.linalg.lstsq(basis, vector)[0]
    if np.linalg.norm(rest) < 1e-6 * np.linalg.norm(vector):
        raise ValueError(f"the conditions leave nothing of {direction.name}: it is a sum of them")
    names = "_".join(condition.name for condition in conditions)
    projected = (rest / np.linalg.norm(rest)).reshape(direction.vector.shape).astype(direction.vector.dtype)
    return dataclasses.replace(direction, name=f"{direction.name}_c_{names}", vector=projected)
