"""The networks behind losses with the weights of their goldens, through the conversion tables."""

import numpy as np

from restyle_jax.convert.engine import Constant, Entry, prefixed
from restyle_jax.convert.tables import perceptual as tables
from restyle_jax.convert.tables.layers import dense
from restyle_jax.nets.discriminators import LatentDiscriminator
from restyle_jax.nets.face import IRSE50, FaceNetwork
from restyle_jax.nets.moco import RESNET50, MoCoNetwork
from restyle_jax.nets.perceptual import LPIPS, MEAN, STD, NetName
from restyle_jax.nets.structure import structure
from tests import networks, recipe


def weights(name: str) -> dict[str, np.ndarray]:
    """The official state dict of a golden."""
    return recipe.build(networks.manifest(name))


def lpips(net: NetName) -> LPIPS:
    """The whole official module: also its constants, and the linear layers as its code renames them."""
    channels = {
        name: Constant(f"net.{name}", np.array(values, np.float32).reshape(1, 3, 1, 1))
        for name, values in (("mean", MEAN), ("std", STD))
    }
    table = [
        *channels.values(),
        *prefixed(tables.features(net), theirs="net.layers."),
        *tables.linear(net, "lin.{}.1.weight"),
    ]
    return networks.filled(structure(LPIPS, net), table, weights(f"losses/lpips_{net}"))


def face() -> FaceNetwork:
    table = tables.face(IRSE50.units)
    return networks.filled(structure(FaceNetwork), table, weights("losses/id_irse50"))


def moco() -> MoCoNetwork:
    table = tables.moco(RESNET50.blocks)
    return networks.filled(structure(MoCoNetwork), table, weights("losses/moco_resnet50"))


def discriminator_table() -> list[Entry]:
    """The discriminator of codes in e4e's names; every other module of its list is an activation."""
    return [entry for layer in range(4) for entry in dense(f"layers.{layer}", f"mlp.{2 * layer}")]


def latent_discriminator() -> LatentDiscriminator:
    source = weights("coach/e4e_latent_discriminator")
    return networks.filled(structure(LatentDiscriminator), discriminator_table(), source)
