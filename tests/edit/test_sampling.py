"""Random codes of a generator and the scores of their pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.edit.sampling import random_codes, scored_codes
from restyle_jax.nets.style_based import broadcast_styles, truncate
from restyle_jax.nets.stylegan2 import Generator
from tests.edit.generators import stylegan2_of
from tests.networks import apply


def _mapped(generator: Generator, *inputs: jax.Array) -> jax.Array:
    return generator.mapping(*inputs)


def whole(chunks) -> tuple[np.ndarray, np.ndarray]:
    z, w = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return z, w


def test_a_code_depends_on_the_seed_and_its_number_only():
    generator = stylegan2_of()
    z, w = whole(random_codes(generator, 10, seed=3, chunk=10))
    again = whole(random_codes(generator, 10, seed=3, chunk=4))
    np.testing.assert_array_equal(z, again[0])
    np.testing.assert_allclose(w, again[1], atol=1e-5)
    np.testing.assert_allclose(w, apply(generator, _mapped, jnp.asarray(z)), atol=1e-5)
    assert not np.isclose(z, whole(random_codes(generator, 10, seed=4, chunk=10))[0]).any()
    with pytest.raises(ValueError, match="count is 0"):
        next(random_codes(generator, 0, seed=0))


def test_labels_of_conditional_generators_are_drawn():
    generator = stylegan2_of(label_dim=3)
    z, w = whole(random_codes(generator, 12, seed=0))
    mapped = np.stack([apply(generator, _mapped, jnp.asarray(z), jnp.tile(row, (12, 1))) for row in np.eye(3)])
    closest = np.abs(mapped - w).max(-1)
    assert (closest.min(0) < 1e-5).all() and len(set(closest.argmin(0))) > 1


def test_scores_belong_to_the_pictures_of_their_codes():
    """In the given truncation, in batches of one size, the last of which is filled up."""
    generator = stylegan2_of()
    w_avg, batches = jnp.ones((6, 16)), []

    def score(images: jax.Array) -> np.ndarray:
        batches.append(len(images))
        return np.stack([np.asarray(images).mean((1, 2, 3)), np.asarray(images).std((1, 2, 3))], axis=1)

    codes, scores = scored_codes(generator, w_avg, score, 5, seed=1, batch_size=2, truncation_cutoff=4)
    w = truncate(broadcast_styles(jnp.asarray(codes.w), 6), w_avg, 0.7, 4)
    images = np.asarray(jax.jit(generator.synthesis)(w))
    np.testing.assert_allclose(scores[:, 0], images.mean((1, 2, 3)), atol=1e-5)
    assert batches == [2, 2, 2] and scores.shape == (5, 2)
    np.testing.assert_allclose(np.linalg.norm(codes.z, axis=1), np.sqrt(12), rtol=1e-5)
    with pytest.raises(ValueError, match=r"the scores of 2 pictures have shape \(1,\)"):
        scored_codes(generator, w_avg, lambda images: np.ones(1), 5, seed=1, batch_size=2)
