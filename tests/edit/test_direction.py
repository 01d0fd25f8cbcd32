"""Steps along directions: the official interpolations, and what must hold in every space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from restyle_jax.edit.direction import Direction, apply, layer_numbers
from tests import networks, recipe

K, D, WIDTHS = 6, 8, (4, 4, 2)
RANDOM = np.random.default_rng(0)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def direction(space: str, **fields) -> Direction:
    shape = {"W+": (K, D), "S": (sum(WIDTHS),)}.get(space, (D,))
    widths = WIDTHS if space == "S" else ()
    vector = np.random.default_rng(1).standard_normal(shape)
    return Direction("smile", vector, space, widths=widths, **fields)  # pyright: ignore[reportArgumentType]


def codes(space: str, batch: int = 3) -> np.ndarray:
    shape = {"W+": (K, D), "S": (sum(WIDTHS),)}.get(space, (D,))
    values = RANDOM.standard_normal((batch, *shape)).astype(np.float32)
    values[0].flat[0] = -0.0  # loses its sign when 0.0 is added
    return values


def test_absolute_steps_in_w_and_relative_ones_in_w_plus_are_those_of_interfacegan():
    golden = networks.arrays("interfacegan/boundary")
    boundary = unit(recipe.latent("interfacegan/b0", (1, 64)))[0]
    strengths = np.linspace(-3, 3, 7)
    smile = Direction("smile", boundary, "W")
    moved = apply(smile, recipe.latent("interfacegan/lc", (1, 64)), strengths, mode="absolute")
    np.testing.assert_allclose(moved[:, 0], golden["interp2d"], atol=1e-6)
    moved = apply(smile, recipe.latent("interfacegan/lw", (1, 14, 64)), strengths)
    np.testing.assert_allclose(moved[:, 0], golden["interp3d"], atol=1e-6)


@pytest.mark.parametrize("space", ["Z", "W", "W+", "S"])
def test_strength_zero_returns_the_input_bit_for_bit(space: str):
    start = codes(space)
    assert np.asarray(apply(direction(space), start, 0.0)).tobytes() == start.tobytes()
    several = np.asarray(apply(direction(space), start, [0.0, 1.0, -0.0]))
    assert several[0].tobytes() == several[2].tobytes() == start.tobytes()
    assert (several[1] != start).all()


@pytest.mark.parametrize("space", ["Z", "W", "W+", "S"])
def test_an_absolute_step_arrives_at_its_strength_from_anywhere(space: str):
    where = direction(space, unit=0.5, zero=0.25)
    moved = np.asarray(apply(where, codes(space), [-2.0, 0.0, 3.0], mode="absolute"))
    coordinates = (moved * where.vector).reshape(3, 3, -1).sum(-1) / np.square(where.vector).sum()
    np.testing.assert_allclose(coordinates, 0.25 + 0.5 * np.array([[-2.0], [0], [3]]) * np.ones(3), atol=1e-5)


def test_an_absolute_step_of_w_plus_codes_measures_the_first_style_and_moves_all_layers_equally():
    where, start = direction("W", zero=0.3, unit=2.0, layers=(2, 3)), codes("W+")
    moved = np.asarray(apply(where, start, 1.5, mode="absolute"))
    coordinate = start[:, 0] @ where.vector / np.square(where.vector).sum()
    step = (0.3 + 2.0 * 1.5 - coordinate)[:, None, None] * where.vector
    np.testing.assert_allclose(moved[:, 2:4] - start[:, 2:4], np.repeat(step, 2, 1), atol=1e-5)
    assert moved[:, [0, 1, 4, 5]].tobytes() == start[:, [0, 1, 4, 5]].tobytes()


def test_relative_steps_add_strength_times_unit_in_the_chosen_layers_only():
    start = codes("W+")
    for layers, chosen in (("1-3", [1, 2, 3]), ("all", range(K)), ("0,4-5", [0, 4, 5]), ((2,), [2]), (None, [0, 1])):
        where = direction("W", unit=0.5, layers=(0, 1))
        moved = np.asarray(apply(where, start, 3.0, layers=layers))
        expected = start.copy()
        expected[:, list(chosen)] += 1.5 * where.vector.astype(np.float32)
        np.testing.assert_allclose(moved, expected, atol=1e-6)
        others = [k for k in range(K) if k not in chosen]
        assert moved[:, others].tobytes() == start[:, others].tobytes()
    start = codes("S")
    moved = np.asarray(apply(direction("S", layers=(1,)), start, 2.0))
    assert ((moved != start).all(0) == np.repeat([False, True, False], WIDTHS)).all()


def test_strengths_and_codes_may_be_traced_and_have_gradients():
    where, start = direction("W+"), jnp.asarray(codes("W+"))
    step = jax.jit(lambda w, s: apply(where, w, s, layers="2-4"))
    np.testing.assert_allclose(step(start, jnp.arange(3.0)), apply(where, start, [0, 1, 2], layers="2-4"), atol=1e-6)
    for mode in ("relative", "absolute"):
        slope = jax.grad(lambda s, mode=mode: (apply(where, start, s, mode=mode) * where.vector).sum())(0.0)
        np.testing.assert_allclose(slope, 3 * np.square(where.vector).sum(), rtol=1e-5)


@pytest.mark.parametrize(("text", "numbers"), [("all", range(18)), ("4-8", range(4, 9)), ("7, 0-2,1", (0, 1, 2, 7))])
def test_layers_as_text(text: str, numbers):
    assert layer_numbers(text, 18) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "3-", "-3", "5-4", "0-18", "1.5", "4:8", "1;2", "0-999", "0-9999999999"])
def test_layers_that_are_none(text: str):
    with pytest.raises(ValueError, match=r"layers are .*expected numbers") as raised:
        layer_numbers(text, 18)
    assert len(str(raised.value)) < 100


@pytest.mark.parametrize(
    ("space", "start", "message"),
    [
        ("W+", codes("W+")[:, :4], r"smile belongs to W\+ and needs codes of shape \[B, 6, 8\], got \(3, 4, 8\)"),
        ("W+", codes("W"), r"belongs to W\+ .* got \(3, 8\)"),
        ("W", codes("W+")[..., :4], r"\[B, 8\] or \[B, K, 8\], got \(3, 6, 4\)"),
        ("Z", codes("W+"), r"belongs to Z and needs codes of shape \[B, 8\], got \(3, 6, 8\)"),
        ("S", codes("W+"), r"belongs to S and needs codes of shape \[B, 10\]"),
        ("W", codes("W")[0], r"got \(8,\)"),
    ],
)
def test_codes_of_another_space_or_generator(space: str, start: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        apply(direction(space), start, 1.0)


def test_bad_strengths_modes_and_layers():
    start = codes("W+")
    for strengths in (np.nan, [0.0, np.inf]):
        with pytest.raises(ValueError, match="expected finite numbers"):
            apply(direction("W"), start, strengths)
    with pytest.raises(ValueError, match="one number or a list"):
        apply(direction("W"), start, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="mode is 'by', expected 'relative' or 'absolute'"):
        apply(direction("W"), start, 1.0, mode="by")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"layers are \[4, 5, 6\], expected numbers from 0 to 5"):
        apply(direction("W"), start, 1.0, layers="4-6")
    with pytest.raises(ValueError, match=r"layers are \[1\.5\], expected whole numbers from 0"):
        apply(direction("W"), start, 1.0, layers=[1.5])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"have no layers; those of W\+"):
        apply(direction("W", layers=(0, 1)), codes("W"), 1.0)
    pose = Direction("pose", np.eye(K, D), "W+")
    with pytest.raises(ValueError, match=r"smile is zero in layers \(0,\)"):
        apply(Direction("smile", np.pad(pose.vector[1:], ((1, 0), (0, 0))), "W+"), start, 1.0, layers=(0,))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space": "w"}, "unknown space 'w', expected one of Z, W"),
        ({"vector": np.zeros((2, 3))}, r"shape \(2, 3\), expected \[D\] in W"),
        ({"vector": np.ones(3), "space": "W+"}, r"expected \[K, D\] in W\+"),
        ({"vector": np.array([1, np.nan])}, "not finite"),
        ({"vector": np.zeros(3)}, "its vector is zero"),
        ({"vector": np.full(3, 1e300)}, "in float32 are not finite"),
        ({"vector": np.full(3, 1e-300)}, "its step is zero or not finite in float32"),
        ({"vector": np.ones(3) + 0j}, "array of complex128, expected real numbers"),
        ({"vector": np.array(["a", "b"])}, "expected real numbers"),
        ({"unit": 1e300}, "its step is zero or not finite in float32"),
        ({"zero": 1e300}, "its step is zero or not finite in float32"),
        ({"unit": 0.0}, "a positive unit"),
        ({"zero": np.inf}, "expected finite numbers"),
        ({"widths": (3,)}, "nothing in the other spaces"),
        ({"space": "S", "widths": (1, 1)}, "the channels of every layer in S"),
        ({"layers": ()}, "layers are"),
        ({"space": "S", "widths": (1, 2), "layers": (2,)}, "from 0 to 1"),
    ],
)
def test_impossible_directions(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Direction(**{"name": "d", "vector": np.ones(3), "space": "W", **fields})


def test_vectors_of_other_types_become_float32_or_float64():
    for given, kept in (("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (">f8", "f8"), ("g", "f8"), ("i8", "f8")):
        vector = Direction("smile", np.ones(3, given), "W").vector
        assert vector.dtype == np.dtype(kept) and vector.dtype.isnative


def test_a_direction_cannot_be_changed():
    vector = np.ones(3, np.float32)
    smile = Direction("smile", vector, "W")
    vector[0] = 5
    assert smile.vector[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        smile.vector[0] = 2
