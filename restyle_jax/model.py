"""A loaded model, and the two things that people do with it: invert photos and generate pictures."""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax import refine
from restyle_jax.nets.discriminators import Discriminator
from restyle_jax.nets.drawing import draw
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.image_encoders import ImageEncoder
from restyle_jax.nets.style_based import broadcast_styles, truncate
from restyle_jax.ops import images as image_ops
from restyle_jax.ops.batches import in_batches
from restyle_jax.refine import Estimate, Geometry, Inversion

STEP_CAPACITY = 10
"""One compilation serves every number of steps up to this (then up to its next multiple); see `refine.refine`."""


class Parts(NamedTuple):
    """A network as compiled functions take it: its structure, which is static, and its arrays.

    A model splits its networks once: for an encoder that takes 20 ms, longer than a refinement step on a GPU.
    """

    graph: nnx.GraphDef
    state: nnx.State


@dataclasses.dataclass(frozen=True)
class Model:
    """Networks read from one checkpoint. `w_avg` is f32[K, w_dim]; `metadata` (JSON-able) says where they come from,
    `name` in messages what file that is.

    The networks are not to be changed in place, because what is derived from them is kept: `dataclasses.replace` makes another
    model. Raises ValueError if the encoder's codes, w_avg or the geometry do not fit the generator.
    """

    generator: Generator | None = None
    w_avg: jax.Array | None = None
    encoder: ImageEncoder | None = None
    discriminator: Discriminator | None = None
    geometry: Geometry = dataclasses.field(default_factory=Geometry)
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = "this model"

    def __post_init__(self):
        if self.generator is None:
            return
        sizes = self.generator.config
        expected = sizes.num_styles, sizes.w_dim
        if self.w_avg is not None and np.shape(self.w_avg) != expected:
            raise ValueError(
                f"{self.name}: w_avg has shape {np.shape(self.w_avg)}, expected {expected} as its generator's codes"
            )
        if self.encoder is None:
            return
        found = self.encoder.config.num_styles, self.encoder.config.style_dim
        if found != expected:
            raise ValueError(
                f"{self.name}: its encoder makes codes of shape {found}, expected {expected} as its generator takes"
            )
        picture = jax.ShapeDtypeStruct((1, sizes.resolution, sizes.resolution, 3), jnp.float32)
        jax.eval_shape(lambda image: (self.geometry.pool(image), self.geometry.crop(image)), picture)

    @functools.cached_property
    def average(self) -> Estimate:
        """The estimate that a refinement starts from: w_avg and its image, f32[1, K, w_dim] and f32[1, height, width, 3]."""
        _, w_avg = self.require_generator()
        # What is kept must be an array, also if it is first read where `jit` traces.
        with jax.ensure_compile_time_eval():
            return _average(*self.generator_parts, w_avg, self.geometry)

    @functools.cached_property
    def generator_parts(self) -> Parts:
        """The generator for compiled functions. Raises ValueError if the checkpoint had none."""
        return Parts(*nnx.split(self.require_generator()[0]))

    @functools.cached_property
    def encoder_parts(self) -> Parts:
        """The encoder for compiled functions. Raises ValueError if the checkpoint had none."""
        return Parts(*nnx.split(self.require_encoder()))

    def require_generator(self) -> tuple[Generator, jax.Array]:
        """The generator and w_avg. Raises ValueError if one of them is missing."""
        if self.generator is not None and self.w_avg is None:
            raise ValueError(
                f"{self.name} has a generator without w_avg; give one as well, such as the mean over many z that "
                "restyle_jax.nets.style_based.mean_w estimates, once for each style"
            )
        if self.generator is None or self.w_avg is None:
            raise ValueError(
                f"{self.name} has no generator; use a ReStyle, pSp, e4e, Style Transformer or generator checkpoint"
            )
        return self.generator, self.w_avg

    def require_encoder(self) -> ImageEncoder:
        """The encoder. Raises ValueError if the checkpoint had none."""
        if self.encoder is None:
            raise ValueError(
                f"{self.name} has no encoder; inversion needs a ReStyle, pSp, e4e or Style Transformer checkpoint"
            )
        return self.encoder

    @property
    def input_channels(self) -> int:
        """Channels of what is inverted; ReStyle's own 6 are those of a photo and of its reconstruction."""
        channels = self.require_encoder().config.in_channels
        return 3 if channels == 6 else channels

    @property
    def inputs(self) -> Literal["photo", "sketch", "label map"]:
        """What the encoder looks at: by its channels, as pSp has 1 for sketches and one for each class of label maps. Three are a
        photo's, unless the model was trained on maps of three classes."""
        if self.input_channels == 1:
            return "sketch"
        return "photo" if self.input_channels == 3 and self.metadata.get("task") != "segmentation" else "label map"

    def require_photos(self) -> None:
        """Raise ValueError if the encoder does not look at photos, or there is none."""
        if self.inputs != "photo":
            raise ValueError(
                f"{self.name} has an encoder whose input is a {self.inputs} (channels: {self.input_channels}), expected "
                "one for photos: with 6 (ReStyle) or 3 (pSp, e4e, Style Transformer)"
            )

    def require_refining(self) -> None:
        """Raise ValueError if the encoder cannot go on from another's result: only ReStyle's look at one."""
        if self.require_encoder().config.in_channels != 6:
            raise ValueError(
                f"{self.name} has a single-pass encoder, which does not look at earlier results; expected a ReStyle encoder, to go "
                "on from those of another model"
            )

    def passes(self, steps: int) -> int:
        """How many refinements this model makes when asked for `steps`: an encoder without 6 channels makes a single pass."""
        return steps if self.require_encoder().config.in_channels == 6 else 1


