"""How good inversions of held-out avatars are: what is measured of each picture after each step, and how long a picture takes."""

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data_pipelines.avatars import AvatarSource
from data_pipelines.drawing.styles import Style
from restyle_jax import checkpoints
from restyle_jax.checkpoints.auxiliary import load_own_identity, load_own_perceptual
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.workdir import model_in
from restyle_jax.losses.latent import delta_norms
from restyle_jax.losses.reconstruction import l2
from restyle_jax.losses.similarity import cosine_similarity
from restyle_jax.model import Model, invert
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from restyle_jax.ops.images import to_float
from restyle_jax.ops.resample import block_mean

COARSE = 16  # pixels of a side: what is left of a change after averaging over blocks is its coarse part

DEFINITIONS = {
    "l2": "mean squared error, pictures in [-1, 1]",
    "perceptual": "distance of the perceptual network of avatars",
    "identity": "cosine similarity of the features of the identity network of avatars, input and reconstruction",
    "delta": "distance to W: mean over styles 1 ... K - 1 of their distance from style 0",
    "from average": "mean over all styles of their distance from w_avg",
    "coarse share": f"share of the energy of the step's change of the picture that is left in {COARSE} x {COARSE} means",
}


@dataclass(frozen=True)
class Judges:
    """The networks that compare pictures."""

    perceptual: PerceptualNetwork
    identity: IdentityNetwork

    @classmethod
    def load(cls, perceptual: Path, identity: Path) -> "Judges":
        """From names of the zoo, folders of runs or of networks. Raises CheckpointError."""
        return cls(load_own_perceptual(model_in(perceptual)), load_own_identity(model_in(identity)))

    def check(self, size: int) -> None:
        """Raises CheckpointError if the networks take pictures of another size."""
        for name, network in (("perceptual", self.perceptual), ("identity", self.identity)):
            if network.size != size:
                raise CheckpointError.explain(
                    f"the {name} network",
                    found=f"one for pictures of {network.size} x {network.size}",
                    expected=f"{size} x {size}, as the encoders",
                    remedy=f"name one for this size with --{name}",
                )


@dataclass(frozen=True)
class Measured:
    """values: {measure: f32[N, pictures]} after each of N steps, see DEFINITIONS. change: f32[N, height, width], the mean over
    pictures and colours of how much each step changed."""

    values: dict[str, np.ndarray]
    change: np.ndarray

    def means(self, count: int | None = None) -> dict[str, list[float]]:
        """{measure: N means} over the first `count` pictures, or all."""
        return {name: rows[:, :count].mean(axis=1, dtype=np.float64).tolist() for name, rows in self.values.items()}


def load_encoder(path: Path) -> Model:
    """A model with generator and an encoder for square photos, from a name of the zoo, a folder of a run or a file.

    Raises CheckpointError, also for a model that lacks one of these or sees something else.
    """
    model = checkpoints.load(model_in(path))
    try:
        channels = model.require_encoder().config.in_channels
        model.require_generator()
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    geometry = model.geometry
    if channels not in (3, 6) or geometry.height != geometry.width or geometry.height % COARSE:
        raise CheckpointError.explain(
            path,
            found=f"an encoder for {geometry.height} x {geometry.width} pixels of {channels} channels",
            expected=f"3 or 6 channels and a square of a multiple of {COARSE} pixels",
            remedy="name an encoder of avatars",
        )
    return model


