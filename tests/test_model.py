"""The Python API on tiny models."""

import dataclasses

import jax
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax import model as model_module
from restyle_jax import refine
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from tests import networks, tiny


@pytest.fixture(scope="module")
def model() -> rs.Model:
    return rs.load(tiny.checkpoint())


def photos(count: int = 2, height: int = tiny.SIZE, width: int = tiny.SIZE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, height, width, 3)).astype(np.float32)


def test_invert_returns_every_step(model: rs.Model):
    latents, images = rs.invert(model, photos(), steps=3)
    assert latents.shape == (3, 2, 6, tiny.STYLE_DIM) and images.shape == (3, 2, 16, 16, 3)
    assert latents.dtype == images.dtype == np.float32
    resized = rs.invert(model, photos(), steps=3, resize_outputs=True)
    assert resized.images.shape == (3, 2, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_allclose(resized.latents, latents, atol=1e-5)


def test_another_number_of_steps_does_not_compile_again(model: rs.Model):
    rs.invert(model, photos(), steps=3)
    before = model_module._refine._cache_size()
    seven = rs.invert(model, photos(), steps=7)
    assert model_module._refine._cache_size() == before
    np.testing.assert_allclose(seven.latents[:3], rs.invert(model, photos(), steps=3).latents, atol=1e-5)
    assert rs.invert(model, photos(), steps=12).latents.shape[0] == 12


def test_photos_of_another_size_are_resized_as_bytes(model: rs.Model):
    bytes_ = np.random.default_rng(1).integers(0, 256, (1, 50, 40, 3), np.uint8)
    x = model_module.image_ops.to_float(bytes_)
    expected = rs.invert(model, model_module.image_ops.resize(x, tiny.SIZE, tiny.SIZE), steps=1)
    np.testing.assert_array_equal(rs.invert(model, x, steps=1).latents, expected.latents)


def test_lists_of_numbers_and_half_precision_are_pictures(model: rs.Model):
    x = np.round(photos(1) * 8) / 8  # exact in any of these
    expected = rs.invert(model, x, steps=1).latents
    for images in (x.tolist(), x.astype(np.float64), jax.numpy.asarray(x, jax.numpy.bfloat16)):
        np.testing.assert_array_equal(rs.invert(model, images, steps=1).latents, expected)


def test_what_a_model_keeps_may_be_read_first_inside_a_compiled_function():
    """As `refine.refine` is used by those who build on it."""
    fresh = rs.load(tiny.checkpoint())

    @jax.jit
    def compiled(x: jax.Array) -> refine.Inversion:
        networks = fresh.require_encoder(), fresh.require_generator()[0]
        return refine.refine(*networks, x, fresh.average, fresh.w_avg, 2, fresh.geometry)[0]

    found, expected = compiled(photos()), rs.invert(rs.load(tiny.checkpoint()), photos(), steps=2)
    np.testing.assert_allclose(found.latents, expected.latents, atol=1e-5)
    np.testing.assert_allclose(rs.invert(fresh, photos(), steps=2).latents, expected.latents, atol=1e-5)


def test_bootstrapping_goes_on_from_the_first_model():
    first, second = rs.load(tiny.checkpoint(0)), rs.load(tiny.checkpoint(1))
    both = rs.invert(second, photos(), steps=2, bootstrap_from=first, bootstrap_steps=3)
    assert both.latents.shape[0] == both.images.shape[0] == 5
    np.testing.assert_allclose(both.latents[:3], rs.invert(first, photos(), steps=3).latents, atol=1e-5)
    alone = rs.invert(second, photos(), steps=2)
    assert np.abs(both.latents[3:] - alone.latents).max() > 1e-2
    same = rs.invert(first, photos(), steps=2, bootstrap_from=first, bootstrap_steps=1)
    np.testing.assert_allclose(same.latents, rs.invert(first, photos(), steps=3).latents, atol=1e-4)


def test_cars_are_cropped():
    model = rs.load(tiny.checkpoint(cars=True))
    inversion = rs.invert(model, photos(1, 24, 32), steps=2)
    assert inversion.images.shape == (2, 1, 12, 16, 3)
    assert model.average.y.shape == (1, 24, 32, 3)


def test_a_single_pass_encoder_makes_one_step():
    model = rs.load(tiny.checkpoint(in_channels=3))
    assert rs.invert(model, photos(), steps=5).latents.shape[0] == 1


def test_bfloat16_gives_nearly_the_same(model: rs.Model):
    low = rs.load(tiny.checkpoint(), dtype=jax.numpy.bfloat16)
    exact, rounded = (rs.invert(m, photos(), steps=1).latents for m in (model, low))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(exact - rounded).max() < 0.1 * exact.std()


def test_seeds_mean_the_same_picture_in_any_batch(model: rs.Model):
    pictures = rs.generate(model, [3, 1, 4, 1, 5], truncation_psi=0.7, batch_size=2)
    assert pictures.shape == (5, 16, 16, 3)
    np.testing.assert_array_equal(pictures[1], pictures[3])
    np.testing.assert_allclose(rs.generate(model, [4], truncation_psi=0.7, batch_size=2)[0], pictures[2], atol=1e-5)
    codes = rs.sample(model, [3, 1], truncation_psi=0.0)
    np.testing.assert_allclose(codes, np.broadcast_to(model.w_avg, codes.shape), atol=1e-6)
    np.testing.assert_allclose(
        rs.synthesise(model, rs.sample(model, [3], truncation_psi=0.7))[0], pictures[0], atol=1e-5
    )


def test_wrong_arguments_are_named(model: rs.Model):
    with pytest.raises(ValueError, match=r"images have shape \(32, 32, 3\), expected \[B, H, W, 3\]"):
        rs.invert(model, photos()[0])
    with pytest.raises(ValueError, match=r"expected \[-1, 1\]"):
        rs.invert(model, 255 * photos())
    with pytest.raises(ValueError, match=r"expected \[-1, 1\]"):
        rs.invert(model, np.full((1, 32, 32, 3), np.nan, np.float32))
    for images in (np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 32, 32, 3), bool), [[[[0, 1, 0]]]]):
        with pytest.raises(
            ValueError, match=r"images are (uint8|bool|int64), expected floating point .*bytes / 127\.5"
        ):
            rs.invert(model, images)
    with pytest.raises(ValueError, match="steps is 0"):
        rs.invert(model, photos(), steps=0)
    for steps in (2.0, float("nan"), "2", None):
        with pytest.raises(ValueError, match=f"steps is {steps}, expected a whole number"):
            rs.invert(model, photos(), steps=steps)
    for size in (0, -1, 2.0):
        with pytest.raises(ValueError, match=f"batch_size is {size}, expected a whole number of at least 1"):
            rs.generate(model, [0], batch_size=size)
    with pytest.raises(ValueError, match="no codes given"):
        rs.synthesise(model, np.zeros((0, 6, tiny.STYLE_DIM), np.float32))
    for batch_size in (1, 4):
        with pytest.raises(ValueError, match=rf"codes have shape \(3, 7, 2\), expected \[B, 6, {tiny.STYLE_DIM}\]"):
            rs.synthesise(model, np.zeros((3, 7, 2), np.float32), batch_size=batch_size)
    for cutoff in (2.5, -1):
        with pytest.raises(ValueError, match=f"truncation_cutoff is {cutoff}, expected a whole number of at least 0"):
            rs.sample(model, [0], truncation_cutoff=cutoff)
    for seed in (None, -1, 1.5, [1, 2]):
        with pytest.raises(ValueError, match=r"seed is .*, expected a whole number of at least 0"):
            rs.sample(model, [0, seed])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="no seeds given"):
        rs.generate(model, [])
    with pytest.raises(ValueError, match=r"needs no label \(--class\), got 1"):
        rs.generate(model, [0], label=1)
    with pytest.raises(ValueError, match="has no encoder"):
        rs.invert(dataclasses.replace(model, encoder=None), photos())
    with pytest.raises(ValueError, match="has no generator"):
        rs.generate(dataclasses.replace(model, generator=None), [0])
    with pytest.raises(ValueError, match="model is 'avatars64/psp', expected a model: load it first"):
        rs.invert("avatars64/psp", photos())  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="bootstrap_from is 'avatars64/psp', expected a model: load it first"):
        rs.invert(model, photos(), bootstrap_from="avatars64/psp")
    with pytest.raises(ValueError, match="bootstrapping needs two models of the same shape"):
        rs.invert(model, photos(), bootstrap_from=rs.load(tiny.checkpoint(resolution=32)))


