"""What a generator makes for its metrics: pictures that depend on their number only, labels, rounding, lengths of paths."""

import functools
from collections.abc import Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import restyle_jax as rs
from restyle_jax.metrics.generated import _labels, lengths_of_generator, pictures_of_generator
from restyle_jax.metrics.path_length import EPSILON, slerp
from restyle_jax.nets import stylegan, stylegan2
from restyle_jax.nets.style_based import broadcast_styles
from tests import networks


@functools.cache
def model(resolution: int = 8, kind: Any = stylegan2, **sizes: int) -> rs.Model:
    """A generator whose pictures vary with the code, and within [-1, 1] for the most part."""
    blocks = resolution.bit_length() - 2
    config = kind.GeneratorConfig(resolution, (16,) * blocks, z_dim=16, w_dim=16, mapping_layers=2, **sizes)
    generator = networks.random(kind.Generator, config)
    for block in generator.synthesis.blocks if kind is stylegan2 else ():
        block.to_rgb.kernel[...] *= 0.2
    return rs.Model(generator=generator, w_avg=jnp.zeros((2 * blocks, 16)))


def pictures(count: int = 7, *, of: rs.Model | None = None, **options) -> np.ndarray:
    generator, w_avg = (of or model()).require_generator()
    return np.concatenate(
        list(pictures_of_generator(generator, w_avg, count, **{"seed": 1, "batch_size": 3, **options}))
    )


def test_a_picture_depends_on_the_seed_and_its_number_only():
    found = pictures()
    assert found.shape == (7, 8, 8, 3) and found.dtype == np.uint8
    others = pictures(4, batch_size=2).astype(int)
    assert np.abs(others - found[:4]).max() <= 1  # a value between two bytes may round to the other one
    assert (pictures(2, seed=2) != found[:2]).any()
    assert len(np.unique(found.reshape(7, -1), axis=0)) == 7


def test_truncation_and_noise():
    """With one code for all, noise alone makes pictures differ."""
    average = pictures(3, truncation_psi=0.0).astype(int)
    differences = np.abs(average[0] - average[1]).mean(), np.abs(np.diff(pictures(3).astype(int), axis=0)).mean()
    assert 0 < differences[0] < differences[1]


def test_values_are_rounded_half_up_and_must_be_finite():
    generator, w_avg = model().require_generator()

    class Flat(nnx.Module):
        """Makes pictures of one value, that of the first number of the code."""

        def __init__(self):
            self.mapping, self.config = generator.mapping, generator.config

        def synthesis(self, w: jax.Array, key: jax.Array) -> jax.Array:
            return jnp.full((1, 2, 2, 3), w[0, 0, 0])

    def flat(value: float, count: int) -> Iterator[np.ndarray]:
        average, network = jnp.full_like(w_avg, value), cast(Any, Flat())
        return pictures_of_generator(network, average, count, seed=0, batch_size=3, truncation_psi=0.0)

    for byte, value in ((0, -1), (0, -3), (255, 1), (255, 2), (128, 0), (128, 0.99 / 127.5), (129, 1.01 / 127.5)):
        found = next(flat(value, 1))
        assert (found == byte).all(), (found, byte, value)
    for value in (np.nan, np.inf, 1e38):
        with pytest.raises(ValueError, match="not finite in 3 of 3 pictures"):
            next(flat(value, 5))


@pytest.mark.parametrize("kind", [stylegan, stylegan2])
def test_every_kind_of_generator_with_and_without_classes(kind: Any):
    found = pictures(3, of=model(8, kind))
    assert found.shape == (3, 8, 8, 3) and (found[0] != found[1]).any()
    if kind is stylegan2:
        assert (pictures(3, of=model(8, kind, label_dim=3)) != found).any()


@pytest.mark.parametrize(("table", "shares"), [(None, (1 / 3, 1 / 3, 1 / 3)), ([0, 0, 2, 0], (0.75, 0, 0.25))])
def test_labels_are_those_of_the_data_or_uniform_over_the_classes(table: Any, shares: Any):
    generator = model(label_dim=3).require_generator()[0]
    seen = _labels(generator, jax.random.split(jax.random.key(0), 600), table and jnp.array(table))
    assert seen is not None and (seen.sum(axis=1) == 1).all()
    np.testing.assert_allclose(seen.mean(axis=0), shares, atol=0.06)


def test_pictures_and_lengths_have_the_labels_of_the_data():
    conditional = model(label_dim=3)
    first, second = (np.full(5, label, np.int32) for label in (0, 1))
    assert (pictures(3, of=conditional, labels=first) != pictures(3, of=conditional, labels=second)).any()
    squares: Any = Squares()
    settings: Any = {"space": "w", "full": False, "crop": False, "seed": 5, "batch_size": 2}
    lengths = [
        next(lengths_of_generator(conditional.require_generator()[0], squares, 2, labels=labels, **settings))
        for labels in (first, second)
    ]
    assert (lengths[0] != lengths[1]).all()


class Squares(nnx.Module):
    """In place of LPIPS, which takes long to compile."""

    def __call__(self, y: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.square(y - x).sum(axis=(1, 2, 3))


@pytest.mark.parametrize(("space", "full"), [("w", False), ("z", True)])
def test_lengths_are_distances_of_pictures_with_one_noise(space: Any, full: bool):
    """At the start of paths in w, and anywhere on paths in z: computed one by one."""
    generator, w_avg = model().require_generator()
    squares: Any = Squares()
    chunks = lengths_of_generator(generator, squares, 3, space=space, full=full, crop=False, seed=5, batch_size=2)
    found = np.concatenate(list(chunks))
    assert found.shape == (3,)

    @jax.jit
    def length(number: jax.Array) -> jax.Array:
        key_z, key_t, _, key_noise = jax.random.split(jax.random.fold_in(jax.random.key(5), number), 4)
        z = jax.random.normal(key_z, (2, 16))
        steps = jnp.array([[0.0], [EPSILON]])
        if space == "w":
            w = generator.mapping(z)
            w = w[0] + steps * (w[1] - w[0])
        else:
            w = generator.mapping(slerp(z[:1], z[1:], jax.random.uniform(key_t) + steps))
        y = [generator.synthesis(broadcast_styles(code[None], len(w_avg)), key_noise) for code in w]
        return squares(*y)[0] / EPSILON**2

    expected = [float(length(i)) for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=0.02)  # of pictures exact to 1e-7 that differ by about 1e-4


def test_lengths_of_the_cropped_part():
    generator, _ = model().require_generator()
    squares: Any = Squares()
    whole, part = (
        next(lengths_of_generator(generator, squares, 2, space="w", full=False, crop=crop, seed=5, batch_size=2))
        for crop in (False, True)
    )
    assert (part < whole).all()
