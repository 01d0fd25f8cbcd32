"""Edits by reference: many sources and references at once, strengths, and codes of another generator."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.edit import reference
from tests.nets.test_edit_transformer import OFFICIAL, TINY, editor
from tests.nets.test_latent_classifier import codes


@pytest.mark.parametrize("config", [TINY, OFFICIAL])
def test_every_source_with_every_reference(config):
    net, w, references = editor(config), codes(5)[:2], codes(5)[2:]
    found = reference.edit(net, w, references)
    assert found.shape == (2, 3, 4, 8)
    for b in range(2):
        for r in range(3):
            single = net(jnp.asarray(w[b : b + 1]), jnp.asarray(references[r : r + 1]))
            np.testing.assert_allclose(found[b, r], single[0], atol=1e-5)


def test_strengths():
    net, w, references = editor(OFFICIAL), codes(5)[:2], codes(5)[2:]
    w[:, :, 0] = -0.0
    whole = reference.edit(net, w, references)
    still = np.asarray(reference.edit(net, w, references, 0))
    for r in range(3):
        assert still[:, r].tobytes() == w.tobytes()
    half = reference.edit(net, w, references, 0.5)
    np.testing.assert_allclose(half, (whole + w[:, None]) / 2, atol=1e-6)
    assert np.abs(whole[:, 0] - whole[:, 1]).max() > 1e-3
    together = np.asarray(reference.edit(net, w, references, np.array([0.5, 0.0, 1.0])))
    assert together[1].tobytes() == still.tobytes()
    np.testing.assert_allclose(together, [half, still, whole], atol=1e-6)


def test_what_is_refused():
    net, w = editor(), codes(2)
    wrong: list[tuple[tuple[Any, ...], str]] = [
        ((w[:, :3], w), r"shape \(2, 3, 8\), but the network for edits by reference reads \[B, 4, 8\]"),
        ((w, w[0]), r"shape \(4, 8\)"),
        ((w, w, float("nan")), "strength nan"),
    ]
    for arguments, message in wrong:
        with pytest.raises(ValueError, match=message):
            reference.edit(net, *arguments)
