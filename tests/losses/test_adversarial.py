"""e4e's discriminator of latent codes, its losses and its pool, against the official code; and their properties."""

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.losses.adversarial import (
    LatentPool,
    encoder_loss,
    fake_loss,
    pool_draw,
    pool_query,
    r1_penalty,
    real_loss,
)
from restyle_jax.losses.latent import delta_norm, delta_norms, w_norm
from restyle_jax.nets.discriminators import LatentDiscriminator
from tests import networks
from tests.losses import golden_networks

GOLDEN = "coach/e4e_latent_discriminator"
BOUND = 1e-5
# Parameters in the order of the official state dict.
NAMES = [(layer, name) for layer in range(4) for name in ("kernel", "bias")]


def close(found: Any, key: str, bound: float = BOUND) -> None:
    reference = networks.arrays(GOLDEN)[key]
    found = np.asarray(found).reshape(reference.shape)
    assert np.abs(found - reference).max() <= bound * np.abs(reference).max(), key


def codes(name: str, shape: tuple[int, ...]) -> jax.Array:
    return networks.latent(f"latent_disc/{name}", shape)


def small(w_dim: int) -> LatentDiscriminator:
    return networks.random(LatentDiscriminator, w_dim)


def norms(gradients: nnx.State) -> jax.Array:
    return jnp.stack([jnp.linalg.norm(gradients["layers"][layer][name][...]) for layer, name in NAMES])


def test_discriminator_losses():
    # The golden's weights "after_adam" equal those before the step (views of weights that were restored): not compared.
    graph, params = nnx.split(golden_networks.latent_discriminator(), nnx.Param)
    real, fake = codes("real", (4, 512)), codes("fake", (4, 512))

    @jax.jit
    def slope(params: nnx.State):
        def loss(params: nnx.State):
            net = nnx.merge(graph, params)
            scores = net(real), net(fake)
            return real_loss(scores[0]).mean() + fake_loss(scores[1]).mean(), scores

        return jax.value_and_grad(loss, has_aux=True)(params)

    (value, scores), gradients = slope(params)
    close(scores[0], "real_pred")
    close(scores[1], "fake_pred")
    close(value, "d_loss")
    close(norms(gradients), "d_grads_norm")
    close(gradients["layers"][3]["kernel"][...], "d_grad_last")


def test_r1():
    graph, params = nnx.split(golden_networks.latent_discriminator(), nnx.Param)
    real = codes("real", (4, 512))

    @jax.jit
    def penalty(params: nnx.State) -> tuple[jax.Array, nnx.State]:
        def loss(params: nnx.State) -> jax.Array:
            return 10 / 2 * 16 * r1_penalty(nnx.merge(graph, params), real)[0].mean()

        return jax.value_and_grad(loss)(params)

    value, gradients = penalty(params)
    close(value, "r1_final")
    close(r1_penalty(nnx.merge(graph, params), real)[0].mean(), "r1")
    close(norms(gradients), "r1_grads_norm")


def test_encoder_terms_at_every_stage_with_one_compilation():
    net = golden_networks.latent_discriminator()
    w = codes("latent", (3, 14, 512))
    traced = []

    @jax.jit
    def compiled(stage: jax.Array) -> tuple[jax.Array, jax.Array]:
        traced.append(stage)
        return delta_norm(w, stage).mean(), encoder_loss(net, w, stage).mean()

    for stage in (0, 3, 13):
        delta, adversarial = compiled(jnp.int32(stage))
        close(delta, f"delta_loss_stage{stage}")
        close(adversarial, f"adv_loss_stage{stage}")
    assert len(traced) == 1
    # without a stage, and at upstream's 18 for "Inference", all styles count
    for stage in (None, 18):
        close(delta_norm(w, stage).mean(), "delta_loss_stage13")
        close(encoder_loss(net, w, stage).mean(), "adv_loss_stage13")


