"""Ranger against the reference's trajectory, and what its per-parameter clocks promise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from restyle_jax.checkpoints import sizes
from restyle_jax.convert import engine
from restyle_jax.nets.encoders import Encoder, EncoderConfig, offsets_to_styles
from restyle_jax.nets.structure import structure
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.ops.convolution import conv2d
from restyle_jax.train import optim
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.plan import tree_bytes
from tests import networks, recipe
from tests.networks import latent, nhwc

FPN = EncoderConfig("fpn_progressive", "irse50", 9, style_dim=128, width=16, head_convs=1)
BACKBONE = EncoderConfig("progressive", "resnet18", 4, style_dim=64, width=8, head_convs=1)


def parameters(module: type[nnx.Module], config: Any) -> Any:
    """The parameters of a network, as shapes."""
    return nnx.split(structure(module, config), nnx.Param, ...)[1]


def draw(shapes: Any, seed: int) -> Any:
    """Normal numbers in every array of a tree."""
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), jnp.float32), shapes)


def toy_loss(params: dict[str, Any]) -> jax.Array:
    """The problem of the golden, whose inputs are named without the shapes that its manifest adds to them."""
    vector, dense, conv = params["vector"]["bias"], params["dense"]["kernel"], params["conv"]["kernel"]
    image = jnp.asarray(nhwc(recipe.latent("ranger/im", (2, 3, 6, 6))))
    products = jnp.tanh(latent("ranger/x", (8, 5)) @ dense)
    third = jnp.square(vector - latent("ranger/v", (7,))) * (1 + jnp.cos(3 * vector))
    return jnp.mean(products**2) + jnp.mean(conv2d(image, conv, padding=1) ** 2) + jnp.sum(third)


def convolutions_only(path: str, rank: int) -> optim.Layout:
    """The reference's option `gc_conv_only`."""
    return optim.upstream_layout(path, rank) if rank > 2 else optim.Layout(False, ())


@pytest.mark.parametrize(
    ("variant", "optimizer"),
    [
        ("lr1e-2", optim.ranger(1e-2)),
        ("default", optim.ranger(1e-3)),
        ("wd", optim.ranger(1e-2, weight_decay=0.1)),
        ("gc_conv_only", optim.ranger(1e-2, layout=convolutions_only)),
    ],
    ids=["lr1e-2", "default", "wd", "gc_conv_only"],
)
def test_ranger_follows_the_reference_for_25_steps(variant: str, optimizer: optax.GradientTransformationExtraArgs):
    params = {
        "dense": {"kernel": latent("ranger/p2", (6, 5)).T},
        "conv": {"kernel": jnp.transpose(latent("ranger/p4", (4, 3, 3, 3)), (2, 3, 1, 0))},
        "vector": {"bias": latent("ranger/p1", (7,))},
    }

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        params, state = carry
        loss, gradients = jax.value_and_grad(toy_loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, loss)

    _, (history, losses) = jax.jit(lambda carry: jax.lax.scan(step, carry, length=25))((params, optimizer.init(params)))
    found = {
        "p2": history["dense"]["kernel"].transpose(0, 2, 1),
        "p4": history["conv"]["kernel"].transpose(0, 4, 3, 1, 2),
        "p1": history["vector"]["bias"],
    }
    networks.assert_parity({f"{variant}/{key}": value for key, value in found.items()}, "ranger/toy25", 1e-6)
    # The loss hardly changes in 25 steps: its rounding error is small against its size, not against its deviation.
    np.testing.assert_allclose(losses, networks.arrays("ranger/toy25")[f"{variant}/loss"], rtol=2e-6)


