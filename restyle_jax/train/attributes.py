"""Training of an attribute network (`nets.attributes`) on pictures whose attributes are known, as a task of the common loop."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.nets.attributes import AttributeConfig, AttributeNetwork, Attributes
from restyle_jax.nets.structure import structure
from restyle_jax.train import descent
from restyle_jax.train.attribute_config import AttributeTraining
from restyle_jax.train.task import Batch, Frozen, Sheet, State, Task

Table = Mapping[str, np.ndarray]
"""What is in n pictures, as the network says it (`nets.attributes.Attributes`): `scalars` f32[n, S] in [0, 1], `angles`
f32[n, A, 2], `choices` int32[n, D], the numbers of the values."""


def table(config: AttributeConfig, described: Mapping[str, np.ndarray]) -> Table:
    """The attributes that the config names, out of {name: values [n]}: numbers, angles in degrees, numbers of choices.

    Raises ValueError naming the attributes that are missing or out of range.
    """
    names = [*(name for name, *_ in config.scalars), *config.angles, *(name for name, _ in config.choices)]
    if missing := [name for name in names if name not in described]:
        raise ValueError(f"attributes: {', '.join(missing)} missing, found {', '.join(described)}")
    ranges = {name: (low, high) for name, low, high in config.scalars}
    ranges |= {name: (0, len(values) - 1) for name, values in config.choices}
    outside = [name for name, (low, high) in ranges.items() if not _within(described[name], low, high)]
    if outside:
        raise ValueError(f"attributes: {', '.join(outside)} beyond the range that the network is made for")
    count = len(described[names[0]])
    scalars = [(described[name] - low) / (high - low) for name, low, high in config.scalars]
    angles = [np.deg2rad(described[name]) for name in config.angles]
    choices = [described[name] for name, _ in config.choices]
    return {
        "scalars": np.array(scalars, np.float32).T.reshape(count, -1),
        "angles": np.array([np.cos(angles), np.sin(angles)], np.float32).T.reshape(count, -1, 2),
        "choices": np.array(choices, np.int32).T.reshape(count, -1),
    }


def _within(values: np.ndarray, low: float, high: float) -> bool:
    return bool(np.all((values >= low) & (values <= high)))


def errors(config: AttributeConfig, found: Attributes, wanted: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
    """What was not seen: f32[B, S + A] of scalars and angles, and f32[B, D] of choices. All are 1 on average for someone who
    does not look.

    The square error of a scalar over the variance of a uniform one (so that its mean is 1 - R2), that of cosine and sine
    together, and the cross entropy of a choice over the logarithm of the number of its values. wanted: rows of a `Table`.
    """
    of_scalars = 12 * jnp.square(found.scalars - wanted["scalars"])
    of_angles = jnp.square(found.angles - wanted["angles"]).sum(-1)
    of_choices = [
        optax.softmax_cross_entropy_with_integer_labels(found.choices[name], wanted["choices"][:, i])
        / math.log(len(values))
        for i, (name, values) in enumerate(config.choices)
    ]
    return jnp.concatenate([of_scalars, of_angles], 1), jnp.stack(of_choices, 1, dtype=jnp.float32)


@dataclasses.dataclass(frozen=True)
class AttributeTrainer:
    """The pure functions of the task. Holds the configurations and the structure of the network, but no arrays."""

    config: AttributeTraining
    network_config: AttributeConfig
    network: nnx.GraphDef[AttributeNetwork]

    def measure(self, params: nnx.State, known: Mapping[str, jax.Array], batch: Batch) -> dict[str, jax.Array]:
        """{quantity: f32[B]}: the loss, the share of the variance of numbers and angles that is explained (R2), and the share
        of choices that are right. known: a `Table` of the whole split."""
        wanted = {name: rows[batch["index"]] for name, rows in known.items()}
        found = nnx.merge(self.network, params, copy=True)(batch["source"])
        numbers, choices = errors(self.network_config, found, wanted)
        likely = jnp.stack([found.choices[name].argmax(-1) for name, _ in self.network_config.choices], 1)
        return {
            "loss": jnp.concatenate([numbers, choices], 1).mean(1),
            "explained": 1 - numbers.mean(1),
            "accuracy": (likely == wanted["choices"]).mean(1),
        }

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`."""
        return descent.on_avatars(self.config).step(state, lambda params: self.measure(params, frozen["train"], batch))

    def evaluate(self, state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        """Every quantity for every picture, f32[B, 1]."""
        return {name: value[:, None] for name, value in self.measure(state["params"], frozen["test"], batch).items()}


def attribute_task(config: AttributeTraining, network: AttributeConfig, train: Table, test: Table) -> Task:
    """The task of a configuration: a new network, and what is known about the pictures of both splits (see `table`)."""
    graph = nnx.graphdef(structure(AttributeNetwork, network))
    trainer = AttributeTrainer(config, network, graph)

    def init(key: jax.Array) -> State:
        return descent.on_avatars(config).start(nnx.state(AttributeNetwork(network, rngs=nnx.Rngs(key))))

    def publish(state: State, directory: Path) -> None:
        metadata = {"kind": "an attribute network trained by restyle_jax", "step": int(state["step"])}
        save_attributes(nnx.merge(graph, state["params"]), metadata, directory)

    return Task(
        frozen={"train": dict(train), "test": dict(test)},
        init=init,
        step=trainer.step,
        show=lambda state, frozen, batch: {"pictures": batch["source"][:, None]},
        sheets={"pictures": Sheet(("picture",))},
        publish=publish,
        evaluate=trainer.evaluate,
        best="loss/1",
    )
