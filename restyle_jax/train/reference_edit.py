"""Training of a network for edits by reference as a task of the common loop (Style Transformer: `training/coach_ref_edit.py`)."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from restyle_jax.checkpoints.edit_transformer import save_editor
from restyle_jax.losses.editing import reference_losses
from restyle_jax.nets.edit_transformer import EditTransformer, EditTransformerConfig
from restyle_jax.nets.latent_classifier import LatentClassifier
from restyle_jax.nets.structure import structure
from restyle_jax.train.code_config import ReferenceEditTraining
from restyle_jax.train.descent import Descent
from restyle_jax.train.task import Batch, Frozen, State, Task


@dataclasses.dataclass(frozen=True)
class ReferenceEditTrainer:
    """The pure functions of the task. Holds the configuration and the structure of the networks, but no arrays.

    taken: the numbers of the attributes that are taken over, in the classifier.
    """

    config: ReferenceEditTraining
    editor: nnx.GraphDef[EditTransformer]
    classifier: nnx.GraphDef[LatentClassifier]
    taken: tuple[int, ...]

    @property
    def descent(self) -> Descent:
        return Descent(optax.constant_schedule(self.config.learning_rate), self.config.weight_decay)

    def losses(
        self, params: nnx.State, frozen: Frozen, source: jax.Array, reference: jax.Array, key: jax.Array | None
    ) -> dict[str, jax.Array]:
        """{loss, or one of its terms without its weight: f32[B]} of editing f32[B, K, D]. key: for dropout."""
        edited = nnx.merge(self.editor, params, copy=True)(source, reference, key=key)
        classifier = nnx.merge(self.classifier, frozen["classifier"], copy=True)
        terms = reference_losses(classifier, source, edited, reference, self.taken)
        weighted = [getattr(self.config, name) * term for name, term in terms.items()]
        return {"loss": jnp.sum(jnp.stack(weighted), 0), **terms}

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`. The first half of a batch is edited, the second are the references."""
        source, reference = jnp.split(batch["source"], 2)
        key = jax.random.fold_in(jax.random.key(self.config.seed), state["step"])

        return self.descent.step(state, lambda params: self.losses(params, frozen, source, reference, key))

    def evaluate(self, state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        """Loss and terms of editing each `source` by its `target`, without dropout, f32[B, 1]."""
        found = self.losses(state["params"], frozen, batch["source"], batch["target"], None)
        return {name: value[:, None] for name, value in found.items()}


def reference_edit_task(config: ReferenceEditTraining, classifier: LatentClassifier) -> Task:
    """The task of a configuration.

    Raises ValueError: an attribute that the classifier does not know (lists the known ones), or impossible sizes.
    """
    known = classifier.config
    taken = known.values_of(config.attribute)
    sizes = (config.heads, config.hidden, config.dropout, config.form)
    network = EditTransformerConfig(known.num_styles, config.attribute, known.style_dim, *sizes)
    graph = nnx.graphdef(structure(EditTransformer, network))
    judge, judge_state = nnx.split(classifier)
    trainer = ReferenceEditTrainer(config, graph, judge, taken)

    def init(key: jax.Array) -> State:
        return trainer.descent.start(nnx.state(EditTransformer(network, rngs=nnx.Rngs(key))))

    def publish(state: State, directory: Path) -> None:
        metadata = {"kind": "a network for edits by reference trained by restyle_jax", "step": int(state["step"])}
        save_editor(nnx.merge(graph, state["params"]), metadata, directory)

    return Task(
        frozen={"classifier": judge_state},
        init=init,
        step=trainer.step,
        show=lambda state, frozen, batch: {},
        sheets={},
        publish=publish,
        evaluate=trainer.evaluate,
        best="loss/1",
    )