def test_step_sizes_equal_their_formula_in_double_precision():
    b1, b2, threshold = 0.95, 0.999, 5
    step = np.concatenate([np.arange(1, 3000), [16_000, 500_000]])
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * step * b2**step / (1 - b2**step)
    adaptive = rho > threshold
    length = np.where(adaptive, rho, rho_inf)
    factor = (1 - b2**step) * (length - 4) / (rho_inf - 4) * (length - 2) / length * rho_inf / (rho_inf - 2)
    expected = np.where(adaptive, np.sqrt(factor), 1) / (1 - b1**step)
    found, divides = jax.vmap(lambda s: optim.rectification(s, b1, b2, threshold))(jnp.asarray(step, jnp.int32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(divides, step > 5)
    with pytest.raises(ValueError, match="threshold of at least 4"):
        optim.scale_by_rectified_adam(threshold=3)


NETWORKS = [
    (Encoder, FPN, sizes.encoder_table(FPN)),
    (Encoder, BACKBONE, sizes.encoder_table(BACKBONE)),
    (
        Generator,
        config := GeneratorConfig(16, (4, 6, 8), w_dim=5, z_dim=5, mapping_layers=2),
        sizes.generator_table(config),
    ),
]


@pytest.mark.parametrize(("module", "config", "table"), NETWORKS, ids=["fpn", "backbone", "generator"])
def test_centralisation_is_that_of_the_tensors_upstream(module: type[nnx.Module], config: Any, table: engine.Table):
    """Each gradient in the shape that it has upstream, where all axes but the first are averaged, carried over to ours."""
    gradients = draw(parameters(module, config), 0)
    found = jax.jit(lambda gradients: optim.centralise_gradients().update(gradients, optax.EmptyState())[0])(gradients)
    ours, centred = (dict(nnx.to_flat_state(tree)) for tree in (gradients, found))
    rows: dict[str, list[engine.Row]] = {}
    for row in table:
        if isinstance(row, engine.Row):
            rows.setdefault(row.ours, []).append(row)
    for path, variable in ours.items():
        name, gradient = ".".join(map(str, path)), np.asarray(variable[...])
        stacked = rows[name][0].index is not None
        assert optim.upstream_layout(name, gradient.ndim).stacked == stacked, name
        for row in rows[name]:
            theirs = np.array(row.transform.inverse(gradient if row.index is None else gradient[row.index]))
            if theirs.ndim > 1:
                theirs -= theirs.mean(tuple(range(1, theirs.ndim)), keepdims=True)
            result = np.asarray(centred[path][...])
            expected = row.transform.forward(theirs)
            np.testing.assert_allclose(result if row.index is None else result[row.index], expected, atol=1e-6)


def test_a_parameter_of_unknown_shape_upstream_is_refused():
    with pytest.raises(ValueError, match=r"'decoder\.queries' \(rank 2\)"):
        optim.ranger(1e-3).init({"decoder": {"queries": jnp.zeros((2, 3))}})


def run(optimizer: Any, params: Any, steps: range, flags: Any = None, state: Any = None) -> tuple[Any, Any, list[Any]]:
    """Steps of an optimiser with gradients that depend on the step; `flags(step)` is the tree of active parameters."""
    update = jax.jit(optimizer.update)
    state, history = optimizer.init(params) if state is None else state, []
    for step in steps:
        updates, state = update(draw(params, step), state, params, active=flags(step) if flags else None)
        params = optax.apply_updates(params, updates)
        history.append(params)
    return params, state, history


STACK = {
    "heads": {"linear": {"kernel": jnp.ones((3, 4, 2)), "bias": jnp.zeros((3, 2))}},
    "trunk": {"bias": jnp.ones(5)},
}


@pytest.mark.parametrize("optimizer", [optim.ranger(1e-2), optim.adam(1e-2)], ids=["ranger", "adam"])
def test_a_head_that_opens_late_starts_afresh(optimizer: Any):
    """Head 2 opens at step 8 and then walks as it would have from a new state; until then nothing of it changes."""

    def flags(step: int) -> Any:
        return {
            "heads": {"linear": dict.fromkeys(("kernel", "bias"), jnp.array([True, step % 2 == 0, step >= 8]))},
            "trunk": {"bias": True},
        }

    _, _, late = run(optimizer, STACK, range(20), flags)
    _, _, fresh = run(optimizer, STACK, range(8, 20))
    _, _, always = run(optimizer, STACK, range(20))
    _, _, even = run(optimizer, STACK, range(0, 20, 2))
    for name, start in STACK["heads"]["linear"].items():
        path = [params["heads"]["linear"][name] for params in late]
        np.testing.assert_array_equal(path[7][2], start[2])
        np.testing.assert_array_equal(path[18][1], path[19][1])
        for found, expected in zip(path[8:], fresh, strict=True):
            np.testing.assert_allclose(found[2], expected["heads"]["linear"][name][2], atol=1e-7)
        np.testing.assert_allclose(path[-1][0], always[-1]["heads"]["linear"][name][0], atol=1e-7)
        np.testing.assert_allclose(path[-1][1], even[-1]["heads"]["linear"][name][1], atol=1e-7)
    np.testing.assert_allclose(late[-1]["trunk"]["bias"], always[-1]["trunk"]["bias"], atol=1e-7)


def test_inactive_parameters_and_their_state_stay_as_they_are_whatever_the_gradient():
    optimizer = optim.ranger(1e-2, weight_decay=0.1)
    params, state, _ = run(optimizer, STACK, range(7))
    closed = jax.tree.map(lambda _: False, STACK)
    gradients = jax.tree.map(lambda leaf: leaf * jnp.nan, params)
    updates, after = jax.jit(optimizer.update)(gradients, state, params, active=closed)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    jax.tree.map(lambda update: np.testing.assert_array_equal(update, 0), updates)


def test_a_stack_equals_separate_parameters():
    together, _, _ = run(optim.ranger(1e-2), {"heads": {"linear": {"kernel": jnp.ones((3, 4, 2))}}}, range(9))
    gradients = [draw({"kernel": jnp.zeros((3, 4, 2))}, step)["kernel"] for step in range(9)]
    optimizer, params = optim.ranger(1e-2), {"kernel": jnp.ones((4, 2))}
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update({"kernel": gradient[1]}, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(together["heads"]["linear"]["kernel"][1], params["kernel"], rtol=1e-6)


def test_flags_that_do_not_fit_are_refused():
    optimizer, state = optim.ranger(1e-2), optim.ranger(1e-2).init(STACK)
    with pytest.raises(ValueError, match=r"only the one or the other: trunk\.bias"):
        optimizer.update(STACK, state, STACK, active={"heads": STACK["heads"]})
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(STACK, state)


def test_head_activity_agrees_with_the_gradients_of_an_encoder():
    """Active is what has a gradient: the others' are exactly zero. One compilation serves every stage."""
    graph, params, rest = nnx.split(networks.random(Encoder, FPN), nnx.Param, ...)
    trunk = {"trunk": params.pop("trunk")}
    features = [latent(f"activity/{size}", (1, size, size, 256 // size)) for size in (8, 4, 2)]
    compiled = []

    def loss(params: Any, stage: jax.Array) -> jax.Array:
        encoder = nnx.merge(graph, nnx.State({**params, **trunk}), rest, copy=True)
        return jnp.sum(jnp.sin(offsets_to_styles(encoder.pyramid_styles(*features), stage)))

    @jax.jit
    def gradients(stage: jax.Array) -> tuple[Any, Any]:
        compiled.append(1)
        return jax.grad(loss)(params, stage), optim.head_activity(params, FPN, stage)

    for stage in (0, 2, 3, 6, 7, 8):
        found, active = gradients(jnp.int32(stage))
        for (path, gradient), flag in zip(nnx.to_flat_state(found), jax.tree.leaves(active), strict=True):
            moved = np.abs(gradient[...]).reshape(*flag.shape, -1).max(-1) > 0
            np.testing.assert_array_equal(moved, flag, err_msg=f"{path} at stage {stage}")
    assert len(compiled) == 1
    assert all(map(jnp.all, jax.tree.leaves(optim.head_activity(params, FPN, None))))


def test_one_compiled_step_with_donated_state_serves_every_stage():
    optimizer, params, compiled = optim.ranger(1e-3), jax.tree.map(jnp.copy, STACK), []

    def step(params: Any, state: Any, gradients: Any, stage: jax.Array) -> tuple[Any, Any]:
        compiled.append(1)
        active = optim.head_activity(params, EncoderConfig("progressive", "resnet18", 3), stage)
        updates, state = optimizer.update(gradients, state, params, active=active)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    state = optimizer.init(params)
    for stage in range(3):
        params, state = step(params, state, draw(STACK, stage), jnp.int32(stage))
    assert len(compiled) == 1
    np.testing.assert_array_equal(state[1]["heads.linear.kernel"].count, [3, 2, 1])
    np.testing.assert_array_equal(state[1]["trunk.bias"].count, 3)


def test_an_update_in_place_copies_no_weights():
    """With everything donated, the compiler plans at most one update beside it, which it may free before the next array."""
    optimizer = optim.ranger(1e-3)
    params = {f"trunk{i}.kernel": jax.ShapeDtypeStruct((3, 3, 64, 64), jnp.float32) for i in range(3)}

    def step(params: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = jax.eval_shape(optimizer.init, params)
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1.1 * tree_bytes(params)


def test_adam_is_torchs():
    """m and v corrected for their start, epsilon 1e-8 outside the root: the formula in double precision."""
    params, m, v = np.ones(4), np.zeros(4), np.zeros(4)
    optimizer = optim.build(EncoderTraining(optimizer="adam", learning_rate=1e-2))
    found, _, _ = run(optimizer, {"bias": jnp.ones(4)}, range(6))
    for step in range(6):
        gradient = np.asarray(draw({"bias": jnp.ones(4)}, step)["bias"], np.float64)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        corrected = np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8
        params = params - 1e-2 * m / (1 - 0.9 ** (step + 1)) / corrected
    np.testing.assert_allclose(found["bias"], params, rtol=1e-6)


def test_build_takes_names_and_functions():
    chain = optim.build(EncoderTraining(optimizer=lambda: optax.chain(optax.clip(0.5), optax.sgd(1.0))))
    gradients = {"bias": jnp.array([2.0, -0.25])}
    updates, _ = chain.update(gradients, chain.init(gradients), gradients, active={"bias": True})
    np.testing.assert_allclose(updates["bias"], [-0.5, 0.25])
    default, _, _ = run(optim.build(EncoderTraining()), gradients, range(7))
    expected, _, _ = run(optim.ranger(1e-4), gradients, range(7))
    np.testing.assert_array_equal(default["bias"], expected["bias"])
    unknown: Any = "lion"
    with pytest.raises(ValueError, match="unknown optimizer 'lion'; expected one of ranger, adam"):
        optim.build(EncoderTraining(optimizer=unknown))


@pytest.mark.parametrize(
    ("optimizer", "found"),
    [
        (optax.adam, r"fails with TypeError: .*missing 1 required .*'learning_rate'"),
        (lambda: optax.losses.no, "fails with AttributeError: .*no attribute 'no'"),
        (lambda: None, "found a .* that returns None"),
    ],
)
def test_functions_that_make_no_optimizer(optimizer: Any, found: str):
    with pytest.raises(
        ValueError, match=f"optimizer: {found}[,;] expected a function without arguments that returns an optax"
    ):
        optim.build(EncoderTraining(optimizer=optimizer))
