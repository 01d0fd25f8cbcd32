"""Training of StyleGAN2 (arXiv 1912.04958) as one task; `training/loss.py` and `training_loop.py` of stylegan2-ada-pytorch.

One step: the generator, its path length regulariser when that is due, the discriminator, its R1 penalty when that is due,
each with codes of its own and an update of its own; then the averaged generator.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from restyle_jax.augment.config import Augmentation
from restyle_jax.augment.control import INTERVAL, Control, adjust, observe
from restyle_jax.augment.pipeline import augment
from restyle_jax.losses import adversarial
from restyle_jax.losses.latent import path_lengths
from restyle_jax.nets.discriminators import Discriminator
from restyle_jax.nets.style_based import broadcast_styles, mix_styles, truncate
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.ops.resample import block_mean
from restyle_jax.train.sharding import spread
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.task import Batch, Frozen, State

PATH_MEAN_DECAY = 0.99
W_AVG_DECAY = 0.995
PATH_SHARE = 2  # one half of a batch is enough for the path lengths
REGULARISERS = ("path_mean", "path_length", "path_penalty", "r1")
"""What is measured in some steps only and kept in the state in between."""
LARGEST_SHOWN = 256
TRUNCATIONS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)

Aux = dict[str, jax.Array]
Loss = Callable[[nnx.State, Any, jax.Array], tuple[jax.Array, Aux]]
"""(parameters, arrays of one row for each picture, key) -> (loss, means over the pictures)."""


class Codes(NamedTuple):
    """`w` f32[B, K, w_dim], mixed with another code or not; `labels` f32[B, classes] or None; `first` f32[B, w_dim], unmixed."""

    w: jax.Array
    labels: jax.Array | None
    first: jax.Array


@dataclasses.dataclass(frozen=True)
class StyleGANTrainer:
    """The pure functions of the task. Holds the configuration and the structure of the networks, but no arrays.

    State: `params` and `optimizer` of "generator" and "discriminator", `ema` (the averaged generator), `w_avg` f32[w_dim],
    `control` of the augmentation, and the last values of the REGULARISERS. Frozen: `buffers` of the generator; `labels`
    int32[N], the class of each training picture, if there are classes; `z` f32[R, C, z_dim] of the samples that are shown.
    """

    config: StyleGANTraining
    sizes: GeneratorConfig
    generator: nnx.GraphDef[Generator]
    discriminator: nnx.GraphDef[Discriminator]

    def networks(self, params: State, frozen: Frozen) -> tuple[Generator, Discriminator]:
        return self.generator_of(params["generator"], frozen), nnx.merge(
            self.discriminator, params["discriminator"], copy=True
        )

    def generator_of(self, params: nnx.State, frozen: Frozen) -> Generator:
        return nnx.merge(self.generator, params, frozen["buffers"], copy=True)

    def optimizer(self, role: str) -> optax.GradientTransformation:
        """Adam that does as many updates in `every` + 1 as without the regulariser in `every` steps."""
        every = self.config.regularised.get(role)
        lazy = every / (every + 1) if every else 1.0
        return optax.adam(self.config.learning_rate * lazy, b1=0.0, b2=0.99**lazy, eps=1e-8)

    def one_hot(self, labels: jax.Array | None) -> jax.Array | None:
        return None if labels is None else jax.nn.one_hot(labels, self.sizes.label_dim)

    def codes(self, generator: Generator, frozen: Frozen, count: int, key: jax.Array) -> Codes:
        """Codes of fresh z."""
        key_z, key_label, key_mix, key_index = jax.random.split(key, 4)
        z = jax.random.normal(key_z, (2, count, self.sizes.z_dim))
        labels = None
        if self.sizes.label_dim:  # in the proportions of the data
            table = frozen["labels"]
            labels = self.one_hot(table[spread(jax.random.randint(key_label, (count,), 0, len(table)))])
        first, second = (generator.mapping(spread(z[i]), labels) for i in range(2))
        styles = self.sizes.num_styles
        two = jax.random.bernoulli(key_mix, self.config.style_mixing)
        index = jnp.where(two, jax.random.randint(key_index, (), 1, styles), styles)
        mixed = mix_styles(broadcast_styles(first, styles), broadcast_styles(second, styles), index)
        return Codes(mixed, labels, first)

    def scores(
        self, judge: Discriminator, state: State, images: jax.Array, labels: jax.Array | None, key: jax.Array
    ) -> jax.Array:
        """What the discriminator says of pictures f32[B, R, R, 3], augmented: f32[B]."""
        if self.augmentation:
            images = augment(images, key, state["control"].p, self.augmentation)
        return judge(images, labels, self.config.stddev_block)[:, 0]

    @property
    def augmentation(self) -> Augmentation | None:
        """What is done to the pictures that the discriminator sees."""
        name = self.config.augment
        return None if name == "none" else Augmentation.preset(name)

    def control(self) -> Control:
        """The strength of the augmentation before the first step."""
        return Control.start(self.config.augment_p or 0.0)

    def controlled(self, state: State) -> State:
        """With the strength adapted to the scores since it was last done, where that is due."""
        config = self.config
        if not self.augmentation or config.augment_p is not None:
            return state
        due = (state["step"] + 1) % INTERVAL == 0
        adjusted = adjust(state["control"], config.batch_size, config.ada_target, config.ada_kimg)
        control = jax.tree.map(lambda new, old: jnp.where(due, new, old), adjusted, state["control"])
        return {**state, "control": control}

    def generator_loss(self, state: State, frozen: Frozen) -> Loss:
        _, judge = self.networks(state["params"], frozen)

        def loss(params: nnx.State, rows: jax.Array, key: jax.Array) -> tuple[jax.Array, Aux]:
            key_codes, key_noise, key_augment = jax.random.split(key, 3)
            generator = self.generator_of(params, frozen)
            w, labels, first = self.codes(generator, frozen, len(rows), key_codes)
            scores = self.scores(judge, state, generator.synthesis(w, key_noise), labels, key_augment)
            value = adversarial.real_loss(scores).mean()
            return value, {"generator_loss": value, "w": first.mean(0)}

        return loss

    def path_loss(self, state: State, frozen: Frozen) -> Loss:
        def loss(params: nnx.State, rows: jax.Array, key: jax.Array) -> tuple[jax.Array, Aux]:
            key_codes, key_noise, key_y = jax.random.split(key, 3)
            generator = self.generator_of(params, frozen)
            w, *_ = self.codes(generator, frozen, max(len(rows) // PATH_SHARE, 1), key_codes)
            lengths = path_lengths(lambda w: generator.synthesis(w, key_noise), w, key_y)
            mean = state["path_mean"] + (1 - PATH_MEAN_DECAY) * (lengths.mean() - state["path_mean"])
            penalty = jnp.square(lengths - mean).mean()
            value = penalty * self.config.path_length * self.config.path_length_every
            return value, {"path_mean": mean, "path_length": lengths.mean(), "path_penalty": penalty}

        return loss

    def discriminator_loss(self, state: State, frozen: Frozen) -> Loss:
        generator, _ = self.networks(state["params"], frozen)

        def loss(params: nnx.State, rows: tuple[jax.Array, Any], key: jax.Array) -> tuple[jax.Array, Aux]:
            images, labels = rows
            key_codes, key_noise, key_fake, key_real = jax.random.split(key, 4)
            judge = nnx.merge(self.discriminator, params, copy=True)
            w, labels_fake, _ = self.codes(generator, frozen, len(images), key_codes)
            fake = self.scores(judge, state, generator.synthesis(w, key_noise), labels_fake, key_fake)
            real = self.scores(judge, state, images, self.one_hot(labels), key_real)
            value = adversarial.fake_loss(fake).mean() + adversarial.real_loss(real).mean()
            return value, {
                "discriminator_loss": value,
                "score_fake": fake.mean(),
                "score_real": real.mean(),
                "sign_real": jnp.sign(real).mean(),
            }

        return loss

    def r1_loss(self, state: State) -> Loss:
        def loss(params: nnx.State, rows: tuple[jax.Array, Any], key: jax.Array) -> tuple[jax.Array, Aux]:
            images, labels = rows
            judge = nnx.merge(self.discriminator, params, copy=True)

            def scores(images: jax.Array) -> jax.Array:
                return self.scores(judge, state, images, self.one_hot(labels), key)

            penalties, found = adversarial.r1_penalty(scores, images)
            value = penalties.mean() * self.config.r1 / 2 * self.config.r1_every
            return value, {"r1": penalties.mean(), "sign_real": jnp.sign(found).mean()}

        return loss

    def gradient(self, loss: Loss, params: nnx.State, rows: Any, key: jax.Array) -> tuple[nnx.State, Aux]:
        """Gradient of a loss over a batch, in as many parts as configured, and the means."""
        slope = jax.grad(loss, has_aux=True)
        parts = self.config.micro_batches
        if parts == 1:
            return slope(params, rows, key)

        def add(total: nnx.State, part: Any) -> tuple[nnx.State, Aux]:
            gradient, means = slope(params, *part)
            return jax.tree.map(lambda a, b: a + b / parts, total, gradient), means

        # Every device keeps its own pictures: a part takes one picture of each run of `parts`.
        split = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), rows)
        zeros = jax.tree.map(jnp.zeros_like, params)
        gradient, means = jax.lax.scan(add, zeros, (split, jax.random.split(key, parts)))
        return gradient, jax.tree.map(lambda value: value.mean(0), means)

    def descend(self, state: State, role: str, loss: Loss, rows: Any, key: jax.Array) -> tuple[State, Aux]:
        """One update of one network; its means, with the length of the gradient. Scores of real pictures are observed."""
        params = state["params"][role]
        gradient, means = self.gradient(loss, params, rows, key)
        updates, moments = self.optimizer(role).update(gradient, state["optimizer"][role], params)
        changed: State = {
            "params": {**state["params"], role: optax.apply_updates(params, updates)},
            "optimizer": {**state["optimizer"], role: moments},
        }
        if "sign_real" in means:
            changed["control"] = observe(state["control"], means["sign_real"], self.config.batch_size)
        return {**state, **changed}, {**means, f"{role}_gradient_norm": optax.tree.norm(gradient)}

    def regularise(self, state: State, role: str, make: Callable[[State], Loss], rows: Any, key: jax.Array) -> State:
        """`penalise` where that is due. Only what it changes passes through the condition, which would copy the rest."""

        every = self.config.regularised.get(role)
        if every is None:
            return state

        def changing(state: State) -> State:
            others = {name: state[name] for name in ("control", *REGULARISERS)}
            return {**others, "params": state["params"][role], "optimizer": state["optimizer"][role]}

        def update() -> State:
            return changing(self.penalise(state, role, make, rows, key))

        changed = jax.lax.cond(state["step"] % every == 0, update, lambda: changing(state))
        of_role = {name: {**state[name], role: changed.pop(name)} for name in ("params", "optimizer")}
        return {**state, **changed, **of_role}

    def penalise(self, state: State, role: str, make: Callable[[State], Loss], rows: Any, key: jax.Array) -> State:
        """An update by a regulariser; what it measured replaces the values in the state."""
        changed, means = self.descend(state, role, make(state), rows, key)
        return {**changed, **{name: value for name, value in means.items() if name in REGULARISERS}}

    def step(self, state: State, frozen: Frozen, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
        """One training step; see `train.task.Task`."""
        config = self.config
        images = batch["target"]
        labels = frozen["labels"][batch["index"]] if self.sizes.label_dim else None
        following, *keys = jax.random.split(state["key"], 5)
        state, metrics = self.descend(state, "generator", self.generator_loss(state, frozen), batch["index"], keys[0])
        w = metrics.pop("w")
        state = {**state, "w_avg": w + W_AVG_DECAY * (state["w_avg"] - w)}
        path_loss = functools.partial(self.path_loss, frozen=frozen)
        state = self.regularise(state, "generator", path_loss, batch["index"], keys[1])
        rows = (images, labels)
        state, means = self.descend(state, "discriminator", self.discriminator_loss(state, frozen), rows, keys[2])
        metrics |= means
        state = self.regularise(state, "discriminator", self.r1_loss, rows, keys[3])
        state = self.controlled(state)
        ema = optax.incremental_update(state["params"]["generator"], state["ema"], 1 - self.ema_decay(state["step"]))
        metrics |= {name: state[name] for name in REGULARISERS} | {"augment_p": state["control"].p}
        metrics["loss"] = metrics["generator_loss"] + metrics["discriminator_loss"]
        metrics["learning_rate"] = jnp.float32(config.learning_rate)
        return {**state, "ema": ema, "key": following, "step": state["step"] + 1}, metrics

    def ema_decay(self, step: jax.Array) -> jax.Array:
        """By how much the averaged generator is kept in this step: one half after `ema_kimg` thousand pictures."""
        config = self.config
        half_life = jnp.float32(1000 * config.ema_kimg)
        if config.ema_ramp is not None and config.checkpoint is None:  # whose average the ramp would forget
            half_life = jnp.minimum(half_life, config.ema_ramp * step * config.batch_size)
        return 0.5 ** (config.batch_size / jnp.maximum(half_life, 1e-8))

    def show(self, state: State, frozen: Frozen, batch: Batch) -> dict[str, jax.Array]:
        """ "samples": pictures of the averaged generator for the fixed z; "truncation": the first of each row, truncated more
        and more weakly beside a picture of the data. Larger ones than 256 px are reduced."""
        generator = self.generator_of(state["ema"], frozen)
        z = frozen["z"]
        rows, columns = z.shape[:2]
        count, classes = rows * columns, self.sizes.label_dim
        labels = self.one_hot(jnp.arange(count) % classes) if classes else None
        w = generator.mapping(z.reshape(count, -1), labels)
        w = broadcast_styles(w, self.sizes.num_styles).reshape(rows, columns, self.sizes.num_styles, -1)

        def reduced(images: jax.Array) -> jax.Array:
            return block_mean(images, min(images.shape[1], LARGEST_SHOWN))

        def synthesise(w: jax.Array) -> jax.Array:
            return reduced(generator.synthesis(w))

        truncated = jnp.stack([truncate(w[:, 0], state["w_avg"], psi) for psi in TRUNCATIONS], 1)
        data = reduced(batch["target"][:rows])
        data = jnp.pad(data, ((0, rows - len(data)), (0, 0), (0, 0), (0, 0)), constant_values=1)[:, None]
        return {
            "samples": jax.lax.map(synthesise, w),
            "truncation": jnp.concatenate([data, jax.lax.map(synthesise, truncated)], 1),
        }
