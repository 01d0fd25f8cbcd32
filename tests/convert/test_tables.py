"""The tables list the keys of the official state dicts, all of them and in their order."""

import pytest

from restyle_jax.checkpoints import sizes
from restyle_jax.convert.engine import Constant, Row, Table
from restyle_jax.convert.tables import nvlabs, stylegan2
from restyle_jax.nets.encoders import OFFICIAL, EncoderConfig
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


def test_nvlabs_generator_keys():
    table = nvlabs.generator(5, 8, conditional=False)
    assert {*keys(table), "mapping.w_avg"} == set(golden_keys("nvlabs_ada/snapshot_64"))
