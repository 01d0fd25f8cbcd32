"""Closed-form directions: the official ones on the same weights, and which layers they come from."""

import numpy as np
import pytest

from restyle_jax.convert.tables import stylegan2 as table
from restyle_jax.edit import sefa
from restyle_jax.nets.structure import structure
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from tests import networks, recipe
from tests.edit.generators import stylegan2_of, stylegan_of


@pytest.fixture(scope="module")
def official() -> Generator:
    config = GeneratorConfig.rosinality(256)
    rows = table.generator(len(config.channels), config.mapping_layers)
    weights = recipe.build(networks.manifest("sg2_generator/g256"))
    return networks.filled(structure(Generator, config), rows, weights)


@pytest.mark.parametrize(("key", "layers"), [("all", "0-12"), ("l4_6", "4-6"), ("l0_2", "0-2")])
def test_parity_with_official_code(official: Generator, key: str, layers: str):
    """The official code analyses these layers (never the colours), and returns them shifted by one."""
    golden = networks.arrays("sefa/rosinality_g256")
    found = sefa.factorise(official, layers, count=8)
    vectors = np.stack([direction.vector for direction in found])
    cosines = np.abs((vectors * golden[f"{key}_vectors_top8"]).sum(1))
    values = np.array([direction.metadata["eigenvalue"] for direction in found])
    errors = np.abs(values / golden[f"{key}_values_sorted"][:8] - 1)
    print(key, 1 - cosines.min(), errors.max())
    assert cosines.min() > 1 - 1e-6 and errors.max() < 1e-6


def modulations(generator: Generator) -> list[np.ndarray]:
    """Weights of the layer that each style vector goes to, and of the first colours, [w_dim, channels] each."""
    blocks = generator.synthesis.blocks
    found = [blocks[0].conv1]
    for block in list(blocks)[1:]:
        found += [block.conv0, block.conv1]
    return [np.asarray(part.modulation.kernel[...]) for part in [*found, blocks[-1].to_rgb, blocks[0].to_rgb]]


def test_the_first_direction_changes_the_styles_of_its_layers_most():
    generator = stylegan2_of()
    *layers, _ = modulations(generator)
    for text, numbers in (("all", range(6)), ("1,3-4", (1, 3, 4)), ("5", (5,))):
        weights = np.concatenate([layers[k] for k in numbers], axis=1)
        weights /= np.linalg.norm(weights, axis=0)
        found = sefa.factorise(generator, text)
        changes = [np.square(direction.vector @ weights).sum() for direction in found]
        np.testing.assert_allclose(changes, [direction.metadata["eigenvalue"] for direction in found], atol=1e-5)
        assert max(np.diff(changes)) < 1e-6 and len(found) == 16
        random = np.random.default_rng(0).standard_normal((100, 16))
        assert np.square(random / np.linalg.norm(random, axis=1)[:, None] @ weights).sum(1).max() < changes[0]
        assert found[3].layers == (None if text == "all" else numbers) and found[3].name == "component3"


def test_the_unnormalised_form_is_the_singular_vectors_of_all_convolutions_and_the_first_colours():
    generator = stylegan2_of()
    *convolutions, _, first_colours = modulations(generator)
    stacked = np.concatenate([weight.T for weight in (*convolutions, first_colours)])  # as torch stores it
    _, values, right = np.linalg.svd(stacked)
    found = sefa.factorise_unnormalised(generator, count=5)
    assert len(found) == 5
    for direction, value, vector in zip(found, values[:5], right[:5], strict=True):
        assert abs(direction.vector @ vector) > 1 - 1e-5
        assert abs(direction.metadata["eigenvalue"] / value**2 - 1) < 1e-5
        assert direction.layers is None and direction.unit == 1


def test_stylegan_has_directions_of_scales_and_shifts():
    generator = stylegan_of()
    found = sefa.factorise(generator, "0-1", count=2)
    epilogues = generator.synthesis.blocks[0].epilogues
    weights = np.concatenate([np.asarray(epilogue.style.kernel[...]) for epilogue in epilogues], axis=1)
    left = np.linalg.svd(weights / np.linalg.norm(weights, axis=0))[0]
    assert abs(found[0].vector @ left[:, 0]) > 1 - 1e-5
    with pytest.raises(ValueError, match="got a StyleGAN; use `factorise`"):
        sefa.factorise_unnormalised(generator)  # pyright: ignore[reportArgumentType]


def test_layers_that_do_not_exist():
    with pytest.raises(ValueError, match=r"layers are \[4, 5, 6\], expected numbers from 0 to 5"):
        sefa.factorise(stylegan2_of(), "4-6")
