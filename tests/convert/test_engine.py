"""The engine accounts for both ends of a table and reports everything that does not fit at once."""

import ml_dtypes
import numpy as np
import pytest

from restyle_jax.convert import engine, transforms
from restyle_jax.convert.engine import Constant, Filled, Ignored, Row
from restyle_jax.convert.errors import CheckpointError

FILTER = np.arange(16, dtype=np.float32).reshape(4, 4)
TABLE = [
    Row("conv.kernel", "conv.weight", transforms.CONV),
    Constant("conv.filter", FILTER),
    Row("heads.kernel", "heads.0.weight", transforms.LINEAR, 0),
    Row("heads.kernel", "heads.1.weight", transforms.LINEAR, 1),
    Row("count", "count", transforms.COUNT),
    Filled("slope", 0.25, "only here"),
    Ignored("old.", "only there"),
]


def source() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "conv.weight": generator.standard_normal((5, 4, 3, 2)).astype(np.float32),
        "conv.filter": FILTER,
        "heads.0.weight": generator.standard_normal((2, 3)).astype(np.float32),
        "heads.1.weight": generator.standard_normal((2, 3)).astype(np.float32),
        "count": np.asarray(7, np.int64),
        "old.thing": np.zeros(3),
    }


def targets() -> dict[str, np.ndarray]:
    shapes = {"conv.kernel": (3, 2, 4, 5), "heads.kernel": (2, 3, 2), "slope": (4,)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | {"count": np.zeros((), np.int32)}


def read(state: dict[str, np.ndarray], table: engine.Table = TABLE) -> dict[str, np.ndarray]:
    return engine.read(table, state, targets(), file="some.pt", what="network")


def test_reads_and_writes_the_same_numbers():
    state = source()
    arrays = read(state)
    np.testing.assert_array_equal(arrays["conv.kernel"][1, 0, 3, 2], state["conv.weight"][2, 3, 1, 0])
    np.testing.assert_array_equal(arrays["heads.kernel"][1], state["heads.1.weight"].T)
    np.testing.assert_array_equal(arrays["slope"], np.full(4, 0.25))
    assert arrays["count"] == 7 and arrays["count"].dtype == np.int32
    written = engine.write(TABLE, arrays)
    assert list(written) == ["conv.weight", "conv.filter", "heads.0.weight", "heads.1.weight", "count"]
    for key, array in written.items():
        np.testing.assert_array_equal(array, state[key])
        assert array.dtype == state[key].dtype


def test_half_precision_is_widened():
    state = source()
    state["conv.weight"] = state["conv.weight"].astype(np.float16)
    arrays = read(state)
    assert arrays["conv.kernel"].dtype == np.float32
    np.testing.assert_array_equal(arrays["conv.kernel"], state["conv.weight"].astype(np.float32).transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (np.float16(7), 7),
        (np.float32(6.6), 7),
        (ml_dtypes.bfloat16(-3), -3),
        (np.float16(np.inf), 2**31 - 1),
        (np.float32(np.nan), 0),
        (np.int64(2**40 + 7), 2**31 - 1),
        (np.int64(-(2**40)), -(2**31)),
        (np.uint8(200), 200),
        (np.uint64(2**63), 2**31 - 1),
    ],
)
def test_counts_of_any_dtype_are_the_nearest_integer(found: np.generic, expected: int):
    arrays = read({**source(), "count": np.asarray(found)})
    assert arrays["count"] == expected and arrays["count"].dtype == np.int32 and arrays["count"].shape == ()


def test_what_fits_at_no_size_is_named():
    odd = {
        **source(),
        "heads.0.weight": None,
        "heads.1.weight": np.zeros((2, 3, 1)),
        "conv.weight": np.zeros((0, 4, 3, 2)),
    }
    (name, found) = next((entry.theirs, entry.value) for entry in TABLE if isinstance(entry, engine.Constant))
    assert engine.misshapen(TABLE, {**source(), name: found[None]}) == [
        f"{name}: found {(1, *found.shape)}, expected {found.shape}".replace(",)", ")")
    ]
    assert engine.misshapen(TABLE, odd) == [
        "conv.weight: found (0, 4, 3, 2), expected a convolution (o i h w)",
        "heads.0.weight: found (NoneType), expected a linear (o i)",
        "heads.1.weight: found (2, 3, 1), expected a linear (o i)",
    ]
    assert engine.misshapen(TABLE, source()) == []


def test_lists_every_fault_with_both_names_and_shapes():
    state = source()
    del state["heads.0.weight"]
    state["conv.weight"] = state["conv.weight"][:, :, :2]
    state["stranger"] = np.zeros((1, 2))
    state["conv.filter"] = FILTER + 1
    state["count"] = np.asarray(7j)
    with pytest.raises(CheckpointError) as caught:
        read(state)
    message = str(caught.value)
    for part in (
        "some.pt",
        "5 tensors",
        "missing     heads.0.weight (2, 3), for heads.kernel[0] (3, 2)",
        "shape       conv.weight: found (5, 4, 2, 2), expected (5, 4, 3, 2), for conv.kernel (3, 2, 4, 5)",
        "unexpected  stranger (1, 2)",
        "value       conv.filter",
        "dtype       count: found complex128, expected int32",
    ):
        assert part in message


def test_what_is_not_an_array_is_named():
    state: dict = source()
    state["conv.weight"] = "weights"
    with pytest.raises(CheckpointError, match=r"conv\.weight: found str, expected an array"):
        read(state)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (TABLE[:2] + TABLE[3:], "heads.kernel"),
        ([*TABLE, Filled("slope", 1, "twice")], "slope"),
        ([*TABLE, Row("nothing", "count", transforms.COUNT)], "nothing"),
    ],
)
def test_a_wrong_table_is_an_error(table: engine.Table, fault: str):
    with pytest.raises(CheckpointError, match=fault):
        read(source(), table)


def test_prefixes_go_in_front_of_both_sides():
    table = engine.prefixed(TABLE, ours="a.", theirs="b.")
    arrays = {f"a.{name}": array for name, array in read(source()).items()}
    assert [key.removeprefix("b.") for key in engine.write(table, arrays)] == list(engine.write(TABLE, read(source())))


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (transforms.MODULATED_CONV, (1, 5, 4, 3, 3)),
        (transforms.TO_RGB, (1, 3, 7, 1, 1)),
        (transforms.RGB_BIAS, (1, 3, 1, 1)),
        (transforms.CONST, (1, 6, 4, 4)),
        (transforms.NVLABS_CONST, (6, 4, 4)),
        (transforms.NOISE, (1, 1, 8, 8)),
        (transforms.NOISE_STRENGTH, (1,)),
        (transforms.NUMBER, ()),
        (transforms.POINTWISE, (2, 32, 1, 1)),
        (transforms.DENSE_4X4, (5, 96)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_transforms_have_inverses(transform: transforms.Transform, shape: tuple[int, ...]):
    theirs = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    ours = transform.forward(theirs)
    np.testing.assert_array_equal(transform.inverse(ours), theirs)
    assert transform.upstream_shape(ours.shape) == shape
    assert transform.our_shape(shape) == ours.shape
    assert transform.our_shape((*shape, 2)) is None


def test_dense_layer_after_the_discriminator_counts_channels_last():
    weight = np.arange(2 * 3 * 16).reshape(2, 3, 4, 4)
    ours = transforms.DENSE_4X4.forward(weight.reshape(2, 48)).reshape(4, 4, 3, 2)
    assert ours[1, 2, 0, 1] == weight[1, 0, 1, 2]
