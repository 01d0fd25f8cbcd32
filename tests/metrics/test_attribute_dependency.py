"""Attribute dependency: its definition, its units, and bad input."""

import numpy as np
import pytest

from restyle_jax.metrics.attribute_dependency import attribute_dependency


def test_its_definition():
    before = np.zeros((2, 3))
    after = np.array([[4.0, 1.0, -3.0], [2.0, -1.0, 0.0]])
    found = attribute_dependency(before, after, np.array([2.0, 0.5, 1.0]), target=0)
    assert (found.target, found.mean, found.maximum) == (1.5, (2.0 + 1.5) / 2, 2.0)
    np.testing.assert_allclose(found.each, [1.5, 2.0, 1.5])


def test_it_has_no_unit_and_an_edit_that_changes_nothing_has_none():
    random = np.random.default_rng(0)
    before, after, scale = random.standard_normal((50, 4)), random.standard_normal((50, 4)), np.array([1.0, 10, 0.1, 5])
    first = attribute_dependency(before, after, np.ones(4), 2)
    second = attribute_dependency(before * scale, after * scale, scale, 2)
    np.testing.assert_allclose(first.each, second.each)
    assert attribute_dependency(before, before, np.ones(4), 1).maximum == 0


def test_bad_input():
    ones = np.ones((2, 3))
    for arguments, message in (
        ((ones, ones[:1], ones[0], 0), r"shapes \(2, 3\) and \(1, 3\) and sigma \(3,\), expected \[N, A\]"),
        ((ones, ones, np.ones(2), 0), r"sigma \(2,\)"),
        ((ones[:0], ones[:0], ones[0], 0), "shapes"),
        ((ones, ones * np.nan, ones[0], 0), "not finite"),
        ((ones, ones, np.array([1.0, 0, 1]), 0), "a sigma is not positive"),
        ((ones, ones, ones[0], 3), "target is 3 of 3 attributes"),
        ((ones[:, :1], ones[:, :1], ones[0, :1], 0), "at least two"),
    ):
        with pytest.raises(ValueError, match=message):
            attribute_dependency(*arguments)
