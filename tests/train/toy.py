"""A task small enough to train in tests, with everything that the loop must carry: parameters, optimiser, batch statistics, a
typed key, per-step metrics. Run as a program it trains in a process of its own, as its JSON argument says."""

import dataclasses
import functools
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from restyle_jax.train import distributed
from restyle_jax.train.config import Run
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.loop import fit
from restyle_jax.train.task import Sheet, Task

PICTURES, SIZE, STEPS = 24, 8, 3
COLUMNS = ("input", "target", "result")


@dataclasses.dataclass(frozen=True)
class Toy(Run):
    """ballast: floats in the state that make a checkpoint large. poison: this picture is not finite. damaged: cannot be read."""

    batch_size: int = 8
    test_batch_size: int = 8
    learning_rate: float = 0.02
    weights: Path | None = None
    ballast: int = 1
    poison: int | None = None
    damaged: int | None = None


@functools.cache
def pictures() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (PICTURES, SIZE, SIZE, 3)).astype(np.float32)


class Batches:
    """Rows of this process of the global batches, in an order that depends on the seed and the number of the sample."""

    def __init__(self, config: Toy, start: int, process: int, processes: int, seconds: float) -> None:
        self.config, self.position, self.unreadable, self._seconds = config, start, [], seconds
        self._rows = config.batch_size // processes
        self._first = process * self._rows

    def __next__(self) -> dict[str, np.ndarray]:
        time.sleep(self._seconds)
        samples = self.position * self.config.batch_size + self._first + np.arange(self._rows)
        index = np.array([order(self.config.seed, int(s // PICTURES))[s % PICTURES] for s in samples], np.int32)
        self.position += 1
        if self.config.damaged in index and not self.unreadable:
            self.unreadable.append((name(self.config.damaged or 0), "cut short"))
        target = pictures()[index].copy()
        target[index == self.config.poison] = np.nan
        return {"source": target * 0.5, "target": target, "index": index}

    def close(self) -> None: ...


@functools.cache
def order(seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(PICTURES)


class TestSet:
    """21 pictures, the last batch padded with what must not be counted."""

    COUNT = 21

    def __init__(self, config: Toy, process: int, processes: int) -> None:
        self._rows, self._process = config.test_batch_size // processes, process
        self._size = config.test_batch_size
        self.unreadable: list[tuple[str, str]] = []

    def __iter__(self):
        for start in range(0, self.COUNT, self._size):
            index = start + self._process * self._rows + np.arange(self._rows, dtype=np.int32)
            valid = index < self.COUNT
            target = np.where(valid[:, None, None, None], pictures()[index % PICTURES], np.nan)
            yield {"source": target * np.float32(0.5), "target": target, "index": index, "valid": valid}

    def close(self) -> None: ...


def name(index: int) -> str:
    return f"picture-{index}.png"


def task(config: Toy) -> Task:
    optimizer = optax.adam(config.learning_rate)
    frozen = {"gain": jnp.linspace(0.5, 1.5, 3)}

    def init(key: jax.Array) -> dict[str, Any]:
        numbers = jax.random.bits(key, (240 + config.ballast,)) / 2.0**32 - 0.5
        params = {"hidden": numbers[:216].reshape(3, 3, 3, 8) * 0.7, "out": numbers[216:240].reshape(1, 1, 8, 3)}
        ballast = numbers[240:]
        stats = jnp.zeros(8)
        moments = optimizer.init(params)
        return {
            "params": params,
            "stats": stats,
            "optimizer": moments,
            "key": key,
            "ballast": ballast,
            "step": jnp.int32(0),
        }

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def refine(params: Any, mean: jax.Array | None, frozen: Any, batch: Any, noise: jax.Array) -> tuple[Any, Any, Any]:
        """STEPS estimates; without `mean` it comes from the batch."""

        def one(y: jax.Array, _: None) -> tuple[jax.Array, Any]:
            hidden = convolve(y, params["hidden"])
            centre = hidden.mean((0, 1, 2))
            y = y + convolve(jax.nn.relu(hidden - (centre if mean is None else mean)), params["out"])
            return y, (jnp.square(y - batch["target"]).mean((1, 2, 3)), centre)

        y, (errors, centres) = jax.lax.scan(one, batch["source"] * frozen["gain"] + noise, length=STEPS)
        return errors.T, y, centres.mean(0)

    def step(state: dict[str, Any], frozen: Any, batch: Any) -> tuple[dict[str, Any], dict[str, jax.Array]]:
        key, draw = jax.random.split(state["key"])
        noise = 0.01 * (jax.random.bits(draw, batch["target"].shape) / 2.0**32 - 0.5)

        def loss(params: Any) -> tuple[jax.Array, Any]:
            errors, _, mean = refine(params, None, frozen, batch, noise)
            return errors.mean(0).sum(), (errors.mean(0), mean)

        (value, (curve, mean)), gradient = jax.value_and_grad(loss, has_aux=True)(state["params"])
        updates, moments = optimizer.update(gradient, state["optimizer"], state["params"])
        changed = {
            "params": optax.apply_updates(state["params"], updates),
            "stats": 0.9 * state["stats"] + 0.1 * mean,
            "optimizer": moments,
            "key": key,
            "step": state["step"] + 1,
        }
        return {**state, **changed}, {"loss": value, "l2": curve, "gradient_norm": optax.tree.norm(gradient)}

    def evaluate(state: dict[str, Any], frozen: Any, batch: Any) -> dict[str, jax.Array]:
        errors, _, _ = refine(state["params"], state["stats"], frozen, batch, jnp.float32(0))
        return {"l2": errors, "rms": jnp.sqrt(errors)}

    def show(state: dict[str, Any], frozen: Any, batch: Any) -> dict[str, jax.Array]:
        _, result, _ = refine(state["params"], state["stats"], frozen, batch, jnp.float32(0))
        return {"result": jnp.stack([batch["source"], batch["target"], result], axis=1)}

    def publish(state: dict[str, Any], directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        arrays: dict[str, Any] = {key: np.asarray(value) for key, value in state["params"].items()}
        np.savez(directory / "model.npz", **arrays)

    return Task(frozen, init, step, show, {"result": Sheet(COLUMNS)}, publish, evaluate, best=f"l2/{STEPS}")


def train(config: Toy, workdir: Path, *, seconds_per_batch: float = 0.0, **options: Any) -> Any:
    """`fit` on the toy data."""
    me = {"process": jax.process_index(), "processes": jax.process_count()}
    settings = {"name": name, "fingerprint": "24 pictures"} | options
    return fit(
        settings.pop("task", None) or task(config),
        config,
        config,
        lambda start: Batches(config, start, **me, seconds=seconds_per_batch),
        settings.pop("open_test", lambda: TestSet(config, **me)),
        workdir,
        **settings,
    )


def main(settings: dict[str, Any]) -> int:
    """settings: devices, distributed (None: one process), runs [{config (fields of Toy), workdir, options of `train`}].

    Returns the status of the last run; failures are printed as the command line would.
    """
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", settings["devices"])
    jax.config.update("jax_default_matmul_precision", "highest")
    status = 0
    try:
        if settings.get("distributed"):
            distributed.connect(settings["distributed"], heartbeat_seconds=5)
        for run in settings["runs"]:
            config, workdir = Toy(**run.pop("config")), Path(run.pop("workdir"))
            status = train(config, workdir, say=functools.partial(print, flush=True), **run).exit_status
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
