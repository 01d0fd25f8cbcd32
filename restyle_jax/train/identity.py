"""Training of an identity network (`nets.identity`) on pairs of pictures of one identity, as a task of the common loop.

What a pair shares is the identity alone: pose, expression, what is worn, light and background are drawn anew. So the loss,
NT-Xent (arXiv 2002.05709) with drawing in place of augmentation, rewards what tells people apart and nothing else.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

from restyle_jax.checkpoints.auxiliary import save_identity
from restyle_jax.losses.similarity import cosine_similarity
from restyle_jax.nets.identity import IdentityConfig, IdentityNetwork
from restyle_jax.nets.structure import structure
from restyle_jax.train import descent
from restyle_jax.train.identity_config import IdentityTraining
from restyle_jax.train.task import Batch, Frozen, Sheet, State, Task


def recognition(features: jax.Array, identity: jax.Array, known: jax.Array, temperature: float) -> dict[str, jax.Array]:
    """How well each picture is recognised by the other picture of its pair, among those of all other identities.

    features: f32[2, B, D], unit vectors of the first and the second pictures of B pairs. identity: int32[B]. known: bool[B],
    False for pairs that do not count. Returns f32[B], means over the two pictures:

    loss: cross entropy of the partner among the others, with cosines over `temperature` as logits.
    nearest: share whose partner is more similar than every other. above: share of the others that are less similar than the
    partner, whose mean is the area under the ROC curve of each picture.
    """
    both = features.reshape(-1, features.shape[-1])
    of_partner = jnp.tile(cosine_similarity(*features), 2)[:, None]
    owner = jnp.tile(identity, 2)
    others = (owner[:, None] != owner[None]) & jnp.tile(known, 2)[None]
    similarity = both @ both.T
    logits = jnp.concatenate([of_partner, jnp.where(others, similarity, -jnp.inf)], axis=1) / temperature
    below = others & (similarity < of_partner)
    found = {
        "loss": -jax.nn.log_softmax(logits)[:, 0],
        "nearest": (below == others).all(axis=1),
        "above": below.sum(axis=1) / jnp.maximum(others.sum(axis=1), 1),
    }
    return {name: values.reshape(2, -1).mean(axis=0) for name, values in found.items()}


@dataclasses.dataclass(frozen=True)
class IdentityTrainer:
    """The pure functions of the task. Holds the configuration and the structure of the network, but no arrays.

    identities: how many there are in the pictures of training and of the test (`data_pipelines.avatars.IdentityPairs`).
    """

    config: IdentityTraining
    network: nnx.GraphDef[IdentityNetwork]
    identities: tuple[int, int]

    def measure(self, params: nnx.State, batch: Batch, identities: int, known: jax.Array) -> dict[str, jax.Array]:
        """{quantity: f32[B]}, see `recognition`."""
        network = nnx.merge(self.network, params, copy=True)
        features = network(jnp.concatenate([batch["source"], batch["target"]])).reshape(2, len(known), -1)
        return recognition(features, batch["index"] % identities, known, self.config.temperature)

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`."""
        del frozen
        known = jnp.ones(len(batch["index"]), bool)
        return descent.on_avatars(self.config).step(
            state, lambda params: self.measure(params, batch, self.identities[0], known)
        )

    def evaluate(self, state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        """Every quantity for every pair, f32[B, 1], among those of its batch."""
        del frozen
        found = self.measure(state["params"], batch, self.identities[1], batch["valid"])
        return {name: value[:, None] for name, value in found.items()}


def identity_task(config: IdentityTraining, network: IdentityConfig, identities: tuple[int, int]) -> Task:
    """The task of a configuration: a new network. identities: see `IdentityTrainer`."""
    graph = nnx.graphdef(structure(IdentityNetwork, network))
    trainer = IdentityTrainer(config, graph, identities)

    def publish(state: State, directory: Path) -> None:
        metadata = {"kind": "an identity network trained by restyle_jax", "step": int(state["step"])}
        save_identity(nnx.merge(graph, state["params"]), metadata, directory)

    return Task(
        frozen={},
        init=lambda key: descent.on_avatars(config).start(nnx.state(IdentityNetwork(network, rngs=nnx.Rngs(key)))),
        step=trainer.step,
        show=lambda state, frozen, batch: {"pairs": jnp.stack([batch["source"], batch["target"]], axis=1)},
        sheets={"pairs": Sheet(("first", "second"))},
        publish=publish,
        evaluate=trainer.evaluate,
        best="loss/1",
    )
