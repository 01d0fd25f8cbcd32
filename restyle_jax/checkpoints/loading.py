"""From a checkpoint file to networks."""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from restyle_jax import zoo
from restyle_jax.checkpoints import native, opts, sizes, style_transformer, votes
from restyle_jax.checkpoints.modules import NETWORKS, Blueprint
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.detect import Contents
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.model import Model
from restyle_jax.nets.generators import Generator, GeneratorConfig
from restyle_jax.nets.image_encoders import ImageEncoderConfig
from restyle_jax.nets.style_based import mean_w
from restyle_jax.refine import Geometry

AnyPath = str | os.PathLike[str]

# Samples of z behind an estimated w_avg, as in pSp and ReStyle, and the seed of the draw.
MEAN_SAMPLES, MEAN_SEED = 100_000, 0


def load(path: AnyPath, *, dtype: jax.typing.DTypeLike = jnp.float32, encoder_type: str | None = None) -> Model:
    """The networks of a checkpoint, of any supported kind.

    path: a directory that `save` wrote; or an official file: ReStyle, pSp, e4e or Style Transformer, a StyleGAN2 generator in
        rosinality's names, an NVlabs StyleGAN2 network pickle, a StyleGAN generator of idinvert_pytorch or genforce; or the
        name of one in `zoo.list()`. Nothing from a file is ever executed.
    dtype: in which the networks compute; their parameters stay float32.
    encoder_type: the official class of the encoder, for files whose opts do not say it or say it wrongly. Only needed to
        tell e4e's encoders from the others with the same tensors; an error for what is no such file.

    All sizes are read from the tensors. Where the options in the file are missing or contradict them, the tensors win and
    a warning names the option; a missing w_avg is estimated from 100,000 samples, with a warning (not that of a Style
    Transformer, whose file lacks the mapping network behind it). Raises CheckpointError, which lists every missing,
    unexpected or misshapen tensor, for anything else; ValueError for a `dtype` that is none of floating-point numbers.
    """
    _check_dtype(dtype)
    path = zoo.resolve(path)
    own = native.own_directory(path)
    if own is not None:
        if encoder_type is not None:
            raise opts.not_of_that_type(str(own), "a directory of our format, which says the type itself", encoder_type)
        return native.load(own, dtype=dtype)
    container = reader.read(path, verify=True)
    contents = detect.contents(container.tree, container.format, container.path)
    if contents.trunk is not None:
        raise CheckpointError.explain(
            container.path,
            found=f"a {contents.kind}, which is only the trunk of an encoder",
            expected=detect.EXPECTED,
            remedy="start an encoder from it with restyle_jax.load_trunk(path, encoder)",
        )
    if contents.kind in (detect.CLASSIFIER, detect.EDIT) and contents.generator is None:
        raise CheckpointError.explain(
            container.path,
            found=f"a {contents.kind}",
            expected=detect.EXPECTED,
            remedy="read it with load_classifier or load_editor of restyle_jax.checkpoints",
        )
    if contents.encoder is None and encoder_type is not None:
        raise opts.not_of_that_type(container.path, f"a {contents.kind} without an encoder", encoder_type)
    return _Loader(contents, container.path, dtype).model(encoder_type)


def load_trained_generator(path: AnyPath, *, dtype: jax.typing.DTypeLike = jnp.float32) -> Generator | None:
    """The generator that was trained, and not the average over its steps that `load` takes, from a rosinality or NVlabs file of a
    training run; the only one where there is one; None where there is none. Raises as `load`."""
    _check_dtype(dtype)
    own = native.own_directory(path)
    if own is not None:
        return native.load(own, dtype=dtype).generator
    container = reader.read(path, verify=True)
    contents = detect.contents(container.tree, container.format, container.path, averaged=False)
    if contents.generator is None:
        return None
    loader = _Loader(contents, container.path, dtype)
    part = loader.part("generator", *sizes.generator(contents, container.path))
    return loader.networks({"generator": part})["generator"]


def _check_dtype(dtype: jax.typing.DTypeLike) -> None:
    try:
        known = jnp.issubdtype(dtype, jnp.floating)
    except TypeError:  # no dtype at all
        known = False
    if not known:
        raise ValueError(f"dtype is {dtype!r}, expected a floating-point type such as float32 or bfloat16")


@dataclasses.dataclass(frozen=True)
class _Part:
    """One network on its way: its structure, and the rows of its tensors with the names of both sides in full."""

    blueprint: Blueprint[Any]
    table: engine.Table