@pytest.mark.parametrize(("channels", "inputs"), [(1, "sketch"), (3, "photo"), (5, "label map"), (6, "photo")])
def test_what_an_encoder_looks_at(channels: int, inputs: str):
    model = rs.load(tiny.checkpoint(in_channels=channels))
    assert model.inputs == inputs and model.input_channels == min(channels, 3 if inputs == "photo" else channels)
    if inputs == "photo":
        model.require_photos()
        return
    with pytest.raises(ValueError, match=rf"a {inputs} \(channels: {channels}\), expected one for photos"):
        model.require_photos()
    with pytest.raises(ValueError, match=rf"expected \[B, H, W, {channels}\] with at least one {inputs}"):
        rs.invert(model, photos())
    with pytest.raises(ValueError, match=rf"expected {inputs} pictures of 32 x 32, as only photos"):
        rs.invert(model, np.zeros((1, 16, 16, channels), np.float32))
    with pytest.raises(ValueError, match=r"images range from -1.0 to -1.0, expected \[0, 1\]: bytes / 255"):
        rs.invert(model, np.full((1, 32, 32, channels), -1.0))
    with pytest.raises(ValueError, match="expected one for photos"):
        rs.invert(model, np.zeros((1, 32, 32, channels), np.float32), bootstrap_from=model)


def test_three_channels_may_be_classes():
    model = rs.load(tiny.checkpoint(in_channels=3))
    assert dataclasses.replace(model, metadata={"task": "segmentation"}).inputs == "label map"


@pytest.mark.parametrize("label", [1.5, "1", -1, 3])
def test_classes_that_do_not_exist(label):
    conditional = GeneratorConfig(16, (8, 8, 8), z_dim=8, w_dim=8, mapping_layers=1, label_dim=3)
    generator = networks.random(Generator, conditional)
    with pytest.raises(ValueError, match="label"):
        rs.sample(rs.Model(generator=generator, w_avg=np.zeros((6, 8), np.float32)), [0], label=label)
