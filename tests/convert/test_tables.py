"""The tables list the keys of the official state dicts, all of them and in their order."""

import numpy as np
import pytest

from restyle_jax.checkpoints import sizes
from restyle_jax.checkpoints.modules import Blueprint
from restyle_jax.convert.detect import Contents
from restyle_jax.convert.engine import Constant, Filled, Row, Table
from restyle_jax.convert.tables import encoders, nvlabs, stylegan2
from restyle_jax.nets.encoders import HEADS, OFFICIAL, Encoder, EncoderConfig
from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.resnet import ResNet
from restyle_jax.nets.trunks import TRUNKS
from tests import networks, official


def keys(table: Table) -> list[str]:
    return [entry.theirs for entry in table if isinstance(entry, Row | Constant)]


def golden_keys(manifest: str) -> list[str]:
    return [key for key, *_ in official.entries(manifest)]


@pytest.mark.parametrize(("manifest", "blocks"), [("g32", 4), ("g256", 7), ("g1024", 9)])
def test_generator_order(manifest: str, blocks: int):
    assert keys(stylegan2.generator(blocks, mapping_layers=8)) == golden_keys(f"sg2_generator/{manifest}")


@pytest.mark.parametrize(("manifest", "blocks"), [("d32", 3), ("d256", 6)])
def test_discriminator_order(manifest: str, blocks: int):
    assert keys(stylegan2.discriminator(blocks)) == golden_keys(f"sg2_discriminator/{manifest}")


@pytest.mark.parametrize("name", official.ENCODERS)
def test_encoder_order(name: str):
    manifest = official.ENCODERS[name]
    head, trunk = OFFICIAL[name]
    arguments = networks.manifest(manifest)["args"]
    table = sizes.encoder_table(EncoderConfig(head, trunk, num_styles=arguments["n_styles"]))  # pyright: ignore[reportArgumentType]
    assert keys(table) == golden_keys(manifest)


@pytest.mark.parametrize("manifest", ["g64", "g256_idinvert", "narrow_genforce"])
def test_stylegan_order(manifest: str):
    """The round trips of whole files have the place of w_avg and of the coefficients, which no row fills."""
    naming = "genforce" if "genforce" in manifest else "idinvert"
    shapes = {
        key: np.broadcast_to(np.float32(0), shape) for key, shape, *_ in official.entries(f"stylegan1/{manifest}")
    }
    config, table = sizes.generator(Contents("", naming, generator=shapes), manifest)
    assert keys(table) == [key for key in shapes if not key.startswith("truncation.")]
    assert config.resolution == networks.manifest(f"stylegan1/{manifest}")["args"]["resolution"]


def test_nvlabs_generator_keys():
    table = nvlabs.generator(5, 8, conditional=False)
    assert {*keys(table), "mapping.w_avg"} == set(golden_keys("nvlabs_ada/snapshot_64"))


@pytest.mark.parametrize(
    ("head", "trunk"), [*(("backbone", trunk) for trunk in TRUNKS), *((head, "resnet18") for head in HEADS)]
)
def test_tables_fill_every_combination(head: str, trunk: str):
    """Also those that have no official class, so that depth can be compared."""
    config = EncoderConfig(head, trunk, num_styles=9, style_dim=64, width=16)  # pyright: ignore[reportArgumentType]
    targets = Blueprint.of(Encoder, config).targets
    filled = {entry.ours for entry in sizes.encoder_table(config) if isinstance(entry, Row)}
    assert filled == {path for path in targets if not path.startswith("project.")}


@pytest.mark.parametrize("trunk", TRUNKS)
def test_trunk_files_have_the_rows_of_encoders(trunk: str):
    config = TRUNKS[trunk]
    table = (
        encoders.face_trunk(config.units)
        if isinstance(config, IRSEConfig)
        else encoders.torchvision_trunk(config.blocks, bottleneck=config.bottleneck)
    )
    kind = IRSE if isinstance(config, IRSEConfig) else ResNet
    assert {entry.ours for entry in table if isinstance(entry, Row | Filled)} == set(Blueprint.of(kind, config).targets)
