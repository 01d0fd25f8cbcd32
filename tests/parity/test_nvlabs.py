"""NVlabs/stylegan2-ada-pytorch at 64 px: plain, narrow and conditional networks, and a snapshot as its training writes it."""

import jax.numpy as jnp
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.convert.tables import nvlabs
from restyle_jax.nets.discriminators import Discriminator, DiscriminatorConfig
from restyle_jax.nets.structure import structure
from restyle_jax.nets.style_based import broadcast_styles, truncate
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig
from tests import networks, recipe

BOUND = 1e-4  # float32's own floor is about 5e-6
NAMES = ("stylegan2_64", "paper256_64", "paper256_64_cond")
BLOCKS = 5


def one_hot(count: int, labels: int) -> jnp.ndarray | None:
    return jnp.eye(labels)[jnp.arange(count) % labels] if labels else None


@pytest.mark.parametrize("name", NAMES)
def test_generator(name: str):
    manifest = networks.manifest(f"nvlabs_ada/{name}_G")
    source = recipe.build(manifest)
    w_avg = jnp.asarray(source.pop("mapping.w_avg"))
    arguments = manifest["args"]
    synthesis = arguments["synthesis_kwargs"]
    config = GeneratorConfig.nvlabs_ada(
        64,
        synthesis["channel_base"],
        synthesis["channel_max"],
        z_dim=arguments["z_dim"],
        w_dim=arguments["w_dim"],
        mapping_layers=arguments["mapping_kwargs"].get("num_layers", 8),
        label_dim=arguments["c_dim"],
        conv_clamp=synthesis.get("conv_clamp"),
    )
    table = nvlabs.generator(BLOCKS, config.mapping_layers, conditional=config.label_dim > 0)
    generator = networks.filled(structure(Generator, config), table, source)
    z = networks.latent(f"nv_{name}/z", (4, config.z_dim))
    labels = one_hot(4, config.label_dim)
    codes = broadcast_styles(generator.mapping(z, labels), config.num_styles)
    wplus = networks.latent(f"nv_{name}/wplus", (2, config.num_styles, config.w_dim), 0.5)

    def picture(w: jnp.ndarray, noise: str = "const") -> np.ndarray:
        return networks.nchw(networks.apply(generator, lambda g, w: g.synthesis(w, noise), w))

    pictures = picture(jnp.concatenate([codes, truncate(codes, w_avg, 0.7), wplus]))  # one compilation for all
    found = {
        "ws": codes[:, :1],
        "ws_trunc": truncate(codes, w_avg, 0.5, cutoff=3)[:, jnp.array([0, 2, 3, -1])],
        "img": pictures[:2],
        "img_trunc07": pictures[4:8],
        "img_nonoise": picture(codes, "none"),
        "img_wplus": pictures[8:],
    }
    networks.assert_parity(found, f"nvlabs_ada/{name}_G", BOUND)


@pytest.mark.parametrize("name", NAMES)
def test_discriminator(name: str):
    manifest = networks.manifest(f"nvlabs_ada/{name}_D")
    arguments = manifest["args"]
    config = DiscriminatorConfig.nvlabs_ada(
        64,
        arguments["channel_base"],
        arguments["channel_max"],
        label_dim=arguments["c_dim"],
        stddev_group=arguments["epilogue_kwargs"]["mbstd_group_size"],
        conv_clamp=arguments["conv_clamp"],
    )
    table = nvlabs.discriminator(BLOCKS - 1, config.mapping_layers, conditional=config.label_dim > 0)
    discriminator = networks.filled(structure(Discriminator, config), table, recipe.build(manifest))
    x = jnp.asarray(networks.nhwc(recipe.image(f"nv_{name}/x", 8, 3, 64, 64)))
    labels = one_hot(4, config.label_dim)
    labels = None if labels is None else jnp.tile(labels, (2, 1))

    def score(count: int) -> np.ndarray:
        own = None if labels is None else labels[:count]
        return networks.apply(discriminator, lambda d, x, c: d(x, c), x[:count], own)

    networks.assert_parity({"out_b8": score(8), "out_b2": score(2)}, f"nvlabs_ada/{name}_D", BOUND)


def test_snapshot():
    model = rs.load(networks.GOLDEN / "nvlabs_ada" / "snapshot_64.pkl")
    generator, w_avg = model.require_generator()
    assert model.discriminator is not None
    config = generator.config
    assert (config.channels, config.conv_clamp, config.nvlabs) == ((64, 64, 64, 32, 16), 256, True)
    assert (model.discriminator.config.stddev_group, model.discriminator.config.conv_clamp) == (8, 256)
    w = generator.mapping(networks.latent("nv_pkl/z", (2, 64)))
    pictures = networks.apply(generator, lambda g, w: g.synthesis(w), broadcast_styles(w, config.num_styles))
    x = jnp.asarray(networks.nhwc(recipe.image("nv_pkl/x", 4, 3, 64, 64)))
    scores = networks.apply(model.discriminator, lambda d, x: d(x), x)
    networks.assert_parity({"ws": w, "img": networks.nchw(pictures), "d_out": scores}, "nvlabs_ada/snapshot_64", BOUND)
    stored = recipe.build(networks.manifest("nvlabs_ada/snapshot_64"))["mapping.w_avg"]
    np.testing.assert_array_equal(np.asarray(w_avg), np.tile(stored, (10, 1)))