@functools.partial(jax.jit, static_argnames=("graph", "geometry"))
def _average(graph: nnx.GraphDef, state: nnx.State, w_avg: jax.Array, geometry: Geometry) -> Estimate:
    return refine.average(nnx.merge(graph, state, copy=True), w_avg, geometry)


@functools.partial(jax.jit, static_argnames=("graphs", "geometry", "capacity", "resize_outputs"))
def _refine(graphs, states, x, start, w_avg, steps, geometry, capacity, resize_outputs) -> tuple[Inversion, Estimate]:
    encoder, generator = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
    return refine.refine(
        encoder, generator, x, start, w_avg, steps, geometry, capacity=capacity, resize_outputs=resize_outputs
    )


@functools.partial(jax.jit, static_argnames=("graph", "truncation_cutoff"))
def _sample(graph, state, z, labels, w_avg, truncation_psi, truncation_cutoff) -> jax.Array:
    w = broadcast_styles(nnx.merge(graph, state, copy=True).mapping(z, labels), w_avg.shape[0])
    return truncate(w, w_avg, truncation_psi, truncation_cutoff)


def _run(model: Model, x: jax.Array, start: Estimate, steps: int, resize_outputs: bool) -> tuple[Inversion, Estimate]:
    """`steps` refinements with the model's networks; a single-pass encoder does one."""
    refines = model.require_encoder().config.in_channels == 6
    _, w_avg = model.require_generator()
    steps = model.passes(steps)
    graphs, states = zip(model.encoder_parts, model.generator_parts, strict=True)
    capacity = -(-steps // STEP_CAPACITY) * STEP_CAPACITY if refines else 1
    inversion, last = _refine(graphs, states, x, start, w_avg, steps, model.geometry, capacity, resize_outputs)
    return Inversion(inversion.latents[:steps], inversion.images[:steps]), last


def invert(
    model: Model,
    images: jax.Array | np.ndarray,
    steps: int = 5,
    *,
    resize_outputs: bool = False,
    bootstrap_from: Model | None = None,
    bootstrap_steps: int = 1,
) -> Inversion:
    """Invert images f32[B, H, W, 3] in [-1, 1] with N = `steps` refinements (a single-pass encoder does one).

    Images of another size than the encoder's are resized as the official transform does. pSp's encoders of sketches and label
    maps take those, in [0, 1] and of their size: f32[B, height, width, 1], or one channel for each class. Returns `latents`
    f32[N, B, K, w_dim] and `images` f32[N, B, h, w, 3] at the generator's resolution, cropped to the content, or at the
    encoder's size (256) with `resize_outputs`. With `bootstrap_from`, that model runs `bootstrap_steps` first and this one
    goes on from its code and image (section 5 of the paper); N is then the sum. One compilation serves every N up to
    `STEP_CAPACITY` at the same batch size.

    Raises ValueError on a wrong shape, type or range, on steps that are no whole number of at least 1, on a model without
    encoder or generator, on two models whose codes or geometries differ, and on what is no loaded model.
    """
    for name, one in (("model", model), ("bootstrap_from", bootstrap_from or model)):
        if not isinstance(one, Model):
            raise ValueError(f"{name} is {one!r}, expected a model: load it first, by `restyle_jax.load`")
    geometry, shape = model.geometry, np.shape(images)
    if len(shape) != 4 or shape[-1] != model.input_channels or 0 in shape:
        raise ValueError(
            f"images have shape {shape}, expected [B, H, W, {model.input_channels}] with at least one {model.inputs}"
        )
    images = image_ops.as_floats(images, -1 if model.inputs == "photo" else 0)
    steps, bootstrap_steps = _count("steps", steps), _count("bootstrap_steps", bootstrap_steps)
    if images.shape[1:3] != (geometry.height, geometry.width):
        if model.inputs != "photo":
            raise ValueError(
                f"images have shape {shape}, expected {model.inputs} pictures of {geometry.height} x {geometry.width}, as only "
                "photos are resized"
            )
        images = image_ops.resize(images, geometry.height, geometry.width)
    x = jnp.asarray(images)
    if bootstrap_from is None:
        return _run(model, x, model.average, steps, resize_outputs)[0]

    sizes = [m.require_generator()[1].shape for m in (bootstrap_from, model)]
    if sizes[0] != sizes[1] or bootstrap_from.geometry != geometry:
        raise ValueError(
            f"{bootstrap_from.name} has codes of shape {sizes[0]} and {bootstrap_from.geometry}, {model.name} has "
            f"{sizes[1]} and {geometry}; bootstrapping needs two models of the same shape"
        )
    for one in (bootstrap_from, model):
        one.require_photos()
    model.require_refining()
    first, estimate = _run(bootstrap_from, x, bootstrap_from.average, bootstrap_steps, resize_outputs)
    second, _ = _run(model, x, estimate, steps, resize_outputs)
    return Inversion(*(jnp.concatenate(parts) for parts in zip(first, second, strict=True)))


def _count(name: str, number: Any, minimum: int = 1) -> int:
    """A whole number of any type, at least `minimum`."""
    try:
        count = operator.index(number)
    except TypeError:
        count = minimum - 1
    if count < minimum:
        raise ValueError(f"{name} is {number}, expected a whole number of at least {minimum}")
    return count


def sample(
    model: Model,
    seeds: Sequence[int],
    *,
    truncation_psi: float = 1.0,
    truncation_cutoff: int | None = None,
    label: int | None = None,
) -> jax.Array:
    """Codes of seeds, f32[len(seeds), K, w_dim].

    A seed means the z of `numpy.random.RandomState(seed)`, as in stylegan2-ada-pytorch's `generate.py`, so that the same
    seed shows the same picture there and here. `truncation_psi` pulls the first `truncation_cutoff` styles (all when None)
    towards w_avg; `label` is a class index, for conditional generators. Raises ValueError without a generator, without
    seeds, on a seed that is no whole number from 0 to 2^32 - 1, on a cutoff that is no whole number from 0, or on a missing,
    superfluous or unknown label.
    """
    generator, w_avg = model.require_generator()
    classes = generator.config.label_dim
    label = None if label is None else _count("label", label, 0)
    if not len(seeds):
        raise ValueError("no seeds given; expected at least one, such as [0, 1, 2]")
    if bool(classes) != (label is not None) or (label is not None and not 0 <= label < classes):
        needs = f"a label from 0 to {classes - 1}" if classes else "no label"
        raise ValueError(f"{model.name} needs {needs} (--class), got {label}")
    cutoff = None if truncation_cutoff is None else _count("truncation_cutoff", truncation_cutoff, 0)
    numbers = [_count("seed", seed, 0) for seed in seeds]
    z = np.stack([np.random.RandomState(seed).randn(generator.config.z_dim) for seed in numbers]).astype(np.float32)
    labels = None if label is None else jnp.repeat(jax.nn.one_hot(jnp.array([label]), classes), len(seeds), axis=0)
    return _sample(*model.generator_parts, z, labels, w_avg, truncation_psi, cutoff)


def synthesise(model: Model, w: jax.Array | np.ndarray, *, batch_size: int = 4) -> np.ndarray:
    """Pictures f32[B, R, R, 3] of codes f32[B, K, w_dim], nominally in [-1, 1], with the network's constant noise.

    `batch_size` codes at a time, so that one compilation and a bounded amount of device memory serve any number.
    Raises ValueError without a generator, on a wrong shape, without codes, and on a batch size below 1.
    """
    size = _count("batch_size", batch_size)
    if not len(w):
        raise ValueError("no codes given; expected at least one, f32[B, K, w_dim]")
    generator, w_avg = model.require_generator()
    if np.shape(w)[1:] != w_avg.shape:
        raise ValueError(
            f"codes have shape {np.shape(w)}, expected [B, {', '.join(map(str, w_avg.shape))}] for {model.name}"
        )
    return in_batches(functools.partial(draw, generator.config, *model.generator_parts), w, size)


def generate(model: Model, seeds: Sequence[int], *, batch_size: int = 4, **options: Any) -> np.ndarray:
    """Pictures of seeds, f32[len(seeds), R, R, 3]: `synthesise` of `sample`, whose options it takes."""
    return synthesise(model, sample(model, seeds, **options), batch_size=batch_size)
