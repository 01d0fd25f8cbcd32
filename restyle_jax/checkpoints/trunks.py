"""Encoders that start with the weights of other networks: a published trunk, or an encoder with fewer input channels."""

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from restyle_jax import zoo
from restyle_jax.checkpoints import sizes
from restyle_jax.checkpoints.loading import AnyPath
from restyle_jax.checkpoints.modules import Blueprint, flat_arrays
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.image_encoders import ImageEncoder
from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.resnet import ResNet

ExtraChannels = Literal["normal", "zero", "copy", "fresh"]

INPUT_LAYER = "trunk.input_layer."
FIRST_KERNEL = INPUT_LAYER + "conv.kernel"


def load_trunk(
    path: AnyPath,
    encoder: ImageEncoder,
    *,
    extra_channels: ExtraChannels = "normal",
    key: jax.Array | None = None,
) -> ImageEncoder:
    """Start an encoder's trunk from a published network: the IR-SE50 face network, or torchvision's or MoCo v2's ResNet.

    path: `model_ir_se50.pth`, `resnet34-333f7ec4.pth`, `moco_v2_800ep_pretrain.pt` and the like, or a name of the zoo.
    encoder: gives the config and every parameter outside of the trunk; it is not changed.
    extra_channels: what the input layer has for channels that the file lacks (ReStyle's fourth to sixth): standard normal
        numbers as upstream, drawn from `key` (default `jax.random.key(0)`); zeros; or copies of the file's channels. "fresh"
        keeps the encoder's own input layer instead of the file's, for inputs that are no photos (sketches, label maps).
    Returns a new encoder. Raises CheckpointError if the file holds another trunk, lists tensors that do not fit.
    """
    container = reader.read(zoo.resolve(path), verify=True)
    contents = detect.contents(container.tree, container.format, container.path)
    if contents.trunk is None:
        raise CheckpointError.explain(
            container.path, found=f"a {contents.kind}", expected=" or ".join(f"a {kind}" for kind in detect.TRUNKS),
            remedy="read whole checkpoints with restyle_jax.load",
        )  # fmt: skip
    name, config, table = sizes.trunk(contents, container.path)
    wanted = encoder.config
    too_many = config.in_channels > wanted.in_channels and extra_channels != "fresh"
    if (name, config.width) != (wanted.trunk, wanted.width) or too_many:
        raise CheckpointError.explain(
            container.path,
            found=f"{name} of width {config.width} with {config.in_channels} input channels",
            expected=f"{wanted.trunk} of width {wanted.width} with at most {wanted.in_channels}",
            remedy="choose the trunk of the encoder's config to match the file",
        )
    kind = IRSE if isinstance(config, IRSEConfig) else ResNet
    targets = Blueprint.of(kind, config).targets
    arrays = engine.read(table, contents.trunk, targets, file=container.path, what=contents.kind)
    return _with_arrays(encoder, {f"trunk.{name}": array for name, array in arrays.items()}, extra_channels, key)


def with_weights(
    encoder: ImageEncoder,
    source: ImageEncoder,
    *,
    extra_channels: ExtraChannels = "normal",
    key: jax.Array | None = None,
) -> ImageEncoder:
    """Start an encoder as another one, which may have fewer input channels: one that refines as one that makes a single pass.

    encoder: gives the config; it is not changed. extra_channels, key: as for `load_trunk`. With "zero" the new encoder does what
        `source` does, whatever the new channels are.
    Returns a new encoder. Raises ValueError if the two differ in anything but their input channels, or `source` has more of them.
    """
    arrays = flat_arrays(source)
    shapes, wanted = ({name: array.shape for name, array in each.items()} for each in (arrays, flat_arrays(encoder)))
    kernel, extended = shapes.pop(FIRST_KERNEL), wanted.pop(FIRST_KERNEL)
    if shapes != wanted or kernel[2] > extended[2]:
        raise ValueError(f"an encoder with {encoder.config} cannot start as one with {source.config}")
    return _with_arrays(encoder, arrays, extra_channels, key)


def _with_arrays(
    encoder: ImageEncoder, arrays: Mapping[str, np.ndarray], extra_channels: ExtraChannels, key: jax.Array | None
) -> ImageEncoder:
    """A copy of an encoder with other parameters where `arrays` has some, by their dotted paths."""
    graph, state = nnx.split(encoder)

    def replaced(path: tuple[object, ...], variable: nnx.Variable) -> nnx.Variable:
        name = ".".join(map(str, path))
        if name not in arrays or (extra_channels == "fresh" and name.startswith(INPUT_LAYER)):
            return variable
        array = arrays[name]
        if name == FIRST_KERNEL:
            array = _with_channels(array, encoder.config.in_channels, extra_channels, key)
        return variable.replace(jnp.array(array))

    flat = [(path, replaced(path, variable)) for path, variable in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(flat), copy=True)


def _with_channels(kernel: np.ndarray, channels: int, extra: ExtraChannels, key: jax.Array | None) -> np.ndarray:
    """kernel [h, w, in, out] with `channels` input channels."""
    missing = channels - kernel.shape[2]
    shape = (*kernel.shape[:2], missing, kernel.shape[3])
    match extra:
        case "normal":
            added = np.asarray(jax.random.normal(jax.random.key(0) if key is None else key, shape))
        case "zero":
            added = np.zeros(shape, np.float32)
        case "copy":
            added = np.resize(kernel.transpose(2, 0, 1, 3), (missing, *kernel.shape[:2], kernel.shape[3])).transpose(
                1, 2, 0, 3
            )
        case _:
            raise ValueError(f"extra_channels is {extra!r}, expected 'normal', 'zero', 'copy' or 'fresh'")
    return np.concatenate([kernel, added], axis=2)
