"""Telling pairs apart: by the definitions, for who knows, who guesses and who is always wrong."""

import numpy as np
import pytest

from restyle_jax.metrics.verification import roc_area, verification_accuracy


def test_the_area_is_the_share_of_ordered_pairs():
    random = np.random.default_rng(0)
    same, different = random.integers(0, 6, 40) + 1, random.integers(0, 6, 60)
    above, equal = (same[:, None] > different).mean(), (same[:, None] == different).mean()
    assert roc_area(same, different) == pytest.approx(above + equal / 2)


def test_the_accuracy_is_that_of_equal_errors():
    random = np.random.default_rng(1)
    same, different = random.normal(1, 1, 4000), random.normal(-1, 1, 8000)
    # Two normal distributions two standard deviations apart: the threshold is halfway.
    assert verification_accuracy(same, different) == pytest.approx(0.8413, abs=0.01)
    assert roc_area(same, different) == pytest.approx(0.9214, abs=0.01)


def test_the_ends_of_the_scale():
    high, low = np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3])
    assert (roc_area(high, low), roc_area(low, high), roc_area(low, low)) == (1, 0, 0.5)
    assert (verification_accuracy(high, low), verification_accuracy(low, high)) == (1, 0)


@pytest.mark.parametrize("measure", [roc_area, verification_accuracy])
def test_some_of_both_are_needed(measure):
    with pytest.raises(ValueError, match="0 pairs of one person and 2 of two"):
        measure(np.array([]), np.ones(2))
