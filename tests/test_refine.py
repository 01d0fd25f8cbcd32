"""The refinement loop on small networks: what must hold for any weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax import refine
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.refine import Estimate, Geometry
from tests import networks

STYLES, DIM = 6, 32


def small_networks(in_channels: int = 6) -> tuple[Encoder, Generator]:
    """A 16-px generator and an encoder of 32-px pictures."""
    encoder = EncoderConfig("backbone", "resnet18", STYLES, in_channels, style_dim=DIM, width=4, head_convs=1)
    generator = GeneratorConfig(16, (8, 8, 8), z_dim=DIM, w_dim=DIM, mapping_layers=2)
    return (
        networks.random(Encoder, encoder),
        networks.random(Generator, generator),
    )


GEOMETRY = Geometry(32, 32)


def run(encoder: Encoder, generator: Generator, x, start, w_avg, steps, **options):
    graphs, states = zip(nnx.split(encoder), nnx.split(generator), strict=True)
    static = {key: options.pop(key) for key in ("capacity", "resize_outputs") if key in options}

    @jax.jit
    def call(states, x, start, w_avg, traced_steps):
        merged = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
        count = traced_steps if "capacity" in static else steps
        return refine.refine(*merged, x, start, w_avg, count, options.get("geometry", GEOMETRY), **static)

    return call(states, x, start, w_avg, steps)


@pytest.fixture(scope="module")
def setting():
    encoder, generator = small_networks()
    x = jax.random.uniform(jax.random.key(0), (4, 32, 32, 3), minval=-1)
    w_avg = 0.3 * jax.random.normal(jax.random.key(1), (STYLES, DIM))
    start = refine.average(generator, w_avg, GEOMETRY)
    return encoder, generator, x, start, w_avg


def test_scan_equals_single_steps(setting):
    encoder, generator, x, start, w_avg = setting
    inversion, last = run(encoder, generator, x, start, w_avg, 5)
    assert inversion.latents.shape == (5, 4, STYLES, DIM) and inversion.images.shape == (5, 4, 16, 16, 3)
    estimate = Estimate(jnp.repeat(start.w, 4, 0), jnp.repeat(start.y, 4, 0))
    for i in range(5):
        single, estimate = run(encoder, generator, x, estimate, w_avg, 1)
        np.testing.assert_allclose(inversion.latents[i], single.latents[0], rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(inversion.images[i], single.images[0], rtol=2e-4, atol=2e-3)
    np.testing.assert_array_equal(last.w, inversion.latents[-1])
    assert np.isfinite(inversion.images).all() and np.abs(inversion.latents[4] - inversion.latents[3]).max() > 1e-3


def test_traced_number_of_steps_equals_static(setting):
    """One compilation for every N up to the capacity, with the same result; what is beyond N stays zero."""
    encoder, generator, x, start, w_avg = setting
    padded, last = run(encoder, generator, x, start, w_avg, 3, capacity=6)
    static, expected = run(encoder, generator, x, start, w_avg, 3)
    np.testing.assert_allclose(padded.latents[:3], static.latents, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last.w, expected.w, rtol=1e-5, atol=1e-5)
    assert padded.images.shape[0] == 6 and not padded.images[3:].any() and not padded.latents[3:].any()


def test_a_row_of_a_batch_equals_batch_one(setting):
    encoder, generator, x, start, w_avg = setting
    batch, _ = run(encoder, generator, x, start, w_avg, 2)
    single, _ = run(encoder, generator, x[2:3], start, w_avg, 2)
    np.testing.assert_allclose(batch.latents[:, 2:3], single.latents, rtol=2e-4, atol=2e-4)


def test_resized_outputs_are_what_the_encoder_sees(setting):
    encoder, generator, x, start, w_avg = setting
    full, last = run(encoder, generator, x, start, w_avg, 2)
    resized, _ = run(encoder, generator, x, start, w_avg, 2, resize_outputs=True)
    np.testing.assert_allclose(resized.images[-1], last.y, atol=1e-4)
    np.testing.assert_allclose(resized.images, full.images.repeat(2, 2).repeat(2, 3), atol=1e-4)


def test_a_plain_encoder_restarts_from_the_average():
    """pSp and e4e see three channels: each step gives w_avg + E(x), whatever the estimate was."""
    encoder, generator = small_networks(in_channels=3)
    x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1)
    w_avg = jnp.ones((STYLES, DIM))
    inversion, _ = run(encoder, generator, x, refine.average(generator, w_avg, GEOMETRY), w_avg, 2)
    np.testing.assert_array_equal(inversion.latents[0], inversion.latents[1])
    np.testing.assert_allclose(inversion.latents[0], 1 + encoder(x), rtol=1e-4, atol=1e-4)


def test_gradient_reaches_the_encoder_through_one_step(setting):
    encoder, generator, x, start, w_avg = setting
    graph, params, rest = nnx.split(encoder, nnx.Param, ...)
    start = Estimate(jnp.repeat(start.w, 4, 0), jnp.repeat(start.y, 4, 0))

    @jax.jit
    def loss(params):
        net = nnx.merge(graph, params, rest, copy=True)
        estimate, _ = refine.step(net, generator, x, start, w_avg, GEOMETRY)
        return jnp.mean(jnp.square(estimate.y - x)) * 1e-2

    gradient = jax.grad(loss)(params)
    norm = sum(float(jnp.vdot(g, g)) for g in jax.tree.leaves(gradient)) ** 0.5
    assert np.isfinite(norm) and norm > 0
    nudged = jax.tree.map(lambda p, g: p - 1e-3 / norm * g, params, gradient)
    slope = (float(loss(nudged)) - float(loss(params))) / -1e-3
    assert abs(slope / norm - 1) < 0.05


def test_cars_geometry_crops_and_pools_the_same_rows():
    geometry = Geometry(192, 256, 32)
    square = jax.random.normal(jax.random.key(0), (1, 512, 512, 3))
    assert geometry.crop(square).shape == (1, 384, 512, 3)
    np.testing.assert_array_equal(geometry.crop(square), square[:, 64:448])
    blocks = geometry.crop(square).reshape(1, 192, 2, 256, 2, 3).mean((2, 4))
    np.testing.assert_allclose(geometry.pool(square), blocks, atol=1e-6)


def test_impossible_geometries_are_named():
    with pytest.raises(ValueError, match="does not fit"):
        Geometry(256, 256, 1)
    with pytest.raises(ValueError, match="does not fit"):
        dataclasses.replace(Geometry(), height=0)
    with pytest.raises(ValueError, match="does not cut a 16-px picture at whole rows"):
        Geometry(200, 256, 28).crop(jnp.zeros((1, 16, 16, 3)))