def parameters(model: Model) -> int:
    """Of the encoder, without running statistics."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model.require_encoder(), nnx.Param)))


def held_out(count: int, size: int, batch: int, style: Style = "painted") -> Iterator[tuple[np.ndarray, int]]:
    """The first `count` test avatars, drawn `batch` at a time: f32[batch, size, size, 3], and how many rows count.

    The last batch is filled up by repetition, so that all have one shape.
    """
    source = AvatarSource("test", count, size, style)
    for first in range(0, count, batch):
        kept = min(batch, count - first)
        drawn = to_float(source.drawn(np.arange(first, first + kept)))
        yield np.resize(drawn, (batch, *drawn.shape[1:])), kept


def measure_encoder(
    model: Model, judges: Judges, count: int, steps: int, batch: int, progress: Callable[[int], object]
) -> Measured:
    """Invert the first `count` test avatars in `steps` steps (one, with a single-pass encoder) and measure every step."""
    parts = []
    for x, kept in held_out(count, model.geometry.height, batch):
        latents, images = invert(model, x, steps, resize_outputs=True)
        parts.append(measure(model, judges, x, np.asarray(latents), np.asarray(images), kept))
        progress(kept)
    return join(parts)


def measure(
    model: Model, judges: Judges, x: np.ndarray, latents: np.ndarray, images: np.ndarray, kept: int | None = None
) -> Measured:
    """Measures of N steps of inversions of x f32[B, R, R, 3], which began at the model's average; the first `kept` rows count.

    latents: f32[N, B, K, w_dim]. images: f32[N, B, R, R, 3].
    """
    graphs, states = zip(*(nnx.split(network) for network in (judges.perceptual, judges.identity)), strict=True)
    values, change = _measured(graphs, states, x, model.average.y, model.w_avg, latents, images)
    kept = len(x) if kept is None else kept
    return Measured(
        {name: np.asarray(rows)[:, :kept] for name, rows in values.items()}, np.asarray(change)[:, :kept].mean(axis=1)
    )


def likeness(judges: Judges, target: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """How like pictures f32[N, B, R, R, 3] are to f32[B, R, R, 3]: {"l2", "perceptual", "identity": f32[N, B]}, see DEFINITIONS."""
    graphs, states = zip(*(nnx.split(network) for network in (judges.perceptual, judges.identity)), strict=True)
    return jax.device_get(_likeness(graphs, states, target, images))


def join(parts: list[Measured]) -> Measured:
    """Several batches as one."""
    weights = [part.values["l2"].shape[1] for part in parts]
    values = {name: np.concatenate([part.values[name] for part in parts], axis=1) for name in parts[0].values}
    return Measured(values, np.average([part.change for part in parts], axis=0, weights=weights))


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of so many calls, after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def coarse_share(change: jax.Array | np.ndarray, size: int = COARSE) -> jax.Array:
    """Share of the energy of changes f32[B, R, R, 3] that is in the means of blocks, `size` of them along a side: f32[B], 1 where
    nothing finer changed. Where nothing changed at all it is 0."""
    pixels = (change.shape[1] // size) ** 2
    energy = jnp.square(change).sum((1, 2, 3))
    return pixels * jnp.square(block_mean(jnp.asarray(change), size)).sum((1, 2, 3)) / jnp.maximum(energy, 1e-20)


def _comparison(graphs, states, x) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """What compares pictures with x."""
    perceptual, identity = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
    features, person = perceptual.features(x), identity(x)
    return lambda y: {
        "l2": l2(y, x),
        "perceptual": perceptual.distances(perceptual.features(y), features).sum(-1),
        "identity": cosine_similarity(identity(y), person),
    }


@functools.partial(jax.jit, static_argnames="graphs")
def _likeness(graphs, states, x, images) -> dict[str, jax.Array]:
    return jax.lax.map(_comparison(graphs, states, x), images)


@functools.partial(jax.jit, static_argnames="graphs")
def _measured(graphs, states, x, y_avg, w_avg, latents, images) -> tuple[dict[str, jax.Array], jax.Array]:
    compared = _comparison(graphs, states, x)

    def at(step: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
        w, y, before = step
        values = {
            **compared(y),
            "delta": delta_norms(w).mean(-1),
            "from average": jnp.linalg.norm(w - w_avg, axis=-1).mean(-1),
            "coarse share": coarse_share(y - before),
        }
        return values, jnp.abs(y - before).mean(-1)

    before = jnp.concatenate([jnp.broadcast_to(y_avg, images[:1].shape), images[:-1]])
    return jax.lax.map(at, (latents, images, before))
