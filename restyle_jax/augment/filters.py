"""What the augmentation does to pictures last: gains of frequency bands, noise, a square that is cut out.

StyleGAN2-ADA (arXiv 2006.06676, appendix B; official `training/augment.py`).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.gate import gate

BANDS = 4  # of one octave each, but the lowest; from low to high
EXPECTED_POWER = (
    np.array([10, 1, 1, 1], np.float32) / 13
)  # of each band in natural pictures, whose spectrum falls as 1 / f
CUT = 0.5  # side of the square, in sides of the picture


def _filter_bank() -> np.ndarray:
    """The bands' kernels f64[4, 43], symmetric, with sum delta: the wavelet cascade of sym2, without decimation."""
    root = np.sqrt(3)
    low = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / np.sqrt(32)
    high = low * [1, -1, 1, -1]
    low_pass, high_pass = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    bank = np.ones((1, 1))
    for _ in range(BANDS - 1):
        dilated = np.zeros((len(bank), 2 * bank.shape[1] - 1))
        dilated[:, ::2] = bank
        bank = np.stack([np.convolve(band, low_pass) for band in dilated])
        border = (bank.shape[1] - len(high_pass)) // 2
        bank = np.vstack([bank, np.pad(high_pass, border)])
    return bank


FILTER_BANK = _filter_bank()
FILTER_REACH = FILTER_BANK.shape[1] // 2  # 21 pixels, by which pictures continue by reflection


def draw_gains(key: jax.Array, batch: int, p: jax.Array, augmentation: Augmentation) -> jax.Array:
    """Random gains of the bands for `batch` pictures, f32[B, 4].

    One band after the other is amplified, each time with all gains divided so that the power of a natural picture stays.
    """
    coin_key, gain_key = jax.random.split(key)
    coins = jax.random.uniform(coin_key, (BANDS, batch))
    drawn = jnp.exp2(jax.random.normal(gain_key, (BANDS, batch)))
    gains = jnp.ones((batch, BANDS))
    for band in range(BANDS):
        gains *= normalized(gate(coins[band], augmentation.imgfilter * p, drawn[band], 1), band)
    return gains


def normalized(gain: jax.Array, band: int) -> jax.Array:
    """The gains f32[B, 4] that amplify one band by f32[B] relative to the others and keep the expected power."""
    gains = jnp.where(np.arange(BANDS) == band, rearrange(gain, "b -> b 1"), 1)
    return gains / jnp.sqrt(jnp.sum(EXPECTED_POWER * jnp.square(gains), axis=1, keepdims=True))


def amplify_bands(images: jax.Array, gains: jax.Array) -> jax.Array:
    """Pictures [B, H, W, C], sides of at least 22, with the gains f32[B, 4] along rows and along columns.

    As matrix products, whose gradients are fast: 43 shifted additions for each picture's own filter are not.
    """
    rows, columns = (
        jnp.sum(gains[:, :, None, None] * band_matrices(side), axis=1) for side in (images.shape[1], images.shape[2])
    )
    product = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    return product("brh,bhwc->brwc", rows, product("bsw,bhwc->bhsc", columns, images))


def band_matrices(side: int) -> np.ndarray:
    """The filters of the bands as f32[4, side, side] (output, input), for a signal that continues by reflection."""
    outputs, taps = np.arange(side)[:, None], np.arange(-FILTER_REACH, FILTER_REACH + 1)
    inputs = side - 1 - np.abs(side - 1 - np.abs(outputs + taps))
    matrices = np.zeros((BANDS, side, side), np.float32)
    for matrix, band in zip(matrices, FILTER_BANK, strict=True):
        np.add.at(matrix, (outputs, inputs), band)
    return matrices


def draw_noise(key: jax.Array, shape: tuple[int, ...], p: jax.Array, augmentation: Augmentation) -> jax.Array:
    """Noise f32[B, H, W, C] whose deviation is one for each picture: 0.1 |N(0, 1)|."""
    coin_key, amount_key, noise_key = jax.random.split(key, 3)
    coin, amount = jax.random.uniform(coin_key, shape[:1]), jax.random.normal(amount_key, shape[:1])
    deviation = gate(coin, augmentation.noise * p, 0.1 * jnp.abs(amount), 0)
    return rearrange(deviation, "b -> b 1 1 1") * jax.random.normal(noise_key, shape)


def draw_cut(key: jax.Array, batch: int, p: jax.Array, augmentation: Augmentation) -> tuple[jax.Array, jax.Array]:
    """Centres f32[B, 2] (x, y in sides of the picture) and sides f32[B] (0: nothing is cut out) of squares."""
    coin, *center = jax.random.uniform(key, (3, batch))
    return jnp.stack(center, axis=1), gate(coin, augmentation.cutout * p, jnp.full(batch, CUT), 0)


def cut_out(images: jax.Array, center: jax.Array, side: jax.Array) -> jax.Array:
    """Pictures [B, H, W, C], grey (0) within half a `side` of the `center` on both axes, as `draw_cut` gives them."""
    height, width = images.shape[1:3]
    x, y = rearrange(center, "b xy -> xy b 1 1 1")
    half = rearrange(side / 2, "b -> b 1 1 1")
    columns = (jnp.arange(width) + 0.5) / width
    rows = (jnp.arange(height) + 0.5) / height
    outside_columns = jnp.abs(rearrange(columns, "w -> w 1") - x) >= half
    outside_rows = jnp.abs(rearrange(rows, "h -> h 1 1") - y) >= half
    return jnp.where(outside_columns | outside_rows, images, 0)
