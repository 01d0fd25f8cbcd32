"""The geometric operations: directions and order by hand, resampling against its definition, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.geometry import SYM6, Warp, draw_warp, inverse_matrices, resample

moved = jax.jit(lambda images, warp: resample(images, inverse_matrices(warp, *images.shape[1:3])))


def still(batch: int, **changed: object) -> Warp:
    """The parameters that change nothing, but for some."""
    zero, one, pair = np.zeros(batch), np.ones(batch), np.zeros((batch, 2))
    values = Warp(zero, zero, pair, one, zero, one, zero, pair)._replace(**changed)
    return Warp(*(jnp.asarray(np.broadcast_to(v, d.shape)) for v, d in zip(values, still_shapes(batch), strict=True)))


def still_shapes(batch: int) -> list[jax.ShapeDtypeStruct]:
    shapes = [(batch,), (batch,), (batch, 2), (batch,), (batch,), (batch,), (batch,), (batch, 2)]
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def reference(image: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """The definition, step by step in float64: reflect, insert zeros, filter, sample, filter, decimate. image: [H, W]."""
    height, width = image.shape
    doubled = np.pad(image.astype(np.float64), ((height - 1,) * 2, (width - 1,) * 2), mode="reflect")
    for _ in range(2):
        spread = np.zeros((doubled.shape[0], 2 * doubled.shape[1]))
        spread[:, ::2] = doubled
        rows = np.pad(spread, ((0, 0), (6, 5)))
        doubled = np.stack([np.convolve(row, 2 * np.array(SYM6), "valid") for row in rows]).T
    doubled = np.pad(doubled, 1)
    # Half-pixel centres of the doubled output, in pixels from the centre of the picture.
    y, x = (np.arange(-6, 2 * side + 6) / 2 - (side - 1) / 2 for side in (height, width))
    x, y = np.meshgrid(x, y)
    source_x, source_y = np.einsum("ij,jhw->ihw", inverse.astype(np.float64)[:2], np.stack([x, y, np.ones_like(x)]))
    column, row = 2 * source_x + 3 * (width - 1) + 1, 2 * source_y + 3 * (height - 1) + 1
    sampled = np.zeros_like(x)
    for i in range(2):
        for j in range(2):
            r, c = np.floor(row).astype(int) + i, np.floor(column).astype(int) + j
            inside = (r >= 0) & (r < doubled.shape[0]) & (c >= 0) & (c < doubled.shape[1])
            value = doubled[np.clip(r, 0, doubled.shape[0] - 1), np.clip(c, 0, doubled.shape[1] - 1)]
            sampled += inside * value * (1 - np.abs(row - r)) * (1 - np.abs(column - c))
    for _ in range(2):
        sampled = np.stack([np.convolve(row[1:-1], SYM6[::-1], "valid")[::2] for row in sampled]).T
    return sampled


def test_resampling_follows_its_definition():
    """Also far outside of the picture, where it ends. Positions are rounded to 1e-5 pixels, and so are white noise's values."""
    for sides in ((6, 6), (9, 14), (24, 17)):
        images = noise(12, *sides, 2)
        warp = draw_warp(jax.random.key(3), 12, jnp.float32(1.0), Augmentation.preset("bg"))
        warp = warp._replace(scale=warp.scale * jnp.where(jnp.arange(12) % 3, 1, 0.2))
        found = np.asarray(moved(images, warp))
        matrices = np.asarray(inverse_matrices(warp, *sides))
        for index in range(12):
            expected = [reference(images[index, :, :, channel], matrices[index]) for channel in range(2)]
            np.testing.assert_allclose(found[index], np.stack(expected, axis=-1), atol=4e-5)
    assert (found[::3] == 0).any(), "a picture of a fifth of its side does not fill the frame"


def test_nothing_drawn_changes_nothing():
    images = noise(2, 24, 20, 3)
    np.testing.assert_allclose(moved(images, still(2)), images, atol=1e-6)


@pytest.mark.parametrize("name", ["shift", "translation"])
def test_shifts_by_whole_pixels_reflect(name: str):
    images = noise(1, 16, 20, 3)
    found = moved(images, still(1, **{name: np.array([[3 / 20, -2 / 16]])}))
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    np.testing.assert_allclose(found, padded[:, 6:22, 1:21], atol=2e-5)


def test_the_first_shift_is_rounded_to_pixels():
    images = noise(1, 16, 16, 1)
    found = moved(images, still(1, shift=np.array([[1.4 / 16, -0.6 / 16]])))
    np.testing.assert_allclose(found, moved(images, still(1, shift=np.array([[1 / 16, -1 / 16]]))), atol=2e-5)


