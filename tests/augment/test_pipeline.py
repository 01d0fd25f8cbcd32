"""The whole augmentation: presets, identity, order, gradients, compilation, sharding, bad input."""

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from restyle_jax.augment.color import draw_tint, recolor
from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.pipeline import augment

IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 24, 24, 3)).astype(np.float32)
KEY = jax.random.key(0)
EVERYTHING = Augmentation.preset("bgcfnc")
augmented = jax.jit(augment, static_argnames="augmentation")


def test_p_is_traced_and_zero_is_the_identity():
    """One program serves every p; with p = 0 its resampling and filters run all the same."""
    before = augmented._cache_size()
    results = [np.asarray(augmented(IMAGES, KEY, jnp.float32(p), EVERYTHING)) for p in (0, 0.5, 1, 3)]
    assert augmented._cache_size() == before + 1
    np.testing.assert_allclose(results[0], IMAGES, atol=1e-5)
    for result in results[1:]:
        assert np.isfinite(result).all()
        assert np.abs(result - IMAGES).max() > 0.1
    again = augmented(IMAGES, KEY, jnp.float32(0.5), EVERYTHING)
    np.testing.assert_array_equal(again, results[1])
    other = augmented(IMAGES, jax.random.key(1), jnp.float32(0.5), EVERYTHING)
    assert np.abs(np.asarray(other) - results[1]).max() > 0.1


