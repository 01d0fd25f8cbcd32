"""From a configuration to the task of training a generator: its networks, their first state, and their end."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax import checkpoints
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.model import Model
from restyle_jax.nets import stylegan
from restyle_jax.nets.discriminators import Discriminator, DiscriminatorConfig
from restyle_jax.nets.structure import structure
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.programs import SHOWN
from restyle_jax.train.stylegan import REGULARISERS, TRUNCATIONS, StyleGANTrainer
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.task import Frozen, Sheet, State, Task

CLAMP = 256.0  # of activations in low precision
SAMPLES = 8  # in each row of the sheet


def stylegan_task(
    config: StyleGANTraining,
    labels: np.ndarray | None = None,
    score: Callable[[Generator, jax.Array], dict[str, float]] | None = None,
    best: str = "",
    scorer: nnx.State | None = None,
) -> Task:
    """The task of a configuration, with the networks of its checkpoint or new ones.

    labels: int32[N], the class of each training picture. score: names and values for a generator and its w_avg f32[K, w_dim];
    its ValueError becomes a TrainingError. `best` is the name of the value that marks the best generator, and `scorer` the
    weights that it depends on.
    Raises CheckpointError if the checkpoint is none of a StyleGAN2 generator and discriminator of this resolution and number
    of classes.
    """
    trainer, frozen, init = assemble(config, labels)

    def averaged_generator(state: State) -> tuple[Generator, jax.Array]:
        sizes = trainer.sizes
        return trainer.generator_of(state["ema"], frozen), jnp.broadcast_to(
            state["w_avg"], (sizes.num_styles, sizes.w_dim)
        )

    def publish(state: State, directory: Any) -> None:
        average, w_avg = averaged_generator(state)
        trained = Model(
            generator=average,
            w_avg=w_avg,
            discriminator=nnx.merge(trainer.discriminator, state["params"]["discriminator"], copy=True),
            metadata={
                "kind": "a generator trained by restyle_jax",
                "source": directory.name,
                "step": int(state["step"]),
                "pictures": int(state["step"]) * config.batch_size,
            },
        )
        checkpoints.save(trained, directory)

    def scored(state: State) -> dict[str, float]:
        assert score
        try:
            return score(*averaged_generator(state))
        except ValueError as error:
            raise TrainingError(
                f"evaluation after step {state['step']}: {error}. Checkpoints of earlier steps are kept. Look at the samples in "
                "images/, at the pictures of the data, and whether --features is the right network."
            ) from error

    rows = tuple(f"seeds {row * SAMPLES} to {(row + 1) * SAMPLES - 1}" for row in range(SHOWN))
    return Task(
        frozen=frozen,
        init=init,
        step=trainer.step,
        show=trainer.show,
        sheets={
            "samples": Sheet(("",) * SAMPLES, rows),
            "truncation": Sheet(
                ("data", *(f"psi {psi:g}" for psi in TRUNCATIONS)),
                tuple(f"seed {row * SAMPLES}" for row in range(SHOWN)),
            ),
        },
        publish=publish,
        score=score and scored,
        best=best,
        scorer=scorer,
    )


def assemble(
    config: StyleGANTraining, labels: np.ndarray | None = None
) -> tuple[StyleGANTrainer, Frozen, Callable[[jax.Array], State]]:
    """(trainer, frozen arrays, key -> first state) of a configuration; arguments and errors as `stylegan_task`."""
    classes = 0 if labels is None else int(labels.max()) + 1
    generator, average, discriminator = _loaded(config, classes) if config.checkpoint else _fresh(config, classes)
    limit = {"conv_clamp": CLAMP} if config.dtype == "bfloat16" else {}
    generator = _with(generator, config.dtype, **limit)
    discriminator = _with(discriminator, config.dtype, stddev_group=config.stddev_group, **limit)
    graph, params, buffers = nnx.split(generator, nnx.Param, ...)
    if average:  # the stored noise is for its pictures; training draws new one each time
        *_, buffers = nnx.split(average.generator, nnx.Param, ...)
    judge, judge_params = nnx.split(discriminator)
    trainer = StyleGANTrainer(config, generator.config, graph, judge)
    z = np.stack([np.random.RandomState(seed).randn(generator.config.z_dim) for seed in range(SHOWN * SAMPLES)])
    frozen = {"buffers": buffers, "z": jnp.array(z.reshape(SHOWN, SAMPLES, -1), jnp.float32)}
    if labels is not None:
        frozen["labels"] = jnp.array(labels, jnp.int32)
    # On the host, because the loop gives the memory of a state away (donation).
    start = jax.tree.map(np.asarray, {"generator": params, "discriminator": judge_params})
    averaged = jax.tree.map(np.asarray, nnx.state(average.generator, nnx.Param) if average else params)
    w_avg = average.require_generator()[1][0] if average else np.zeros(generator.config.w_dim, np.float32)

    def init(key: jax.Array) -> State:
        params = jax.tree.map(jnp.array, start)
        state = {"step": jnp.int32(0), "key": key, "params": params, "ema": jax.tree.map(jnp.array, averaged)}
        state["optimizer"] = {role: trainer.optimizer(role).init(params[role]) for role in params}
        state |= {"w_avg": jnp.array(w_avg), "control": trainer.control()}
        return state | {name: jnp.float32(0) for name in REGULARISERS}

    return trainer, frozen, init


def _fresh(config: StyleGANTraining, classes: int) -> tuple[Generator, None, Discriminator]:
    sizes = (config.resolution, config.channel_base, config.channel_max)

    @nnx.jit
    def make() -> tuple[Generator, Discriminator]:
        rngs = nnx.Rngs(config.seed)
        generator = GeneratorConfig.nvlabs_ada(
            *sizes,
            z_dim=config.w_dim,
            w_dim=config.w_dim,
            mapping_layers=config.mapping_layers,
            label_dim=classes,
        )
        discriminator = DiscriminatorConfig.nvlabs_ada(*sizes, label_dim=classes)
        return Generator(generator, dtype=config.dtype, rngs=rngs), Discriminator(
            discriminator, dtype=config.dtype, rngs=rngs
        )

    generator, discriminator = make()
    return generator, None, discriminator


def _with(network: Any, dtype: str, **fields: Any) -> Any:
    """The same network with some fields of its config changed that are no sizes, computing in `dtype`."""
    kind, config = type(network), dataclasses.replace(network.config, **fields)
    return nnx.merge(nnx.graphdef(structure(kind, config, dtype=dtype)), nnx.state(network), copy=True)


def _loaded(config: StyleGANTraining, classes: int) -> tuple[Generator, Model, Discriminator]:
    """(the trained generator, the model with its average, the discriminator) of the checkpoint."""
    file = config.checkpoint
    assert file is not None
    average = checkpoints.load(file, dtype=config.dtype)
    generator = checkpoints.load_trained_generator(file, dtype=config.dtype)
    both = "a generator (G) and a discriminator (D) of StyleGAN2"
    if isinstance(generator, stylegan.Generator):
        raise _unfit(file, "a generator of StyleGAN", both)
    if generator is None or average.generator is None or average.discriminator is None:
        raise _unfit(
            file,
            f"no {'generator (G)' if generator is None else 'discriminator (D)'}",
            f"{both}, as rosinality's files with g, d and g_ema, NVlabs' network pickles and folders of its training have them",
        )
    sizes = generator.config
    if average.generator.config != sizes:
        raise _unfit(file, "a generator (g) and its average (g_ema) of different sizes", "equal ones")
    if sizes.resolution != config.resolution or average.discriminator.config.resolution != config.resolution:
        raise _unfit(file, f"networks for {sizes.resolution} px", f"{config.resolution} px, as the pictures have")
    if sizes.label_dim != classes:
        raise _unfit(file, f"networks for {sizes.label_dim} classes", f"{classes}, as the labels have")
    return generator, average, average.discriminator


def _unfit(file: Any, found: str, expected: str) -> CheckpointError:
    return CheckpointError.explain(
        file,
        found=found,
        expected=expected,
        remedy="train from another checkpoint, or from none, or change the settings",
    )