@pytest.mark.parametrize(
    "changed",
    [
        {"flip": 1},
        *({"quarter_turns": turns} for turns in (1, 2, 3)),
        {"scale": 1.3},
        {"first_angle": 0.4},
        {"second_angle": -2.0},
        {"stretch": 0.8},
        {"translation": np.array([[0.04, -0.07]])},
        {"flip": 1, "quarter_turns": 3, "scale": 1.1, "first_angle": 1.0, "stretch": 1.2, "second_angle": 0.3},
    ],
)
def test_smooth_pictures_move_as_the_operations_say(changed: dict[str, object]):
    """A wave sampled where each pixel's content was before, by formulas written out here; in the middle, away from the border.

    sym6 is not quite symmetric. Doubling moves content by a tenth of a pixel and halving moves it back, along axes that
    have turned in between: a mirrored picture is a fifth of a pixel to the side, in the official code as well.
    """
    side = 64
    warp = still(1, **changed)
    x, y = np.meshgrid(np.arange(side) - (side - 1) / 2, np.arange(side) - (side - 1) / 2)
    wave = lambda x, y: np.sin(0.15 * x + 0.1 * y) + 0.5 * np.cos(0.12 * y - 0.06 * x)  # noqa: E731
    found = moved(jnp.asarray(wave(x, y)[None, :, :, None], jnp.float32), warp)[0, :, :, 0]
    delay = (np.arange(12) @ np.array(SYM6) - 5) / 2
    old_x, old_y = inverse_points(warp, x + delay, y + delay)
    middle = (np.abs(x) < 10) & (np.abs(y) < 10)
    assert max(np.abs(old_x[middle]).max(), np.abs(old_y[middle]).max()) < side / 2 - 6
    expected = wave(old_x - delay, old_y - delay)
    assert np.abs(found - expected)[middle].max() < 4e-3
    assert np.abs(wave(x, y) - expected)[middle].max() > 0.1


def inverse_points(warp: Warp, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Back through the operations of a 64-px picture, the last one first. y points down."""
    flip, turns, shift, scale, first, stretch, second, far = (np.asarray(value, np.float64)[0] for value in warp)
    clockwise = lambda x, y, a: (x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a))  # noqa: E731
    x, y = x - 64 * far[0], y - 64 * far[1]
    x, y = clockwise(x, y, second)
    x, y = x / stretch, y * stretch
    x, y = clockwise(x, y, first)
    x, y = x / scale, y / scale
    x, y = x - np.round(64 * shift[0]), y - np.round(64 * shift[1])
    x, y = clockwise(x, y, turns * np.pi / 2)
    return (-x if flip else x), y


def test_matrices_undo_the_operations_in_order():
    warp = draw_warp(jax.random.key(0), 20, jnp.float32(1.0), Augmentation.preset("bg"))
    points = np.random.default_rng(1).normal(size=(2, 5)) * 20
    matrices = np.asarray(inverse_matrices(warp, 64, 64))
    for index, matrix in enumerate(matrices):
        expected = inverse_points(Warp(*(value[index : index + 1] for value in warp)), *points)
        found = matrix @ np.stack([*points, np.ones(5)])
        np.testing.assert_allclose(found, [*expected, np.ones(5)], atol=3e-4)


def test_a_spot_goes_where_the_operations_say():
    image = np.zeros((1, 17, 17, 1), np.float32)
    image[0, 8, 14] = 1  # to the right of the centre
    above, left = (0, 2, 8, 0), (0, 8, 2, 0)
    expected = [
        ({"first_angle": np.pi / 2}, above),
        ({"second_angle": np.pi / 2}, above),
        ({"quarter_turns": 1}, above),
    ]
    for changed, place in [*expected, ({"flip": 1}, left), ({"quarter_turns": 2}, left)]:
        found = np.asarray(moved(image, still(1, **changed)))
        assert np.unravel_index(found.argmax(), found.shape) == place, changed


def test_gradients():
    warp = draw_warp(jax.random.key(5), 2, jnp.float32(1.0), Augmentation.preset("bg"))
    with jax.enable_x64(True):
        inverse = jnp.asarray(np.asarray(inverse_matrices(warp, 7, 6), np.float64))
        images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 6, 1)))
        run = jax.jit(lambda x: jnp.sum(jnp.sin(resample(x, inverse))))
        check_grads(run, (images,), order=2, modes=["rev"], rtol=1e-5)


def test_draws():
    batch = 4000
    warp = draw_warp(jax.random.key(0), batch, jnp.float32(0.6), Augmentation.preset("bg"))
    changed = {
        "flip": 0.3,  # half of those that flip a coin
        "quarter_turns": 0.45,
        "scale": 0.6,
        "first_angle": 1 - np.sqrt(0.4),
        "stretch": 0.6,
        "second_angle": 1 - np.sqrt(0.4),
    }
    neutral = still(1)
    for name, probability in changed.items():
        found = float(jnp.mean(getattr(warp, name) != getattr(neutral, name)))
        assert abs(found - probability) < 0.03, (name, found)
    for name in ("shift", "translation"):
        both = np.asarray(getattr(warp, name) != 0)
        assert (both[:, 0] == both[:, 1]).all()
        assert abs(both[:, 0].mean() - 0.6) < 0.03
    assert abs(float(jnp.mean((warp.first_angle != 0) | (warp.second_angle != 0))) - 0.6) < 0.03
    assert set(np.unique(warp.quarter_turns)) == {0, 1, 2, 3}
    assert 0.115 < float(jnp.abs(warp.shift).max()) <= 0.125
    assert 3.0 < float(jnp.abs(warp.first_angle).max()) <= np.pi + 1e-6
    on = np.asarray(warp.scale) != 1
    assert abs(np.log2(np.asarray(warp.scale)[on]).std() - 0.2) < 0.02
    assert abs(np.log2(np.asarray(warp.stretch)[np.asarray(warp.stretch) != 1]).std() - 0.2) < 0.02
    far = np.asarray(warp.translation)
    assert abs(far[far != 0].std() - 0.125) < 0.01
    assert abs(np.corrcoef(far[far[:, 0] != 0].T)[0, 1]) < 0.1


def test_multipliers_switch_operations_off():
    warp = draw_warp(jax.random.key(0), 50, jnp.float32(1.0), Augmentation(scale=2.0))
    for name, found, expected in zip(Warp._fields, warp, still(50), strict=True):
        assert bool(jnp.all(found != expected if name == "scale" else found == expected)), name
