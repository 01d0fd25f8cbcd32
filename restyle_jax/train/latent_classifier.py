"""Training of a latent classifier as a task of the common loop.

The recipe is that of `pretraining/latent_classifier.py` in InterDigitalInc/latent-transformer, as the authors of the Style
Transformer published none: binary cross entropy of all attributes, Adam with L2 in the gradient.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from restyle_jax.checkpoints.latent_classifier import save_classifier
from restyle_jax.metrics.classification import quality
from restyle_jax.nets.latent_classifier import LatentClassifier, LatentClassifierConfig
from restyle_jax.nets.structure import structure
from restyle_jax.train.code_config import LatentClassifierTraining
from restyle_jax.train.descent import Descent
from restyle_jax.train.task import Batch, Frozen, State, Task


@dataclasses.dataclass(frozen=True)
class ClassifierTrainer:
    """The pure functions of the task. Holds the configuration and the structure of the network, but no arrays."""

    config: LatentClassifierTraining
    network: nnx.GraphDef[LatentClassifier]

    @property
    def descent(self) -> Descent:
        """A tenth of the learning rate from `decay_at` on."""
        config = self.config
        schedule = optax.piecewise_constant_schedule(config.learning_rate, {config.decay_at: 0.1})
        return Descent(schedule, config.weight_decay)

    def logits(self, params: nnx.State, w: jax.Array) -> jax.Array:
        """f32[B, K, D] -> f32[B, A]."""
        return nnx.merge(self.network, params, copy=True)(w).logits

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`. frozen: `labels` int8[N, A] of all training codes."""
        labels = frozen["labels"][batch["index"]].astype(jnp.float32)

        def measure(params: nnx.State) -> dict[str, jax.Array]:
            logits = self.logits(params, batch["source"])
            losses = optax.sigmoid_binary_cross_entropy(logits, labels)
            return {"loss": losses.mean(-1), "accuracy": ((logits > 0) == (labels > 0)).mean(-1)}

        return self.descent.step(state, measure)


def latent_classifier_task(
    config: LatentClassifierTraining,
    network: LatentClassifierConfig,
    labels: np.ndarray,
    test: tuple[np.ndarray, np.ndarray],
) -> Task:
    """The task of a configuration. labels: int8[N, A] of the training codes; test: codes f32[M, K, D] and labels int8[M, A].

    Its test gives the loss, and accuracy, average precision and expected calibration error of each attribute and their means over
    all; the average precision leaves out attributes that no test code has.
    """
    graph = nnx.graphdef(structure(LatentClassifier, network))
    trainer = ClassifierTrainer(config, graph)
    logits_of = jax.jit(trainer.logits)

    def init(key: jax.Array) -> State:
        return trainer.descent.start(nnx.state(LatentClassifier(network, rngs=nnx.Rngs(key))))

    def score(state: State) -> dict[str, float]:
        codes, known = test
        size = config.test_batch_size
        parts = [logits_of(state["params"], codes[first : first + size]) for first in range(0, len(codes), size)]
        logits = np.concatenate([np.asarray(part) for part in parts])
        found = quality(1 / (1 + np.exp(-logits.astype(np.float64))), known)._asdict()
        values = {"loss": float(optax.sigmoid_binary_cross_entropy(logits, known.astype(np.float32)).mean())}
        values |= {name: float(np.nanmean(column)) for name, column in found.items() if not np.isnan(column).all()}
        for name, column in found.items():
            each = zip(network.attributes, column, strict=True)
            values |= {f"{name}/{attribute}": float(value) for attribute, value in each if not np.isnan(value)}
        return values

    def publish(state: State, directory: Path) -> None:
        metadata = {"kind": "a latent classifier trained by restyle_jax", "step": int(state["step"])}
        save_classifier(nnx.merge(graph, state["params"]), metadata, directory)

    return Task(
        frozen={"labels": labels},
        init=init,
        step=trainer.step,
        show=lambda state, frozen, batch: {},
        sheets={},
        publish=publish,
        score=score,
        best="loss",
    )
