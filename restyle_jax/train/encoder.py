"""Training of ReStyle, pSp, e4e and Style Transformer encoders (`training/coach*.py` of the official repositories) as one task.

One step: with a latent discriminator, its update first; then the N refinement steps, each with its own loss and gradient;
then one update of the encoder with the sum.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from restyle_jax import refine
from restyle_jax.losses import adversarial
from restyle_jax.losses.adversarial import LatentPool
from restyle_jax.nets.discriminators import LatentDiscriminator
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.image_encoders import ImageEncoder, ImageEncoderConfig
from restyle_jax.nets.style_based import uniform_labels
from restyle_jax.ops.images import shown
from restyle_jax.refine import Estimate
from restyle_jax.train import optim
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.objective import Objective
from restyle_jax.train.task import Batch, Frozen, State


@dataclasses.dataclass(frozen=True)
class EncoderTrainer:
    """The pure functions of the task. Holds the configuration and the structure of the networks, but no arrays."""

    config: EncoderTraining
    encoder_config: ImageEncoderConfig
    z_dim: int
    encoder: nnx.GraphDef[ImageEncoder]
    generator: nnx.GraphDef[Generator]
    discriminator: nnx.GraphDef[LatentDiscriminator] | None
    objective: Objective
    optimizer: optax.GradientTransformationExtraArgs

    def stage(self, step: jax.Array) -> jax.Array | None:
        """The progressive stage of a training step: the last style that differs from style 0; None without a schedule."""
        config = self.config
        if config.progressive_start is None:
            return None
        freed = 1 + (step - config.progressive_start) // config.progressive_every
        return jnp.clip(jnp.where(step < config.progressive_start, 0, freed), 0, self.encoder_config.num_styles - 1)

    def last_stage(self, state: State) -> jax.Array | None:
        """The stage of the training step that led to this state, at which it is measured and published."""
        return self.stage(jnp.maximum(state["step"] - 1, 0))

    def networks(self, params: State, stats: nnx.State, frozen: Frozen) -> tuple[ImageEncoder, Generator]:
        generator = [params["generator"]] if "generator" in params else []
        return (
            nnx.merge(self.encoder, params["encoder"], stats, copy=True),
            nnx.merge(self.generator, *generator, frozen["generator"], copy=True),
        )

    def judge(self, state: State) -> LatentDiscriminator | None:
        """The latent discriminator, if there is one."""
        if self.discriminator is None:
            return None
        return nnx.merge(self.discriminator, state["discriminator"]["params"], copy=True)

    def start(self, params: State, frozen: Frozen, batch: int) -> Estimate:
        """The average code and its image, recomputed where the generator is trained (upstream lets the image grow stale)."""
        first = Estimate(frozen["w_avg"][None], frozen["derived"]["y_avg"])
        if "generator" in params:
            generator = nnx.merge(self.generator, params["generator"], frozen["generator"], copy=True)
            first = jax.lax.stop_gradient(refine.average(generator, frozen["w_avg"], self.config.geometry))
        return Estimate(*(jnp.broadcast_to(part, (batch, *part.shape[1:])) for part in first))

    def discriminate(
        self, state: State, frozen: Frozen, source: jax.Array, z: jax.Array, key: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        """One update of the latent discriminator, and every `r1_every` steps a second one with the R1 penalty.

        z: f32[B, z_dim]. Real codes are mapped z, with uniform labels if the generator takes any; fake ones the encoder's, one of
        the active styles of each picture. The encoder runs in train mode, which updates its statistics once more.
        (`train_discriminator` of coach_restyle_e4e.py.)
        """
        config, start = self.config, self.start(state["params"], frozen, len(source))
        stage = self.stage(state["step"])
        encoder, generator = self.networks(state["params"], state["stats"], frozen)
        x = source if self.encoder_config.in_channels != 6 else jnp.concatenate([source, start.y], -1)
        fake = encoder(x, stage, train=not config.freeze_batch_norm)
        stats = nnx.state(encoder, nnx.BatchStat)
        if config.discriminator_codes == "absolute":
            fake += frozen["w_avg"]
        key_real, key_fake = jax.random.split(key)
        key_label = jax.random.fold_in(key, 2)  # of 0 and 1 it may give the keys of `split`
        real = generator.mapping(z, uniform_labels(key_label, len(z), generator.mapping.label_dim))
        own = state["discriminator"]
        pools = {side: own.get(side, LatentPool.empty(0, real.shape[-1])) for side in ("real", "fake")}
        pools["real"], real = adversarial.pool_draw(pools["real"], real, key_real)
        pools["fake"], fake = adversarial.pool_draw(pools["fake"], fake, key_fake, stage)
        real, fake = jax.lax.stop_gradient((real, fake))

        def network(params: nnx.State) -> LatentDiscriminator:
            assert self.discriminator is not None
            return nnx.merge(self.discriminator, params, copy=True)

        def logistic_loss(params: nnx.State) -> tuple[jax.Array, dict[str, jax.Array]]:
            judge = network(params)
            parts = {
                "discriminator_real": adversarial.real_loss(judge(real)).mean(),
                "discriminator_fake": adversarial.fake_loss(judge(fake)).mean(),
            }
            return sum(parts.values(), jnp.float32(0)), parts

        def penalty(params: nnx.State) -> jax.Array:
            return config.r1 / 2 * config.r1_every * adversarial.r1_penalty(network(params), real)[0].mean()

        def descend(params: nnx.State, moments: Any, gradient: nnx.State) -> tuple[nnx.State, Any]:
            updates, moments = self.discriminator_optimizer.update(gradient, moments, params)
            return optax.apply_updates(params, updates), moments  # pyright: ignore[reportReturnType]

        gradient, metrics = jax.grad(logistic_loss, has_aux=True)(own["params"])
        params, moments = descend(own["params"], own["optimizer"], gradient)

        def regularise(params: nnx.State, moments: Any) -> tuple[nnx.State, Any, jax.Array]:
            loss, gradient = jax.value_and_grad(penalty)(params)
            return *descend(params, moments, gradient), loss

        def leave(params: nnx.State, moments: Any) -> tuple[nnx.State, Any, jax.Array]:
            return params, moments, jnp.float32(0)

        if config.r1:
            due = state["step"] % config.r1_every == 0
            params, moments, metrics["discriminator_r1"] = jax.lax.cond(due, regularise, leave, params, moments)
        kept = {side: pool for side, pool in pools.items() if side in own}  # a pool of size 0 is not
        changed = {**state, "stats": stats, "discriminator": {**own, **kept, "params": params, "optimizer": moments}}
        return changed, metrics

    @property
    def discriminator_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.discriminator_learning_rate)

    def gradient(
        self,
        state: State,
        frozen: Frozen,
        source: jax.Array,
        target: jax.Array,
        key: jax.Array,
        steps: jax.Array | None = None,
    ) -> tuple[State, nnx.State, dict[str, jax.Array]]:
        """Gradient of the losses of the refinement steps of a batch: (gradient, statistics, metrics f32[N]).

        steps: how many of the N steps are made; all when None.
        """
        config = self.config
        stage = self.stage(state["step"])
        judge = self.judge(state)
        aim = self.objective.aim(frozen["losses"], target, source)
        _, key_noise = jax.random.split(key)

        def step_loss(params: State, carry: Any) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
            estimate, stats, key = carry
            key, key_now, key_dropout = jax.random.split(key, 3)
            encoder, generator = self.networks(params, stats, frozen)
            estimate, _ = refine.step(
                encoder,
                generator,
                source,
                estimate,
                frozen["w_avg"],
                config.geometry,
                noise=key_now if config.random_noise else "const",
                stage=stage,
                train=not config.freeze_batch_norm,
                key=key_dropout,
                remat=config.remat,
            )
            terms = self.objective.terms(frozen["losses"], judge, estimate, aim, frozen["w_avg"], stage)
            means = {name: term.mean() for name, term in terms.items()}
            return means["loss"], ((estimate, nnx.state(encoder, nnx.BatchStat), key), means)

        carry = (self.start(state["params"], frozen, len(source)), state["stats"], key_noise)
        gradient, (_, stats, _), metrics = refine.step_gradients(
            step_loss, state["params"], carry, self.step_weights(steps), steps, through_steps=config.through_steps
        )
        return gradient, stats, metrics

    def drawn_steps(self, key: jax.Array) -> jax.Array | None:
        """How many steps are made in a batch, whose (first) gradient has this key; None if that is not drawn."""
        key_steps, _ = jax.random.split(key)
        return jax.random.randint(key_steps, (), 1, self.steps + 1) if self.config.random_steps else None

    def step_weights(self, steps: jax.Array | None) -> np.ndarray | jax.Array:
        """The weight of each step's loss, f32[N], where so many steps are made; all when None."""
        made = self.steps if steps is None else steps
        if self.config.loss_on == "last":
            return np.arange(self.steps) == made - 1
        weights = np.ones(self.steps, np.float32)
        return weights / made if self.config.average_steps else weights

    @property
    def steps(self) -> int:
        """N: a single-pass encoder makes one."""
        return self.config.steps_per_image if self.encoder_config.in_channels == 6 else 1

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`."""
        config = self.config
        source, target = batch["source"], batch["target"]
        following, key_z, key_discriminator, key_gradient = jax.random.split(state["key"], 4)
        metrics = {}
        if self.discriminator is not None:
            z = jax.random.normal(key_z, (len(source), self.z_dim))
            state, metrics = self.discriminate(state, frozen, source, z, key_discriminator)
        parts = config.micro_batches
        if parts == 1:
            steps = self.drawn_steps(key_gradient)
            gradient, stats, means = self.gradient(state, frozen, source, target, key_gradient, steps)
        else:

            def accumulate(carry: Any, inputs: Any) -> tuple[Any, dict[str, jax.Array]]:
                total, stats = carry
                gradient, stats, means = self.gradient({**state, "stats": stats}, frozen, *inputs, steps=steps)
                return (jax.tree.map(lambda a, b: a + b / parts, total, gradient), stats), means

            # Every device keeps its own pictures: a part takes one picture of each run of `parts`.
            split = [x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1) for x in (source, target)]
            zeros = jax.tree.map(jnp.zeros_like, state["params"])
            keys = jax.random.split(key_gradient, parts)
            steps = self.drawn_steps(keys[0])
            (gradient, stats), means = jax.lax.scan(accumulate, (zeros, state["stats"]), (*split, keys))
            means = {name: value.mean(0) for name, value in means.items()}
        metrics |= {**means, "gradient_norm": optax.tree.norm(gradient)}
        if not callable(config.optimizer):  # whose rate is its own affair
            rate = optim.learning_rate(config)
            metrics["learning_rate"] = jnp.float32(rate(state["step"]) if callable(rate) else rate)
        state = self.update({**state, "stats": stats, "key": following}, gradient)
        return state, metrics

    def update(self, state: State, gradient: State) -> State:
        """The state after one update of the encoder (and generator) with this gradient."""
        params = state["params"]
        active = optim.head_activity(params, self.encoder_config, self.stage(state["step"]))
        updates, optimizer = self.optimizer.update(gradient, state["optimizer"], params, active=active)
        params = optax.apply_updates(params, updates)
        state = {**state, "params": params, "optimizer": optimizer, "step": state["step"] + 1}
        if self.config.ema is not None:
            state["ema"] = optax.incremental_update(params, state["ema"], 1 - self.config.ema)
        return state

    def evaluated(self, state: State) -> State:
        """The parameters to evaluate and publish: the moving average if one is kept."""
        return state["params"] if self.config.ema is None else state["ema"]

    def evaluate(self, state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        """Every term for every picture and refinement step, f32[B, N], in evaluation mode with the stored noise."""
        terms, _ = self.trace(state, frozen, batch)
        return {name: term.T for name, term in terms.items()}

    def show(self, state: State, frozen: Frozen, batch: Batch) -> jax.Array:
        """f32[B, N + 2, h, w, 3]: the source, every refinement step, the target."""
        _, images = self.trace(state, frozen, batch)
        return jnp.stack([shown(batch["source"]), *images, batch["target"]], 1)

    def trace(self, state: State, frozen: Frozen, batch: Batch) -> tuple[dict[str, jax.Array], jax.Array]:
        params = self.evaluated(state)
        stage = self.last_stage(state)
        judge = self.judge(state)
        aim = self.objective.aim(frozen["losses"], batch["target"], batch["source"])

        def body(estimate: Estimate, _: jax.Array) -> tuple[Estimate, tuple[dict[str, jax.Array], jax.Array]]:
            encoder, generator = self.networks(params, state["stats"], frozen)
            estimate, _ = refine.step(
                encoder, generator, batch["source"], estimate, frozen["w_avg"], self.config.geometry, stage=stage
            )
            terms = self.objective.terms(frozen["losses"], judge, estimate, aim, frozen["w_avg"], stage)
            return estimate, (terms, estimate.y)

        return jax.lax.scan(body, self.start(params, frozen, len(batch["source"])), jnp.arange(self.steps))[1]