def replay(items: list[list[np.ndarray]], size: int) -> tuple[LatentPool, list[np.ndarray]]:
    """Queries of one batch each, with the draws that the official pool makes of Python's generator."""
    generator, seen = random.Random(0), 0
    pool, results = LatentPool.empty(size, 1), []
    query = jax.jit(pool_query)
    for batch in items:
        picked, use_stored, slot = [], [], []
        for item in batch:
            picked.append(item[generator.randint(0, len(item) - 1)] if item.ndim == 2 else item)
            swap = seen >= size and generator.uniform(0, 1) > 0.5
            use_stored.append(swap)
            slot.append(generator.randint(0, size - 1) if swap else 0)
            seen += 1
        pool, out = query(pool, jnp.asarray(np.array(picked)), jnp.array(use_stored), jnp.array(slot))
        results.append(np.asarray(out)[:, 0])
    return pool, results


def test_pool_replays_the_official_one():
    reference = networks.arrays(GOLDEN)
    single = [[np.full((1,), 3 * query + b, np.float32) for b in range(3)] for query in range(6)]
    pool, out = replay(single, 5)
    np.testing.assert_array_equal(np.stack(out), reference["pool_out"])
    np.testing.assert_array_equal(pool.codes[:, 0], reference["pool_content"])
    rows = np.arange(14, dtype=np.float32)[:, None]
    stacked = [[1000 * query + 100 * b + rows for b in range(2)] for query in range(4)]
    np.testing.assert_array_equal(np.stack(replay(stacked, 5)[1]), reference["pool3d_out"])


def test_pool_draw():
    """Nothing is lost or invented; about half of the codes are exchanged."""
    size, batches, batch = 8, 32, 16
    fresh = np.arange(batches * batch, dtype=np.float32).reshape(batches, batch, 1)
    keys = jax.random.split(jax.random.key(0), batches)

    @jax.jit
    def draw(pool: LatentPool) -> tuple[LatentPool, jax.Array]:
        return jax.lax.scan(lambda pool, given: pool_draw(pool, *given), pool, (jnp.asarray(fresh), keys))

    pool, taken = draw(LatentPool.empty(size, 1))
    assert pool.count == size
    # The first ones are given out on arrival, and stored besides.
    given = np.concatenate([fresh.ravel(), fresh.ravel()[:size]])
    kept = np.concatenate([np.ravel(taken), np.ravel(pool.codes)])
    np.testing.assert_array_equal(np.sort(given), np.sort(kept))
    exchanged = np.mean(np.ravel(taken)[size:] != fresh.ravel()[size:])
    assert 0.4 < exchanged < 0.6


def test_pool_takes_one_active_style_of_each_code():
    w = jnp.broadcast_to(jnp.arange(6.0)[None, :, None], (64, 6, 2))
    draw = jax.jit(pool_draw)
    for stage, styles in ((0, {0}), (2, {0, 1, 2}), (18, set(range(6))), (None, set(range(6)))):
        _, out = draw(LatentPool.empty(64, 2), w, jax.random.key(1), stage)
        assert set(np.asarray(out)[:, 0].tolist()) == styles
    same, out = draw(LatentPool.empty(0, 2), w + 1, jax.random.key(1))
    assert same.codes.shape == (0, 2) and (out == 1).all()


def test_gradients_are_finite_where_codes_coincide():
    """Below the progressive stage all styles are equal: the masked norms there have an infinite slope, if done naively."""
    w = jnp.ones((2, 5, 8))
    net = small(8)

    def total(w: jax.Array) -> jax.Array:
        return (delta_norm(w, 2) + w_norm(w, jax.lax.stop_gradient(w[0])) + encoder_loss(net, w, 1)).sum()

    slope = jax.jit(jax.grad(total))(w)
    assert np.isfinite(slope).all()
    assert not delta_norms(w).any() and not w_norm(w, w[0]).any()
    assert slope[:, :2].any() and not slope[:, 2:].any()


@pytest.mark.parametrize("shape", [(3, 512), (3, 4, 512)])
def test_scores_have_the_shape_of_the_codes(shape: tuple[int, ...]):
    net = small(512)
    assert net(jnp.zeros(shape)).shape == shape[:-1]
    assert sum(p.size for p in jax.tree.leaves(nnx.state(net))) == 788_481
