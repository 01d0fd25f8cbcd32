"""The training step of a small network: Adam, and a learning rate that rises and falls."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from restyle_jax.train.avatar_config import AvatarTraining
from restyle_jax.train.task import State


def schedule(config: AvatarTraining) -> optax.Schedule:
    """Linear warm-up, then half a cosine down to 0."""
    return optax.warmup_cosine_decay_schedule(0, config.learning_rate, config.warmup, config.max_steps)


def start(config: AvatarTraining, params: nnx.State) -> State:
    """The state before the first step."""
    return {"step": jnp.int32(0), "params": params, "optimizer": optax.adam(schedule(config)).init(params)}


def step(
    config: AvatarTraining, state: State, measure: Callable[[nnx.State], dict[str, jax.Array]]
) -> tuple[State, dict[str, jax.Array]]:
    """One step, and the means of what was measured, with the length of the gradient and the learning rate.

    measure: parameters -> {quantity: f32[B]}, of which the mean of `loss` is made smaller.
    """

    def loss(params: nnx.State) -> tuple[jax.Array, dict[str, jax.Array]]:
        means = {name: value.mean() for name, value in measure(params).items()}
        return means["loss"], means

    gradient, metrics = jax.grad(loss, has_aux=True)(state["params"])
    updates, moments = optax.adam(schedule(config)).update(gradient, state["optimizer"], state["params"])
    metrics |= {"gradient_norm": optax.global_norm(gradient), "learning_rate": schedule(config)(state["step"])}
    params = optax.apply_updates(state["params"], updates)
    return {"step": state["step"] + 1, "params": params, "optimizer": moments}, metrics
