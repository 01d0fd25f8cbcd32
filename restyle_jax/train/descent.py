"""The training step of a small network: the mean of a loss, its gradient, and one update by Adam."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from restyle_jax.train.avatar_config import AvatarTraining
from restyle_jax.train.task import State


@dataclasses.dataclass(frozen=True)
class Descent:
    """Adam with a learning rate for each step, which also gets the gradient of the L2 penalty, as torch's `weight_decay`."""

    schedule: optax.Schedule
    weight_decay: float = 0.0

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.add_decayed_weights(self.weight_decay), optax.adam(self.schedule))

    def start(self, params: nnx.State) -> State:
        """The state before the first step."""
        return {"step": jnp.int32(0), "params": params, "optimizer": self.optimizer.init(params)}

    def step(
        self, state: State, measure: Callable[[nnx.State], dict[str, jax.Array]]
    ) -> tuple[State, dict[str, jax.Array]]:
        """One step, and the means of what was measured, with the length of the gradient and the learning rate.

        measure: parameters -> {quantity: f32[B]}, of which the mean of `loss` is made smaller.
        """

        def loss(params: nnx.State) -> tuple[jax.Array, dict[str, jax.Array]]:
            means = {name: value.mean() for name, value in measure(params).items()}
            return means["loss"], means

        gradient, metrics = jax.grad(loss, has_aux=True)(state["params"])
        updates, moments = self.optimizer.update(gradient, state["optimizer"], state["params"])
        metrics |= {
            "gradient_norm": optax.tree.norm(gradient),
            "learning_rate": jnp.asarray(self.schedule(state["step"])),
        }
        params = optax.apply_updates(state["params"], updates)
        return {"step": state["step"] + 1, "params": params, "optimizer": moments}, metrics


def on_avatars(config: AvatarTraining) -> Descent:
    """Linear warm-up, then half a cosine down to 0."""
    return Descent(optax.warmup_cosine_decay_schedule(0, config.learning_rate, config.warmup, config.max_steps))
