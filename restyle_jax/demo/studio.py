"""What the demo computes: inversions, and pictures of codes, each with one compiled program and one progress bar for all."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from tqdm import tqdm

from restyle_jax.jobs.edit_measures import cropped
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.model import Model, invert, sample, synthesise
from restyle_jax.nets.perceptual import PerceptualDistance
from restyle_jax.ops.batches import filled_batches
from restyle_jax.ops.images import to_bytes
from restyle_jax.optimise import optimise

SHOWN_SIDE = 256  # pixels; larger pictures are made smaller for the page
ITERATIONS, LEARNING_RATE = 25, 0.05  # of Adam; with more, pictures come closer yet, but edits turn less clear


@dataclass(frozen=True)
class Inverted:
    """Pictures and what is made of them in N steps.

    names: of the B pictures. inputs: f32[B, h, w, 3]. estimates: f32[B, N + 1, h, w, 3], of which the first is that from which
    the steps begin. latents: f32[B, K, w_dim], of the last step.
    """

    names: Sequence[str]
    inputs: np.ndarray
    estimates: np.ndarray
    latents: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """L2 to the input, f64[B, N + 1]."""
        return np.square(self.estimates - self.inputs[:, None]).mean(axis=(2, 3, 4), dtype=np.float64)

    @property
    def change(self) -> np.ndarray:
        """How much each step changed each place, f32[N, h, w]: the mean over pictures and colours."""
        return np.abs(np.diff(self.estimates, axis=1)).mean(axis=(0, 4))


@dataclass
class Stopwatch:
    """Seconds, and those of compiling among them, of each kind of work."""

    clock: CompileClock
    times: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time of the block to that of `what`."""
        started, compiled = time.perf_counter(), self.clock.seconds
        yield
        seconds, compiling = self.times.get(what, (0.0, 0.0))
        seconds += time.perf_counter() - started
        self.times[what] = seconds, compiling + self.clock.seconds - compiled


@dataclass(frozen=True)
class Studio:
    """A model at work. Everything is computed `batch_size` at a time; `bar` counts pictures."""

    model: Model
    batch_size: int
    bar: tqdm
    watch: Stopwatch

    def invert(self, names: Sequence[str], inputs: np.ndarray, steps: int) -> Inverted:
        """Invert pictures f32[B, h, w, 3] in [-1, 1] of the encoder's size."""
        with self.watch.timed("inverting"):
            average = np.broadcast_to(np.asarray(self.model.average.y), inputs.shape)
            latents, images = [], []
            for chunk, kept in filled_batches(inputs, min(self.batch_size, len(inputs))):
                inversion = invert(self.model, chunk, steps, resize_outputs=True)
                latents.append(np.asarray(inversion.latents[-1])[:kept])
                images.append(np.asarray(inversion.images)[:, :kept].swapaxes(0, 1))
                self.bar.update(kept * len(inversion.images))
            estimates = np.concatenate([average[:, None], np.concatenate(images)], axis=1)
            return Inverted(names, inputs, estimates, np.concatenate(latents))

    def optimise(self, inverted: Inverted, distance: PerceptualDistance) -> Inverted:
        """Go on from inversions by gradient descent, as one step; `distance` is for pictures of the encoder's size."""
        with self.watch.timed("optimising"):
            latents, images = [], []
            size = min(self.batch_size, len(inverted.inputs))
            starts = filled_batches(inverted.latents, size)
            for (chunk, kept), (start, _) in zip(filled_batches(inverted.inputs, size), starts, strict=True):
                done = optimise(
                    self.model, chunk, [ITERATIONS], start=start, distance=distance, learning_rate=LEARNING_RATE
                )
                latents.append(done.latents[-1, :kept])
                images.append(done.images[-1, :kept])
                self.bar.update(kept)
            estimates = np.stack([inverted.estimates[:, -1], np.concatenate(images)], axis=1)
            return Inverted(inverted.names, inverted.inputs, estimates, np.concatenate(latents))

    def draw(self, seeds: Sequence[int]) -> np.ndarray:
        """Codes of seeds, f32[len(seeds), K, w_dim]; of the first class, if the generator has classes."""
        label = 0 if self.model.require_generator()[0].config.label_dim else None
        return np.asarray(sample(self.model, seeds, label=label))

    def truncated(self, codes: np.ndarray, psi: float) -> np.ndarray:
        """Codes f32[B, K, w_dim] pulled towards the average."""
        w_avg = np.asarray(self.model.require_generator()[1])
        return (w_avg + psi * (codes - w_avg)).astype(np.float32)

    def pictures(self, codes: np.ndarray, make: Callable[[np.ndarray], np.ndarray] | None = None) -> list[np.ndarray]:
        """u8[h, w, 3] for each code f32[n, ...], h and w at most SHOWN_SIDE; `make` turns codes of another space into pictures."""
        made = []
        with self.watch.timed("making pictures of codes"):
            for chunk, kept in filled_batches(codes, self.batch_size):
                pixels = make(chunk) if make else synthesise(self.model, chunk, batch_size=self.batch_size)
                made += [small(picture) for picture in to_bytes(cropped(self.model, pixels[:kept]))]
                self.bar.update(kept)
        return made


def small(picture: np.ndarray) -> np.ndarray:
    """u8[h, w, 3] at most SHOWN_SIDE large, of the same shape."""
    image = Image.fromarray(picture)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)
