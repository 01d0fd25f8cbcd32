"""Training of StyleGAN2 in compiled parts: a step as it is trained, steps without conditions, and the updates by themselves."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.flops import generator_training_flops
from restyle_jax.nets.style_based import broadcast_styles
from restyle_jax.train.stylegan import PATH_SHARE, Loss, StyleGANTrainer
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.stylegan_task import assemble
from restyle_jax.train.task import Batch, Frozen, State

STEP, PROGRAMS = "step, conditions", "step, programs"
UPDATES = ("G main", "G path", "D main", "D R1")
REGULARISER = {"generator": "G path", "discriminator": "D R1"}


def updates(trainer: StyleGANTrainer) -> dict[str, Callable[[State, Frozen, Batch], Any]]:
    """Each update of a step by itself, with the signature of a step."""

    def update(role: str, make: Callable[[State, Frozen], Loss], rows: Callable[[Batch], Any]) -> Callable:
        def run(state: State, frozen: Frozen, batch: Batch) -> tuple[State, Any]:
            following, key = jax.random.split(state["key"])
            changed, means = trainer.descend(state, role, make(state, frozen), rows(batch), key)
            return {**changed, "key": following}, means

        return run

    def index(batch: Batch) -> jax.Array:
        return batch["index"]

    def pictures(batch: Batch) -> tuple[jax.Array, None]:
        return batch["target"], None

    return {
        "G main": update("generator", trainer.generator_loss, index),
        "G path": update("generator", trainer.path_loss, index),
        "D main": update("discriminator", trainer.discriminator_loss, pictures),
        "D R1": update("discriminator", lambda state, _: trainer.r1_loss(state), pictures),
    }


@dataclasses.dataclass(frozen=True)
class Unconditional(StyleGANTrainer):
    """A trainer whose step always has the regularisers of the networks in `due`, and never the others."""

    due: frozenset[str] = frozenset()

    def regularise(self, state: State, role: str, make: Callable[[State], Loss], rows: Any, key: jax.Array) -> State:
        return self.penalise(state, role, make, rows, key) if role in self.due else state


class Ours:
    """Our trainer with its state, a batch, and the programs that are compiled for them."""

    def __init__(self, config: StyleGANTraining, pictures: np.ndarray):
        self.trainer, self.frozen, init = assemble(config)
        self.state = init(jax.random.key(config.seed))
        self.batch = {"target": jax.device_put(pictures), "index": jnp.arange(len(pictures), dtype=jnp.int32)}
        lazy = {REGULARISER[role]: every for role, every in config.regularised.items()}
        self.intervals = {name: every for name in UPDATES if (every := 1 if "main" in name else lazy.get(name))}
        self.cycle = math.lcm(*self.intervals.values())
        self._programs: dict[Any, Any] = {}

    def compile(self, name: Any, function: Callable) -> tuple[float, int]:
        """Seconds, and the bytes that the program is planned to need: weights, state, batch and temporary memory."""
        start = time.perf_counter()
        program: Any = jax.jit(function, donate_argnums=0).lower(self.state, self.frozen, self.batch).compile()
        self._programs[name] = program
        seconds, memory = time.perf_counter() - start, program.memory_analysis()
        return seconds, memory.argument_size_in_bytes + memory.temp_size_in_bytes

    def compile_step(self) -> tuple[float, int]:
        """As it is trained."""
        return self.compile(STEP, self.trainer.step)

    def compile_programs(self) -> tuple[float, int]:
        """One for each combination of regularisers: seconds of all, bytes of the largest."""
        trainer, found = self.trainer, []
        for due in {self.due(step) for step in range(self.cycle)}:
            fixed = Unconditional(trainer.config, trainer.sizes, trainer.generator, trainer.discriminator, due)
            found.append(self.compile(due, fixed.step))
        return sum(seconds for seconds, _ in found), max(size for _, size in found)

    def due(self, step: int) -> frozenset[str]:
        """The networks that are regularised in a step."""
        return frozenset(role for role, every in self.trainer.config.regularised.items() if step % every == 0)

    def run(self, name: Any) -> State:
        """An update, one step, or as many steps as bring every regulariser round if it is STEP or PROGRAMS."""
        for step in range(self.cycle) if name in (STEP, PROGRAMS) else (0,):
            program = self._programs[self.due(step) if name == PROGRAMS else name]
            self.state, _ = program(self.state, self.frozen, self.batch)
        return self.state

    def scores(self, z: np.ndarray) -> np.ndarray:
        """Of the pictures for z f32[B, z_dim], without augmentation: f32[B]."""

        def scores(params: State, frozen: Frozen, z: jax.Array) -> jax.Array:
            generator, judge = self.trainer.networks(params, frozen)
            w = broadcast_styles(generator.mapping(z), self.trainer.sizes.num_styles)
            return judge(generator.synthesis(w))[:, 0]

        return np.asarray(jax.jit(scores)(self.state["params"], self.frozen, z))

    def gflops(self) -> dict[str, float]:
        """Of each update of a batch, in 1e9 FLOP."""
        parts, batch = self.trainer.config.micro_batches, len(self.batch["index"])
        pictures = {"G path": max(batch // parts // PATH_SHARE, 1) * parts}
        _, judge = self.trainer.networks(self.state["params"], self.frozen)
        cost = generator_training_flops(self.trainer.sizes, judge.config)
        return {name: cost[name] * pictures.get(name, batch) / 1e9 for name in self.intervals}
