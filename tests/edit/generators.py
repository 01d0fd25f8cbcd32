"""Small generators with random weights, for what starts from one."""

import functools

from restyle_jax.nets import stylegan, stylegan2
from restyle_jax.nets.style_based import channel_widths
from tests import networks


@functools.cache
def stylegan2_of(resolution: int = 16, **fields) -> stylegan2.Generator:
    sizes = {"z_dim": 12, "w_dim": 16, "mapping_layers": 2, **fields}
    config = stylegan2.GeneratorConfig(resolution, channel_widths(resolution, 128, 16), **sizes)
    return networks.random(stylegan2.Generator, config)


@functools.cache
def stylegan_of(resolution: int = 16) -> stylegan.Generator:
    config = stylegan.GeneratorConfig(
        resolution, channel_widths(resolution, 128, 16), z_dim=12, w_dim=16, mapping_layers=2
    )
    return networks.random(stylegan.Generator, config)