@dataclasses.dataclass(frozen=True)
class _Loader:
    contents: Contents
    file: str
    dtype: jax.typing.DTypeLike

    def model(self, encoder_type: str | None) -> Model:
        contents, parts = self.contents, {}
        geometry, absolute, task = Geometry(), False, None
        if contents.generator is not None:
            config, table = sizes.generator(contents, self.file)
            parts["generator"] = self.part("generator", config, table)
            if not config.mapping_layers:
                self.warn(
                    "has no layers of a mapping network: w is the normalised z. If it should have some, it is incomplete"
                )
            if contents.encoder is not None:
                settings = self.settings(config, encoder_type)
                geometry, absolute, task = settings.geometry, settings.absolute, settings.task
                parts["encoder"] = self.part("encoder", *self.encoder(settings, config.num_styles))
        if contents.discriminator is not None:
            parts["discriminator"] = self.part("discriminator", *sizes.discriminator(contents, self.file))
        networks = self.networks(parts)
        for network in contents.left_out:
            self.warn(f"has a network that is left out: {network}")
        return Model(
            **networks,
            w_avg=self.w_avg(networks["generator"], absolute) if "generator" in networks else None,
            geometry=geometry,
            metadata=self.metadata(task),
            name=self.file,
        )

    def settings(self, generator: GeneratorConfig, encoder_type: str | None) -> opts.Settings:
        contents = self.contents
        settings = opts.reconcile(
            contents.opts,
            facts(contents, generator, self.file),
            has_latent_avg=contents.latent_avg is not None,
            encoder_type=encoder_type,
            file=self.file,
        )
        if contents.kind == detect.STYLE_TRANSFORMER:
            self.warn(style_transformer.MAPPING_IS_CHANGED)
        for sentence in settings.warnings:
            self.warn(sentence)
        return settings

    def encoder(self, settings: opts.Settings, num_styles: int) -> tuple[ImageEncoderConfig, engine.Table]:
        state, given = self.contents.encoder or {}, {"num_styles": num_styles, "input_nc": self.contents.input_nc}
        if self.contents.kind == detect.STYLE_TRANSFORMER:
            return style_transformer.sizes_of(state, self.file, **given)
        return sizes.encoder(state, self.file, progressive=settings.progressive, **given)

    def part(self, role: str, config: Any, table: engine.Table) -> _Part:
        named = engine.prefixed(table, ours=f"{role}.", theirs=self.contents.prefixes.get(role, ""))
        try:
            return _Part(Blueprint.of(NETWORKS[type(config)], config, self.dtype), named)
        except ValueError as error:
            raise votes.impossible(self.file, error) from error

    def networks(self, parts: Mapping[str, _Part]) -> dict[str, Any]:
        """All networks, read together so that one error can list what is wrong with any of them."""
        source = dict(self.contents.strays)
        for role in parts:
            prefix = self.contents.prefixes.get(role, "")
            source |= {prefix + key: value for key, value in getattr(self.contents, role).items()}
        arrays = engine.read(
            [row for part in parts.values() for row in part.table],
            source,
            {f"{role}.{path}": leaf for role, part in parts.items() for path, leaf in part.blueprint.targets.items()},
            file=self.file,
            what=" and ".join(parts),
        )
        return {role: part.blueprint.fill(arrays, f"{role}.") for role, part in parts.items()}

    def w_avg(self, generator: Generator, absolute: bool) -> jax.Array:
        """w_avg as f32[K, w_dim], whatever form the file has it in."""
        config, found = generator.config, self.contents.average
        if absolute:
            self.warn(
                "was trained with opts.start_from_latent_avg=False: codes are added to zero, which also takes the place of "
                "w_avg in truncation"
            )
            return jnp.zeros((config.num_styles, config.w_dim))
        if found is None and self.contents.kind == detect.STYLE_TRANSFORMER:
            raise style_transformer.without_average(self.file)
        if found is None:
            self.warn(f"has no latent_avg: w_avg is estimated from {MEAN_SAMPLES} samples of its mapping network")
            mean = mean_w(generator.mapping, jax.random.key(MEAN_SEED), MEAN_SAMPLES)
            return jnp.broadcast_to(mean, (config.num_styles, config.w_dim))
        # e4e's first cars file has codes for 18 styles, of which its generator uses 16.
        state = self.contents.encoder or {}
        heads = sizes.num_heads(state) or style_transformer.num_tokens(state) or config.num_styles
        if found.shape == (config.num_styles * config.w_dim,):  # genforce joins the averages of distinct styles
            found = found.reshape(config.num_styles, config.w_dim)
        rows = found if found.ndim == 2 else found[None]
        fits = rows.ndim == 2 and rows.shape[0] in (1, config.num_styles, heads) and rows.shape[1] == config.w_dim
        if not (fits and engine.is_float(found)):
            raise CheckpointError.explain(
                self.file,
                found=f"a latent_avg of shape {tuple(found.shape)} and dtype {found.dtype}",
                expected=f"({config.w_dim},), (1, {config.w_dim}) or ({config.num_styles}, {config.w_dim}), as the generator "
                f"has {config.num_styles} styles of width {config.w_dim}",
                remedy="use the latent_avg that belongs to this generator",
            )
        shape = (max(len(rows), config.num_styles), config.w_dim)
        return jnp.array(np.broadcast_to(rows, shape)[: config.num_styles], jnp.float32)

    def metadata(self, task: str | None) -> dict[str, Any]:
        contents = self.contents
        entries = {"source": Path(self.file).name, "kind": contents.kind, "step": contents.step, "opts": contents.opts}
        entries["task"] = task
        return {name: opts.json_able(value) for name, value in entries.items() if value is not None}

    def warn(self, sentence: str) -> None:
        warnings.warn(f"{self.file} {sentence}", stacklevel=4)


def facts(contents: Contents, generator: GeneratorConfig, file: str) -> opts.Facts:
    """What the tensors of a ReStyle, pSp, e4e or Style Transformer file say."""
    state, heads = contents.encoder or {}, None
    if contents.kind == detect.STYLE_TRANSFORMER:
        config, _ = style_transformer.sizes_of(state, file, num_styles=generator.num_styles, input_nc=contents.input_nc)
        pyramid = True
    else:
        heads = sizes.num_heads(state)
        config, _ = sizes.encoder(state, file, progressive=False, num_styles=heads, input_nc=contents.input_nc)
        pyramid = config.pyramid
    return opts.Facts(
        trunk=config.trunk,
        pyramid=pyramid,
        in_channels=config.in_channels,
        heads=heads,
        num_styles=generator.num_styles,
        resolution=generator.resolution,
    )
