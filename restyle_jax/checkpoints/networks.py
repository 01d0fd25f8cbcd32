"""From published weight files to the networks behind losses and metrics."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from restyle_jax import zoo
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


def from_zoo(name: str) -> Published:
    """The file of a model of the zoo, such as "official/ir-se50"."""
    entry = zoo.find(name)
    return Published(entry.file, entry.what, entry.where)


TRUNKS = {
    "alex": from_zoo("official/alexnet"),
    "vgg": from_zoo("official/vgg16"),
    "squeeze": from_zoo("official/squeezenet"),
}
LINEAR = {net: from_zoo(f"official/lpips-{net}") for net in TRUNKS}
FACE = from_zoo("official/ir-se50")
INCEPTION = from_zoo("official/inception-fid")
MOCO = from_zoo("official/moco-v2")


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


def load_face(file: OptionalPath) -> FaceNetwork:
    """The face network of the identity loss from `model_ir_se50.pth`.

    Raises CheckpointError if the file is not given or absent (saying where people get it), or if it holds something else.
    """
    path = located(file, FACE)
    contents = _contents(path, detect.FACE, FACE)
    name, config, _ = sizes.trunk(contents, str(path))
    if not isinstance(config, IRSEConfig):
        raise _wrong(path, f"a trunk {name}", FACE)
    return _network(FaceNetwork, config, tables.face(config.units), contents, path, FACE)


def load_moco(file: OptionalPath, *, normalise: bool = False) -> MoCoNetwork:
    """The network of the MoCo similarity loss from `moco_v2_800ep_pretrain.pt`. normalise: see `MoCoNetwork`.

    Raises CheckpointError if the file is not given or absent (saying where people get it), or if it holds something else.
    """
    path = located(file, MOCO)
    contents = _contents(path, detect.MOCO, MOCO)
    name, config, _ = sizes.trunk(contents, str(path))
    if not isinstance(config, ResNetConfig) or not config.bottleneck:
        raise _wrong(path, f"a trunk {name}", MOCO)
    config = dataclasses.replace(config, max_pool=True)
    kind = functools.partial(MoCoNetwork, normalise=normalise)
    return _network(kind, config, tables.moco(config.blocks), contents, path, MOCO)


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
    path = located(file, TRUNKS["vgg"])
    state = _state(path, "classifier.3.bias", TRUNKS["vgg"])
    blueprint = Blueprint.of(VGG16, int(state["classifier.3.bias"].shape[0]))
    return blueprint.fill(
        engine.read(tables.vgg16(), state, blueprint.targets, file=str(path), what=TRUNKS["vgg"].what)
    )


def located(file: OptionalPath, published: Published) -> Path:
    """The path of a published file, which may be given by a name of the zoo. Raises CheckpointError, which says where people get
    it, if it is None or absent."""
    if file is not None and (path := zoo.resolve(file)).is_file():
        return path
    raise CheckpointError.explain(
        published.name if file is None else file,
        found="no path to this file" if file is None else "no file here",
        expected=f"{published.what}, usually named {published.name}",
        remedy=f"{published.where}, and give its path",
    )


def _network(
    kind: Any, config: Any, table: engine.Table, contents: detect.Contents, path: Path, published: Published
) -> Any:
    state = contents.trunk or {}
    try:
        blueprint = Blueprint.of(kind, config)
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
