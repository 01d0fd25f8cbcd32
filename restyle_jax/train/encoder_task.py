"""From the files that a configuration names to a task: the networks of `train.encoder`, their first state, and their end."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax import checkpoints
from restyle_jax.checkpoints.style_transformer import mapping_is_changed
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.losses.adversarial import LatentPool
from restyle_jax.model import Model
from restyle_jax.nets import stylegan2
from restyle_jax.nets.discriminators import LatentDiscriminator
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.image_encoders import ImageEncoder, ImageEncoderConfig, make_encoder
from restyle_jax.nets.style_transformer import StyleTransformer
from restyle_jax.train import optim
from restyle_jax.train.checks import problems
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.encoder import EncoderTrainer
from restyle_jax.train.objective import Objective
from restyle_jax.train.task import Frozen, Sheet, State, Task


def encoder_task(config: EncoderTraining, *, paired: bool = False) -> Task:
    """The task of a configuration. Reads every file that it names, before anything is computed.

    paired: whether the data are pairs of source and target.

    Raises CheckpointError if a file is missing, is something else, or does not fit the others; ValueError if options
    contradict each other.
    """
    if wrong := problems(config):
        raise ValueError("; ".join(wrong))
    objective, losses = Objective.load(config)
    model = start_model(config)
    trainer, frozen, init = assemble(config, model, dataclasses.replace(objective, paired=paired), losses)

    def publish(state: State, directory: Path) -> None:
        encoder, generator = trainer.networks(trainer.evaluated(state), state["stats"], frozen)
        if isinstance(encoder, Encoder) and (stage := trainer.last_stage(state)) is not None:
            encoder.end_at(stage)  # as it was trained and measured; a file has no stage
        metadata = {
            **model.metadata,
            "kind": "a model trained by restyle_jax",
            "source": directory.name,
            "step": int(state["step"]),
            "task": config.task,
        }
        trained = dataclasses.replace(model, encoder=encoder, generator=generator, metadata=metadata)
        checkpoints.save(trained, directory)

    return Task(
        frozen=frozen,
        init=init,
        step=trainer.step,
        show=lambda *inputs: {"steps": trainer.show(*inputs)},
        sheets={"steps": Sheet(("input", *(f"step {i + 1}" for i in range(trainer.steps)), "target"))},
        publish=publish,
        evaluate=trainer.evaluate,
        best=f"loss/{trainer.steps}",
    )


def assemble(
    config: EncoderTraining, model: Model, objective: Objective, losses: dict[str, nnx.State]
) -> tuple[EncoderTrainer, Frozen, Callable[[jax.Array], State]]:
    """(trainer, frozen arrays, key -> first state) for a model with an encoder and a generator."""
    (generator, w_avg), encoder = model.require_generator(), model.require_encoder()
    encoder_graph, params, stats = nnx.split(encoder, nnx.Param, nnx.BatchStat)
    trained: dict[str, nnx.State] = {"encoder": params}
    if config.train_generator:
        of_synthesis = nnx.All(nnx.Param, nnx.PathContains("synthesis"))
        generator_graph, trained["generator"], rest = nnx.split(generator, of_synthesis, ...)
    else:
        generator_graph, rest = nnx.split(generator)
    w_dim = generator.config.w_dim
    judge_graph, judge_params = None, None
    if config.adversarial:
        judge_graph, judge_params = nnx.split(LatentDiscriminator(w_dim, rngs=nnx.Rngs(config.seed)))
    trainer = EncoderTrainer(
        config=config,
        encoder_config=encoder.config,
        z_dim=generator.config.z_dim,
        encoder=encoder_graph,
        generator=generator_graph,
        discriminator=judge_graph,
        objective=objective,
        optimizer=optim.build(config),
    )
    frozen = {"generator": rest, "w_avg": w_avg, "losses": losses, "derived": {"y_avg": model.average.y}}
    # On the host, because the loop gives the memory of a state away (donation).
    start, start_judge = jax.tree.map(np.asarray, ({"params": trained, "stats": stats}, judge_params))

    def init(key: jax.Array) -> State:
        state: dict[str, Any] = {"step": jnp.int32(0), "key": key, **jax.tree.map(jnp.array, start)}
        state["optimizer"] = trainer.optimizer.init(state["params"])
        if config.ema is not None:
            state["ema"] = jax.tree.map(jnp.array, start["params"])
        if config.adversarial:
            params = jax.tree.map(jnp.array, start_judge)
            state["discriminator"] = {"params": params, "optimizer": trainer.discriminator_optimizer.init(params)}
            if config.pool_size:
                state["discriminator"] |= {side: LatentPool.empty(config.pool_size, w_dim) for side in ("real", "fake")}
        return state

    return trainer, frozen, init


def start_model(config: EncoderTraining) -> Model:
    """The generator, and the encoder as it is before the first step. Raises CheckpointError or ValueError as `encoder_task`."""
    base = checkpoints.load(config.checkpoint, dtype=config.dtype) if config.checkpoint else None
    source = checkpoints.load(config.generator, dtype=config.dtype) if config.generator else base
    if source is None:
        raise CheckpointError.explain(
            "--generator",
            found="nothing",
            expected="a checkpoint with the StyleGAN2 generator to invert",
            remedy="give a generator's file (rosinality .pt or NVlabs .pkl; README, 'Official checkpoints'), or a model to start "
            "from as --checkpoint",
        )
    generator, w_avg = source.require_generator()
    styles, width = generator.config.num_styles, generator.config.w_dim
    wanted = config.encoder(styles, width, generator.config.mapping_layers)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)  # of new weights in an extended layer

    def new(sizes: ImageEncoderConfig) -> ImageEncoder:
        make: Any = nnx.jit(lambda: make_encoder(sizes, dtype=config.dtype, rngs=nnx.Rngs(config.seed)))
        return make()

    if base is not None:
        encoder = base.require_encoder()
        if encoder.config.in_channels < wanted.in_channels:
            wider = new(dataclasses.replace(encoder.config, in_channels=wanted.in_channels))
            encoder = checkpoints.with_weights(wider, encoder, extra_channels=config.extra_channels, key=key)
        for field in ("num_styles", "style_dim", "head", "trunk", "in_channels"):
            found, asked = (getattr(which, field) for which in (encoder.config, wanted))
            if found != asked:
                raise ValueError(
                    f"{config.checkpoint} has an encoder with {field} = {found!r}, but the "
                    f"{'generator' if field in ('num_styles', 'style_dim') else 'configuration'} asks for "
                    f"{asked!r}; start from another checkpoint, or change the other side"
                )
    else:
        encoder = new(wanted)
        if isinstance(encoder, StyleTransformer):
            _take_mapping(encoder, generator)
        if config.trunk_weights:
            encoder = checkpoints.load_trunk(
                config.trunk_weights, encoder, extra_channels=config.extra_channels, key=key
            )
    sizes = encoder.config
    if isinstance(sizes, EncoderConfig) and max(config.height, config.width) > sizes.max_size:
        raise ValueError(
            f"pictures of {config.height} x {config.width} are larger than the encoder takes ({sizes.max_size}); set height and "
            "width"
        )
    side = generator.config.resolution
    if side % config.width and config.width % side:
        raise ValueError(
            f"width: found {config.width} with a generator of {side} x {side} pixels, expected a part or a multiple of {side}; set "
            "width and height"
        )
    metadata = {"mapping_is_changed": True} if mapping_is_changed(source.metadata) else {}
    return Model(generator=generator, w_avg=w_avg, encoder=encoder, geometry=config.geometry, metadata=metadata)


def _take_mapping(encoder: StyleTransformer, generator: Generator) -> None:
    """Start the encoder's mapping network as a copy of the generator's, if that one could be it (StyleGAN2, without labels)."""
    mapping = generator.mapping
    if isinstance(mapping, stylegan2.Mapping) and not mapping.label_dim and mapping.z_dim == encoder.config.style_dim:
        nnx.update(encoder.mapping, nnx.state(mapping))
