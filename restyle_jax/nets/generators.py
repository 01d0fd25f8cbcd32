"""The generators that a model may have."""

from restyle_jax.nets import stylegan, stylegan2

Generator = stylegan.Generator | stylegan2.Generator
GeneratorConfig = stylegan.GeneratorConfig | stylegan2.GeneratorConfig

ARCHITECTURES: dict[str, type[GeneratorConfig]] = {
    "stylegan": stylegan.GeneratorConfig,
    "stylegan2": stylegan2.GeneratorConfig,
}
