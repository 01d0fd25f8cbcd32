"""Accuracy, average precision and calibration of probabilities."""

import numpy as np
import pytest
from sklearn import metrics

from restyle_jax.metrics.classification import BINS, quality


def test_numbers_by_hand():
    p = np.array([[0.9], [0.8], [0.4], [0.2]])
    labels = np.array([[1], [0], [1], [0]])
    found = quality(p, labels)
    assert found.accuracy.tolist() == [0.5]
    assert found.average_precision[0] == pytest.approx((1 + 2 / 3) / 2)
    assert found.calibration_error[0] == pytest.approx((0.1 + 0.8 + 0.6 + 0.2) / 4)


def test_average_precision_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (200, 4))
    p = np.round(random.random((200, 4)) * 0.7 + labels * 0.2, 2)  # many are equal
    found = quality(p, labels).average_precision
    expected = [metrics.average_precision_score(labels[:, k], p[:, k]) for k in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_extremes():
    labels = np.array([[1, 0], [1, 0], [0, 0]])
    sure = quality(labels.astype(np.float32), labels)
    assert sure.accuracy.tolist() == [1, 1] and sure.calibration_error.tolist() == [0, 0]
    assert sure.average_precision[0] == 1 and np.isnan(sure.average_precision[1])
    wrong = quality(1 - labels.astype(np.float32), labels)
    assert wrong.accuracy.tolist() == [0, 0] and wrong.calibration_error.tolist() == [1, 1]


def test_probabilities_that_are_true_are_calibrated():
    random = np.random.default_rng(0)
    p = random.random((40_000, 1))
    labels = random.random(p.shape) < p
    assert quality(p, labels).calibration_error < 3 * np.sqrt(0.25 * BINS / len(p))
    assert quality(p**3, labels).calibration_error > 0.2


def test_what_is_refused():
    for p, labels in (
        (np.zeros((2, 3)), np.zeros((2, 2))),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.zeros(3), np.zeros(3)),
    ):
        with pytest.raises(ValueError, match=r"expected the same \[N, A\]"):
            quality(p, labels)
