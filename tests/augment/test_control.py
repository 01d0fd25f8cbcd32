"""The control of p by the signs of the discriminator's scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.augment.control import INTERVAL, Control, adjust, observe

STEP = INTERVAL * 64 / 500_000


def scores(positive: int, negative: int) -> jax.Array:
    return jnp.concatenate([jnp.full(positive, 3.0), jnp.full(negative, -0.1)])


def seen(control: Control, positive: int, negative: int) -> Control:
    signs = jnp.sign(scores(positive, negative))
    return observe(control, signs.mean(), signs.size)


@pytest.mark.parametrize(
    ("positive", "expected"),
    [(81, 1), (100, 1), (80, 0), (79, -1), (0, -1)],  # 80 positive and 20 negative signs have the mean 0.6
)
def test_p_follows_the_sign_of_the_excess(positive: int, expected: int):
    control = adjust(seen(Control.start(0.3), positive, 100 - positive), batch_size=64)
    assert float(control.p) == pytest.approx(0.3 + expected * STEP, abs=1e-7)
    assert float(control.signs) == float(control.count) == 0


def test_observations_add_up_over_batches_and_shapes():
    control = seen(seen(Control.start(), 10, 0), 0, 4)
    control = observe(control, jnp.sign(jnp.array([0.0, 2.0])).mean(), 2)
    assert float(control.signs) == 10 - 4 + 1
    assert float(control.count) == 16


def test_p_has_a_lower_limit_but_no_upper_one():
    down = adjust(seen(Control.start(STEP / 2), 0, 10), batch_size=64)
    assert float(down.p) == 0
    up = adjust(seen(Control.start(1.0), 10, 0), batch_size=64)
    assert float(up.p) > 1


def test_without_observations_p_stays():
    assert float(adjust(Control.start(0.25), batch_size=64).p) == 0.25


def test_target_and_speed():
    control = seen(Control.start(0.5), 60, 40)  # mean 0.2
    assert float(adjust(control, 64, target=0.1, kimg=100).p) == pytest.approx(0.5 + 5 * STEP, abs=1e-7)


def test_p_moves_by_one_in_kimg_thousand_pictures():
    step = jax.jit(lambda control: adjust(seen(control, 1, 0), batch_size=1000, kimg=40))
    control = Control.start()
    for _ in range(40 // INTERVAL):
        control = step(control)
    np.testing.assert_allclose(control.p, 1, rtol=1e-5)


@pytest.mark.parametrize("p", [-0.1, float("nan"), float("inf")])
def test_impossible_starts_are_refused(p: float):
    with pytest.raises(ValueError, match=f"starts at {p}"):
        Control.start(p)
