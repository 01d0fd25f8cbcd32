"""From published weight files to the networks behind losses and metrics."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from restyle_jax.checkpoints import sizes, votes
from restyle_jax.checkpoints.modules import Blueprint
from restyle_jax.convert import detect, engine, reader
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import inception
from restyle_jax.convert.tables import perceptual as tables
from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.inception import Inception
from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.moco import MoCoNetwork
from restyle_jax.nets.perceptual import LPIPS, NetName
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.vgg import VGG16

OptionalPath = str | os.PathLike[str] | None


@dataclasses.dataclass(frozen=True)
class Published:
    """A weight file that people download: its usual name, what is in it, and where it is."""

    name: str
    what: str
    where: str


MODEL_ZOO = "download it from torchvision's model zoo, https://download.pytorch.org/models/{name}"
LPIPS_WEIGHTS = "download it from lpips/weights/v0.1/{name} in the repository richzhang/PerceptualSimilarity on GitHub"
AUXILIARY = "download it from the table 'Auxiliary Models' in the README of yuval-alaluf/restyle-encoder on GitHub"

TRUNKS = {
    net: Published(name, f"torchvision's {title}, the network below LPIPS", MODEL_ZOO.format(name=name))
    for net, title, name in (
        ("alex", "AlexNet", "alexnet-owt-7be5be79.pth"),
        ("vgg", "VGG16", "vgg16-397923af.pth"),
        ("squeeze", "SqueezeNet 1.1", "squeezenet1_1-b8a52dc0.pth"),
    )
}
LINEAR = {
    net: Published(f"{net}.pth", f"the linear layers of LPIPS v0.1 for {net}", LPIPS_WEIGHTS.format(name=f"{net}.pth"))
    for net in TRUNKS
}
FACE = Published("model_ir_se50.pth", "the IR-SE50 face network of the identity loss", AUXILIARY)
INCEPTION = Published(
    "pt_inception-2015-12-05-6726825d.pth",
    "the Inception-v3 of FID (the TensorFlow graph of 2015-12-05, converted)",
    "download it from https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
)
MOCO = Published("moco_v2_800ep_pretrain.pt", "the MoCo v2 ResNet-50 of the similarity loss", AUXILIARY)


def load_lpips(
    net: NetName, trunk_file: OptionalPath, linear_file: OptionalPath, *, dtype: jax.typing.DTypeLike = jnp.float32
) -> LPIPS:
    """LPIPS v0.1 from its two published files.

    trunk_file: torchvision's AlexNet, VGG16 or SqueezeNet 1.1; its classifier is not used. linear_file: `<net>.pth` of
    richzhang/PerceptualSimilarity, `weights/v0.1`; the names that ReStyle's code gives its layers are read as well. dtype: in
    which features are computed. Raises CheckpointError if a file is not given or absent (saying where people get it), or
    if it does not hold what it should; ValueError for an unknown `net`.
    """
    blueprint = Blueprint.of(LPIPS, net, dtype)
    trunk_path, linear_path = located(trunk_file, TRUNKS[net]), located(linear_file, LINEAR[net])
    trunk = _state(trunk_path, "features.0.weight", TRUNKS[net])
    linear = _state(linear_path, "1.weight", LINEAR[net])
    pattern = "lin{}.model.1.weight" if any(key.startswith("lin") for key in linear) else "{}.1.weight"
    targets = blueprint.targets

    def read(table: engine.Table, state: detect.State, part: str, path: Path, published: Published) -> dict[str, Any]:
        wanted = {name: leaf for name, leaf in targets.items() if name.startswith(part)}
        return engine.read(table, state, wanted, file=str(path), what=published.what)

    return blueprint.fill(
        {
            **read(tables.torchvision_features(net), trunk, "layers.", trunk_path, TRUNKS[net]),
            **read(tables.linear(net, pattern), linear, "weights.", linear_path, LINEAR[net]),
        }
    )


def load_face(file: OptionalPath, *, dtype: jax.typing.DTypeLike = jnp.float32) -> FaceNetwork:
    """The face network of the identity loss from `model_ir_se50.pth`.

    Raises CheckpointError if the file is not given or absent (saying where people get it), or if it holds something else.
    """
    path = located(file, FACE)
    contents = _contents(path, detect.FACE, FACE)
    name, config, _ = sizes.trunk(contents, str(path))
    if not isinstance(config, IRSEConfig):
        raise _wrong(path, f"a trunk {name}", FACE)
    return _network(FaceNetwork, config, tables.face(config.units), contents, path, FACE, dtype)


def load_moco(file: OptionalPath, *, dtype: jax.typing.DTypeLike = jnp.float32) -> MoCoNetwork:
    """The network of the MoCo similarity loss from `moco_v2_800ep_pretrain.pt`.

    Raises CheckpointError if the file is not given or absent (saying where people get it), or if it holds something else.
    """
    path = located(file, MOCO)
    contents = _contents(path, detect.MOCO, MOCO)
    name, config, _ = sizes.trunk(contents, str(path))
    if not isinstance(config, ResNetConfig) or not config.bottleneck:
        raise _wrong(path, f"a trunk {name}", MOCO)
    config = dataclasses.replace(config, max_pool=True)
    return _network(MoCoNetwork, config, tables.moco(config.blocks), contents, path, MOCO, dtype)


def load_inception(file: OptionalPath) -> Inception:
    """The Inception-v3 of FID and KID from `pt_inception-2015-12-05-6726825d.pth` of mseitzer/pytorch-fid.

    Its classifier is not used. Raises CheckpointError if the file is not given or absent (saying where people get it), or if
    it holds something else, such as torchvision's own Inception-v3, whose features make other numbers.
    """
    path = located(file, INCEPTION)
    first = "Conv2d_1a_3x3.conv.weight"
    state = _state(path, first, INCEPTION)
    if any(key.startswith("AuxLogits.") for key in state):
        raise _wrong(path, "torchvision's own Inception-v3, whose features make other numbers", INCEPTION)
    blueprint = Blueprint.of(Inception, int(state[first].shape[0]))
    table = sizes.counted(inception.inception(), state)
    return blueprint.fill(engine.read(table, state, blueprint.targets, file=str(path), what=INCEPTION.what))


def load_vgg16(file: OptionalPath) -> VGG16:
    """VGG16 up to its second dense layer from torchvision's `vgg16-397923af.pth`.

    Raises CheckpointError if the file is not given or absent (saying where people get it), or if it holds something else.
    """
    published = dataclasses.replace(TRUNKS["vgg"], what="torchvision's VGG16")
    path = located(file, published)
    state = _state(path, "classifier.3.bias", published)
    blueprint = Blueprint.of(VGG16, int(state["classifier.3.bias"].shape[0]))
    return blueprint.fill(engine.read(tables.vgg16(), state, blueprint.targets, file=str(path), what=published.what))


def located(file: OptionalPath, published: Published) -> Path:
    """The path of a published file. Raises CheckpointError, which says where people get it, if it is None or absent."""
    if file is not None and Path(file).is_file():
        return Path(file)
    raise CheckpointError.explain(
        published.name if file is None else file,
        found="no path to this file" if file is None else "no file here",
        expected=f"{published.what}, usually named {published.name}",
        remedy=f"{published.where}, and give its path",
    )


def _network(
    kind: Any,
    config: Any,
    table: engine.Table,
    contents: detect.Contents,
    path: Path,
    published: Published,
    dtype: jax.typing.DTypeLike,
) -> Any:
    state = contents.trunk or {}
    try:
        blueprint = Blueprint.of(kind, config, dtype)
    except ValueError as error:
        raise votes.impossible(str(path), error) from error
    table = sizes.counted(table, state)
    return blueprint.fill(engine.read(table, state, blueprint.targets, file=str(path), what=published.what))


def _contents(path: Path, kind: str, published: Published) -> detect.Contents:
    container = reader.read(path, verify=True)
    contents = detect.contents(container.tree, container.format, str(path))
    if contents.kind != kind:
        raise _wrong(path, f"a {contents.kind}", published)
    return contents


def _state(path: Path, certain: str, published: Published) -> detect.State:
    """The state dict in a file, which must have a key that ends in `certain`."""
    tree = reader.read(path, verify=True).tree
    if not isinstance(tree, Mapping):
        raise _wrong(path, f"a single {type(tree).__name__}", published)
    if not any(str(key).endswith(certain) for key in tree):
        names = [str(key) for key in tree]
        raise _wrong(path, f"entries {', '.join(names[:6])}{' and others' if len(names) > 6 else ''}", published)
    return tree


def _wrong(path: Path, found: str, published: Published) -> CheckpointError:
    return CheckpointError.explain(
        path,
        found=found,
        expected=f"{published.what}, usually named {published.name}",
        remedy=published.where,
    )
