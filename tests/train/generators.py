"""A StyleGAN2 small enough to train in tests, and its task."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax.train.stylegan import StyleGANTrainer
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.stylegan_task import assemble

SIZE, BATCH, STYLES = 8, 8, 4
CONFIG = StyleGANTraining(
    resolution=SIZE,
    channel_base=64,
    channel_max=8,
    w_dim=8,
    mapping_layers=2,
    batch_size=BATCH,
    r1=1.0,
    ema_kimg=0.1,
    stddev_group=2,
    stddev_block=4,
    avatars=64,
)


@functools.cache
def made(config: StyleGANTraining = CONFIG, classes: int = 0) -> tuple[StyleGANTrainer, Any, Any, Any]:
    """The trainer, its frozen arrays, its first state, and its compiled step."""
    trainer, frozen, init = assemble(config, np.arange(64) % classes if classes else None)
    return trainer, frozen, init(jax.random.key(3)), jax.jit(trainer.step)


def batch(seed: int = 0) -> dict[str, jax.Array]:
    pictures = jax.random.uniform(jax.random.key(seed), (BATCH, SIZE, SIZE, 3), minval=-1)
    return {"source": pictures, "target": pictures, "index": jnp.arange(BATCH, dtype=jnp.int32)}


def steps(count: int, config: StyleGANTraining = CONFIG, classes: int = 0) -> list[tuple[Any, dict[str, Any]]]:
    """State and metrics after each step."""
    _, frozen, state, step = made(config, classes)
    found = []
    for number in range(count):
        state, metrics = step(state, frozen, batch(number))
        found.append((state, jax.device_get(metrics)))
    return found


def flat(state: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path({**state, "key": jax.random.key_data(state["key"])})
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def differ(a: Any, b: Any) -> bool:
    return any(bool((x != y).any()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