def test_above_one_every_operation_is_sure():
    """A probability of 1 is certainty already, so that a larger one draws the same."""
    one, three = (augmented(IMAGES, KEY, jnp.float32(p), EVERYTHING) for p in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_a_multiplier_scales_p():
    half = dataclasses.replace(Augmentation(), noise=0.5)
    batch = np.zeros((1000, 4, 4, 1), np.float32)
    touched = np.asarray(augmented(batch, KEY, jnp.float32(0.8), half)).any(axis=(1, 2, 3))
    assert abs(touched.mean() - 0.4) < 0.05


def test_colours_alone_need_no_resampling():
    program = str(
        jax.make_jaxpr(functools.partial(augment, augmentation=Augmentation.preset("color")))(IMAGES, KEY, 1.0)
    )
    assert "gather" not in program
    assert "gather" in str(jax.make_jaxpr(functools.partial(augment, augmentation=EVERYTHING))(IMAGES, KEY, 1.0))
    small = IMAGES[:, :1, :1]
    found = augmented(small, KEY, jnp.float32(1), Augmentation.preset("color"))
    tint = draw_tint(jax.random.split(KEY, 5)[1], 4, jnp.float32(1), Augmentation.preset("color"))
    np.testing.assert_allclose(found, recolor(small, tint), atol=1e-6)
    np.testing.assert_array_equal(augment(IMAGES, KEY, 1.0, Augmentation()), IMAGES)


def test_cutout_comes_last():
    found = np.asarray(augmented(IMAGES, KEY, jnp.float32(1), EVERYTHING))
    empty = (found == 0).all(axis=3).sum(axis=(1, 2))
    assert (empty >= 6 * 6).all()  # at least a quarter of the square lies inside, whatever its centre


def test_grey_pictures():
    grey = IMAGES[..., :1]
    np.testing.assert_allclose(augmented(grey, KEY, jnp.float32(0), EVERYTHING), grey, atol=1e-5)
    assert augmented(grey, KEY, jnp.float32(1), EVERYTHING).shape == grey.shape


def test_gradients_agree_with_differences():
    with jax.enable_x64(True):
        images = jnp.asarray(IMAGES[:1, :22, :22], jnp.float64)
        run = jax.jit(lambda x: jnp.sum(jnp.sin(augment(x, KEY, 1.0, EVERYTHING))))
        check_grads(run, (images,), order=1, modes=["rev"], rtol=1e-5)


def test_r1_through_the_augmentation():
    """The penalty differentiates the score by the un-augmented picture; its gradient in the weights equals differences."""
    weights = np.random.default_rng(1).normal(size=(3, 5)) / 10

    @jax.jit
    def penalty(weights: jax.Array, images: jax.Array) -> jax.Array:
        def score(images: jax.Array) -> jax.Array:
            features = jnp.tanh(augment(images, KEY, 0.8, Augmentation.preset("bgc")) @ weights)
            return jnp.sum(features.mean(axis=(1, 2)) ** 2)

        return jnp.sum(jnp.square(jax.grad(score)(images)))

    with jax.enable_x64(True):
        images = jnp.asarray(IMAGES[:, :12, :12], jnp.float64)
        found = np.asarray(jax.jit(jax.grad(penalty))(jnp.asarray(weights), images))
        step = np.zeros_like(weights)
        step[1, 2] = 1e-5
        difference = (penalty(weights + step, images) - penalty(weights - step, images)) / 2e-5
        np.testing.assert_allclose(found[1, 2], difference, rtol=1e-6)


SHARDED = """
import restyle_jax, jax, json, numpy as np, jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", 2)
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.pipeline import augment
mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
images = np.random.default_rng(0).uniform(-1, 1, (6, 24, 24, 3)).astype(np.float32)
both = NamedSharding(mesh, PartitionSpec("data"))
spread = jax.device_put(images, both)
def run(images, p):
    loss = lambda x: jnp.sum(jnp.sin(augment(x, jax.random.key(0), p, Augmentation.preset("bgcfnc"))))
    return augment(images, jax.random.key(0), p, Augmentation.preset("bgcfnc")), jax.grad(loss)(images)
compiled = jax.jit(run).lower(spread, 0.9).compile()
results = zip(compiled(spread, 0.9), jax.jit(run)(images, 0.9))
kept = all(leaf.sharding.is_equivalent_to(both, 4) for leaf in compiled(spread, 0.9))
errors = [float(abs(np.asarray(one) - np.asarray(two)).max()) for one, two in results]
print(json.dumps([kept, errors, compiled.as_text().count("f32[6,24,24")]))
"""


def test_a_sharded_batch_stays_sharded():
    """Each device augments its own pictures, as one device would, and nowhere is there a whole batch of them."""
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kept, errors, whole = json.loads(done.stdout)
    assert kept
    assert max(errors) < 1e-4
    assert whole == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blit", ["xflip", "rotate90", "xint"]),
        ("geom", ["scale", "rotate", "aniso", "xfrac"]),
        ("color", ["brightness", "contrast", "lumaflip", "hue", "saturation"]),
        ("filter", ["imgfilter"]),
        ("noise", ["noise"]),
        ("cutout", ["cutout"]),
    ],
)
def test_presets(name: str, expected: list[str]):
    multipliers = dataclasses.asdict(Augmentation.preset(name))
    assert [key for key, value in multipliers.items() if value == 1] == expected
    assert set(multipliers.values()) == {0, 1}


def test_cumulative_presets():
    used = [sum(dataclasses.asdict(Augmentation.preset(n)).values()) for n in ("bg", "bgc", "bgcf", "bgcfn", "bgcfnc")]
    assert used == [7, 12, 13, 14, 15]
    assert Augmentation.preset() == Augmentation.preset("bgc")


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="no augmentation preset 'all'; the presets are blit"):
        Augmentation.preset("all")
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"Augmentation\.hue is"):
            Augmentation(hue=value)
    for images in (IMAGES[0], IMAGES[..., :2], (IMAGES * 100).astype(np.uint8)):
        with pytest.raises(ValueError, match=r"\[B, H, W, 3\]"):
            augment(jnp.asarray(images), KEY, 0.5, EVERYTHING)
    with pytest.raises(ValueError, match=r"24 x 21 pixels are too small .* at least 22"):
        augment(jnp.asarray(IMAGES[:, :, :21]), KEY, 0.5, EVERYTHING)
    with pytest.raises(ValueError, match="at least 6"):
        augment(jnp.asarray(IMAGES[:, :5]), KEY, 0.5, Augmentation.preset("blit"))
