"""One training iteration of ReStyle-pSp and ReStyle-e4e, and the losses of the next one, against the official coaches."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import restyle_jax as rs
from restyle_jax.checkpoints import sizes
from restyle_jax.convert import engine
from restyle_jax.nets.discriminators import LatentDiscriminator
from restyle_jax.nets.structure import structure
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder_task import assemble
from restyle_jax.train.objective import Objective
from tests import networks, official, recipe
from tests.losses import golden_networks

BOUND = 1e-3
# Of the early body the reference's own float32 is 3e-4 from its float64 in the norms of gradients (b2_n3); ten times that is a
# sound bound for the gate there, whose gradient passes a ReLU of few units: 5.5e-4 and 1.4e-3 were seen.
EARLY_GATE, EARLY_GATE_BOUND = "body.3.res_layer.5.fc1.weight", 3e-3
R1_EVERY = 16
STEP_OF_STAGE_3 = 20 * R1_EVERY  # R1 is due, and the third style is free

PSP = EncoderTraining(steps_per_image=3, identity=0.1, w_norm=0.025, random_noise=False)
E4E = EncoderTraining(
    head="progressive",
    steps_per_image=2,
    identity=0.1,
    adversarial=0.1,
    pool_size=0,
    random_noise=False,
    discriminator_codes="upstream",
)
CASES = {
    "psp_256_b2_n3": (PSP, 0),
    "e4e_256_b2_n2": (E4E, 0),
    "e4e_256_b2_n2_stage3": (
        EncoderTraining(**{**vars(E4E), "delta": 2e-4, "progressive_start": 100, "progressive_every": 100}),
        STEP_OF_STAGE_3,
    ),
}
NAMES = {"loss_l2": "l2", "loss_lpips": "lpips", "loss_id": "identity", "id_improve": "identity_improvement"}
NAMES |= {
    "loss_w_norm": "w_norm",
    "encoder_discriminator_loss": "adversarial",
    "total_delta_loss": "delta",
    "loss": "loss",
}
NAMES |= {
    "d_real_loss": "discriminator_real",
    "d_fake_loss": "discriminator_fake",
    "discriminator_r1_loss": "discriminator_r1",
}


@pytest.mark.parametrize("name", CASES)
def test_parity_with_the_official_coach(name: str, tmp_path):
    config, first_step = CASES[name]
    manifest, reference = networks.manifest(f"coach/{name}"), networks.arrays(f"coach/{name}")
    average = recipe.latent(f"coach_{name}/latent_avg", (14, 512), 0.5)
    stored = {"state_dict": recipe.build(manifest), "opts": manifest["args"], "latent_avg": average}
    model = rs.load(official.write(tmp_path / "start.pt", stored))
    del stored
    objective, losses = Objective.of(
        config, {"lpips": golden_networks.lpips("alex"), "identity": golden_networks.face()}
    )
    trainer, frozen, init = assemble(config, model, objective, losses)
    state = {**init(jax.random.key(0)), "step": jnp.int32(first_step)}
    if config.adversarial:
        weights = manifest["weights_disc"]
        source = recipe.build({"salt": weights["salt"], "weights": weights["weights"]})
        judge = networks.filled(structure(LatentDiscriminator), golden_networks.discriminator_table(), source)
        params = nnx.state(judge)
        state["discriminator"] = {"params": params, "optimizer": trainer.discriminator_optimizer.init(params)}
    x = jnp.asarray(networks.nhwc(recipe.image(f"coach_{name}/x", 2, 3, 256, 256)))
    rows, judged = sizes.encoder_table(trainer.encoder_config), golden_networks.discriminator_table()

    @functools.partial(jax.jit, donate_argnums=0)
    def iterate(state: Any, frozen: Any, z: jax.Array) -> Any:
        """One training step with the noise and the z of the golden."""
        found = {}
        if config.adversarial:
            state, found = trainer.discriminate(state, frozen, x, z, jax.random.key(0))
        gradient, stats, means = trainer.gradient(state, frozen, x, x, jax.random.key(0))
        state = trainer.update({**state, "stats": stats}, gradient)
        seen = {
            "gradient": tensors(gradient["encoder"], manifest["param_names"], rows),
            "parameters": tensors(state["params"]["encoder"], manifest["param_names"], rows),
            "statistics": tensors(state["stats"], manifest["buffer_names"], rows),
        }
        if config.adversarial:
            names = [row[0] for row in manifest["weights_disc"]["weights"]]
            seen["judge"] = tensors(state["discriminator"]["params"], names, judged)
        return state, seen, {**found, **means}

    for iteration in range(2):
        z = jnp.asarray(recipe.latent(f"coach_{name}/z{iteration}", (2, 512)))
        state, seen, metrics = iterate(state, frozen, z)
        bound = 1e-5 if iteration == 0 else BOUND
        expected = manifest.get(f"disc_losses_iter{iteration}", {})
        measured = {key: relative(metrics[NAMES[key]], value) for key, value in expected.items() if key in NAMES}
        for step, expected in enumerate(manifest[f"loss_per_step_iter{iteration}"]):
            measured |= {
                f"{key} of step {step}": relative(metrics[NAMES[key]][step], value)
                for key, value in expected.items()
                if key in NAMES
            }
        print(name, iteration, {key: f"{value:.1e}" for key, value in measured.items()})
        assert len(measured) >= 5 * trainer.steps and max(measured.values()) < bound, measured
        if iteration:
            continue
        check_summaries("gradient", seen["gradient"], manifest["param_names"], reference["grad"], rows)
        check_summaries("parameters", seen["parameters"], manifest["param_names"], reference["param_after"], rows)
        check_summaries("statistics", seen["statistics"], manifest["buffer_names"], reference["buffer_after"], rows)
        if config.adversarial:
            names = [row[0] for row in manifest["weights_disc"]["weights"]]
            check_summaries("judge", seen["judge"], names, reference["disc_params_after"], judged)


def relative(found: Any, value: float) -> float:
    return abs(float(found) - value) / abs(value)


def tensors(tree: nnx.State, names: list[str], rows: engine.Table) -> dict[str, jax.Array]:
    """Those of our arrays that hold these official tensors."""
    wanted = {row.ours for row in rows if isinstance(row, engine.Row) and row.theirs in names}
    flat = {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(tree)}
    return {name: leaf for name, leaf in flat.items() if name in wanted}


def check_summaries(
    what: str, found: dict[str, jax.Array], names: list[str], reference: np.ndarray, rows: engine.Table
) -> None:
    """Each row of the reference: mean, deviation, norm and the first 16 values of one official tensor.

    Norms and single values to BOUND (values relative to the deviation), for gradients the direction instead of the values.
    """
    wanted = [row for row in rows if isinstance(row, engine.Row) and row.theirs in names and row.ours in found]
    official_arrays = engine.write(wanted, {name: np.asarray(array) for name, array in found.items()})
    assert set(official_arrays) == set(names)
    errors = {}
    for name, (mean, deviation, norm, *first) in zip(names, reference, strict=True):
        array = np.asarray(official_arrays[name], np.float64).ravel()
        head, first = array[:16], np.array(first[: array.size], np.float64)
        if norm == 0:
            assert not array.any(), name
            continue
        errors[f"{name} norm"] = abs(np.linalg.norm(array) - norm) / norm
        if what == "gradient":
            if first.any():  # a squeeze-and-excitation unit that is off for the whole batch starts with zeros
                errors[f"{name} direction"] = 1 - head @ first / np.linalg.norm(head) / np.linalg.norm(first)
            errors[f"{name} deviation"] = abs(array.std() - deviation) / norm
        else:
            scale = deviation or abs(mean)
            errors[f"{name} values"] = np.abs(head - first).max() / scale
            errors[f"{name} mean"] = abs(array.mean() - mean) / scale
    print(what, {key: f"{value:.1e}" for key, value in errors.items()})
    gate = errors.pop(f"{EARLY_GATE} norm", 0) if what == "gradient" else 0
    assert gate < EARLY_GATE_BOUND and all(error < BOUND for error in errors.values()), (gate, errors)
