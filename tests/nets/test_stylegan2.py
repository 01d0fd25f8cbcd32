"""StyleGAN2 generator: parity with the official code, and what must hold for any weights."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.convert.tables import stylegan2 as table
from restyle_jax.nets.structure import structure
from restyle_jax.nets.style_based import (
    broadcast_styles,
    channel_widths,
    mean_w,
    mix_styles,
    truncate,
    uniform_labels,
)
from restyle_jax.nets.stylegan2 import Generator, GeneratorConfig, Mapping
from restyle_jax.ops.layers import ModulatedConv, pixel_norm
from tests import networks, recipe
from tests.networks import apply, latent, nchw

BOUND = 5e-5  # float32's own floor is 5e-6, by the same reference rerun in float64


def official(name: str, resolution: int) -> Generator:
    config = GeneratorConfig.rosinality(resolution)
    rows = table.generator(len(config.channels), config.mapping_layers)
    return networks.filled(structure(Generator, config), rows, recipe.build(networks.manifest(f"sg2_generator/{name}")))


def _synthesis(net: Generator, w: jax.Array, noise="const"):
    return net.synthesis.image_and_features(w, noise)


def _without_noise(net: Generator, w: jax.Array):
    return net.synthesis.image_and_features(w, "none")


def image_and_features(generator: Generator, w: jax.Array, *noise):
    return apply(generator, _synthesis, w, *noise)


@pytest.mark.parametrize(("name", "resolution"), [("g32", 32), ("g256", 256), ("g1024", 1024)])
def test_parity_with_official_code(name: str, resolution: int):
    generator, prefix = official(name, resolution), f"sg2_{name}"
    styles = generator.config.num_styles
    batch = 1 if resolution == 1024 else 2

    w = generator.mapping(latent(f"{prefix}/z", (2, 512)))
    w_avg = generator.mapping(latent(f"{prefix}/zmean", (64, 512))).mean(0)
    truncated = truncate(broadcast_styles(w, styles), w_avg, 0.7)[:batch]
    found = {"w_from_z": w, "truncation_latent": w_avg[None], "lat_z_trunc": truncated[:, [0, -1]]}
    found["img_z_trunc"] = nchw(image_and_features(generator, truncated)[0])
    w_plus = latent(f"{prefix}/wplus", (2, styles, 512), 0.5)[:batch]
    image, features = image_and_features(generator, w_plus)
    found |= {"img_wplus": nchw(image), "feat_wplus": nchw(features[:1])}
    if resolution < 1024:
        index = networks.manifest(f"sg2_generator/{name}")["inject_index"]
        second = generator.mapping(latent(f"{prefix}/z2", (2, 512)))
        mixed = mix_styles(broadcast_styles(w, styles), broadcast_styles(second, styles), index)
        shapes = [conv.noise.shape for block in generator.synthesis.blocks for conv in block.convs]
        noise = [latent(f"{prefix}/noise{i}", (1, 1, *shape))[:, 0] for i, shape in enumerate(shapes)]
        single = broadcast_styles(latent(f"{prefix}/w", (2, 512), 0.5), styles)
        found |= {
            "lat_mix": mixed,
            "img_mix": nchw(image_and_features(generator, mixed)[0]),
            "img_w": nchw(image_and_features(generator, single)[0]),
            "img_explicit_noise": nchw(image_and_features(generator, w_plus, noise)[0]),
        }
    networks.assert_parity(found, f"sg2_generator/{name}", BOUND)


def small(resolution: int = 32, **fields) -> Generator:
    config = GeneratorConfig(resolution, channel_widths(resolution, 512, 16), z_dim=24, w_dim=32, **fields)
    return networks.random(Generator, config)


def synthesise(generator: Generator, w: jax.Array, *noise) -> jax.Array:
    return image_and_features(generator, w, *noise)[0]


def random_w(generator: Generator, batch: int = 2) -> jax.Array:
    config = generator.config
    return jax.random.normal(jax.random.key(1), (batch, config.num_styles, config.w_dim))


def test_parameter_counts():
    """The counts of the public models, noise maps left out."""
    for resolution, multiplier, count in ((256, 2, 30_034_338), (1024, 2, 30_370_060), (1024, 1, 24_900_764)):
        config = GeneratorConfig.rosinality(resolution, multiplier)
        state = nnx.state(structure(Generator, config), nnx.Param)
        assert sum(leaf.size for leaf in jax.tree.leaves(state)) == count


def test_demodulation_keeps_unit_variance():
    """With unit-variance inputs and any style, a demodulated convolution has outputs of unit variance (section 2.2)."""
    conv = small(64).synthesis.blocks[1].conv1
    x = jax.random.normal(jax.random.key(0), (8, 64, 64, 16))
    w = 3 * jax.random.normal(jax.random.key(1), (8, 32))
    deviation = ModulatedConv.__call__(conv, x, conv.modulation(w))[:, 1:-1, 1:-1].std(axis=(1, 2))
    assert np.abs(np.asarray(deviation) - 1).max() < 0.1


def test_truncation_zero_is_the_mean_image():
    generator = small()
    w_avg = mean_w(generator.mapping, jax.random.key(0), samples=64, chunk=16)
    w = broadcast_styles(generator.mapping(jax.random.normal(jax.random.key(1), (3, 24))), 8)
    truncated, mean = truncate(w, w_avg, 0.0), broadcast_styles(w_avg[None], 8)
    np.testing.assert_array_equal(truncated, jnp.broadcast_to(mean, w.shape))
    image = synthesise(generator, truncated)
    np.testing.assert_allclose(image, jnp.broadcast_to(synthesise(generator, mean), image.shape), atol=1e-5)
    # One by one, as last digits may depend on the place in a batch.
    np.testing.assert_array_equal(synthesise(generator, truncated[:1]), synthesise(generator, truncated[2:]))


def test_truncation_cutoff_leaves_later_styles():
    w, w_avg = jax.random.normal(jax.random.key(0), (2, 8, 32)), jnp.ones(32)
    truncated = truncate(w, w_avg, 0.5, cutoff=3)
    np.testing.assert_array_equal(truncated[:, 3:], w[:, 3:])
    np.testing.assert_allclose(truncated[:, :3], 1 + 0.5 * (w[:, :3] - 1), rtol=1e-6)


@pytest.mark.parametrize("index", [2, 4, 6])
def test_mixing_leaves_lower_resolutions_unchanged(index: int):
    """Styles from `index` on do not reach the blocks before index / 2: their activations stay the same, bit for bit."""
    generator = small(32)
    w = random_w(generator)
    other = mix_styles(w, random_w(generator)[::-1], index)
    blocks = list(generator.synthesis.blocks)[: index // 2]  # these use the styles 0 .. index - 1
    np.testing.assert_array_equal(features_of(blocks, generator, w), features_of(blocks, generator, other))
    assert np.abs(synthesise(generator, w) - synthesise(generator, other)).max() > 1e-3


def features_of(blocks, generator: Generator, w: jax.Array) -> jax.Array:
    x = jnp.broadcast_to(generator.synthesis.const[...], (len(w), *generator.synthesis.const.shape))
    styles = iter(generator.synthesis.styles(w))
    for block in blocks:
        for conv in block.convs:
            x = conv(x, next(styles), conv.noise[...])
        next(styles)  # of the colours
    return x


def test_a_row_of_a_batch_equals_batch_one():
    generator = small()
    w = random_w(generator, 4)
    images = synthesise(generator, w)
    np.testing.assert_allclose(images[2:3], synthesise(generator, w[2:3]), atol=2e-5)


def test_width_tables():
    """Channels by resolution: rosinality's table has no maximum, NVlabs's does."""
    assert GeneratorConfig.rosinality(1024).channels == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert GeneratorConfig.rosinality(128, 4).channels == (512, 512, 512, 512, 1024, 512)
    assert GeneratorConfig.nvlabs_ada(1024).channels == GeneratorConfig.rosinality(1024).channels
    assert GeneratorConfig.nvlabs_ada(64, 2048, 64).channels == (64, 64, 64, 64, 32)


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
@pytest.mark.parametrize("widths", [{"channel_multiplier": 1}, {"channel_base": 1024}, {"channel_max": 24}])
def test_every_size_and_width(resolution: int, widths: dict):
    make = GeneratorConfig.rosinality if "channel_multiplier" in widths else GeneratorConfig.nvlabs_ada
    config = make(resolution, **widths, z_dim=16, w_dim=16, mapping_layers=2)
    shapes = jax.eval_shape(
        lambda w: Generator(config, rngs=nnx.Rngs(0)).synthesis(w), jnp.zeros((1, config.num_styles, 16))
    )
    assert shapes.shape == (1, resolution, resolution, 3) and config.num_styles == 2 * resolution.bit_length() - 4
    if max(config.channels) <= 256:
        image = synthesise(networks.random(Generator, config), jnp.ones((1, config.num_styles, 16)))
        assert np.isfinite(image).all() and image.std() > 0


def test_noise_modes():
    generator = small()
    w = random_w(generator)
    const, none = synthesise(generator, w), apply(generator, _without_noise, w)[0]
    first, again, other = (synthesise(generator, w, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    for a, b in itertools.combinations((const, none, first, other), 2):
        assert np.abs(a - b).max() > 1e-2
    maps = [conv.noise[...] for block in generator.synthesis.blocks for conv in block.convs]
    np.testing.assert_array_equal(synthesise(generator, w, maps), const)
    per_sample = [jnp.stack([m, 0 * m]) for m in maps]
    np.testing.assert_allclose(synthesise(generator, w, per_sample), jnp.stack([const[0], none[1]]), atol=2e-5)


def test_conditional_mapping_uses_the_label():
    generator = small(label_dim=3)
    z = jax.random.normal(jax.random.key(0), (2, 24))
    first, second = (generator.mapping(z, jax.nn.one_hot(jnp.array([i, i]), 3)) for i in (0, 1))
    assert np.abs(first - second).max() > 1e-3
    assert mean_w(generator.mapping, jax.random.key(0), samples=8, chunk=4).shape == (32,)
    drawn = uniform_labels(jax.random.key(0), 3000, 3)
    assert drawn is not None and uniform_labels(jax.random.key(0), 3000, 0) is None
    np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=0.04)
    np.testing.assert_array_equal(drawn.sum(1), 1)
    with pytest.raises(ValueError, match=r"labels of shape \[B, 3\]"):
        generator.mapping(z)
    with pytest.raises(ValueError, match="takes no labels"):
        small().mapping(z, jnp.ones((2, 3)))


def test_mapping_without_layers_is_normalised_z():
    """And the normalised embedding of a label, if that stands alone."""
    z = jax.random.normal(jax.random.key(0), (2, 32))
    config = GeneratorConfig(8, (16, 16), z_dim=32, w_dim=32, mapping_layers=0)
    generator = networks.random(Generator, config)
    np.testing.assert_array_equal(generator.mapping(z), pixel_norm(z))
    assert not any("mapping" in path for path, _ in nnx.to_flat_state(nnx.state(generator)))
    alone = networks.random(Mapping, 0, 32, 0, 3)
    labels = jax.nn.one_hot(jnp.array([0, 2]), 3)
    np.testing.assert_array_equal(alone(None, labels), pixel_norm(alone.embed(labels)))
    for sizes in ({"z_dim": 24}, {"label_dim": 3}):
        with pytest.raises(
            ValueError, match=r"without layers has z and embedded labels of (24|64) numbers, expected 32"
        ):
            structure(Generator, dataclasses.replace(config, **sizes))


@pytest.mark.parametrize("label_dim", [0, 3])
@pytest.mark.parametrize("samples", [3, 10])
def test_mean_w_counts_every_sample_once(samples: int, label_dim: int):
    """The last chunk has the rest; each chunk has a key of its own."""
    mapping = small(8, label_dim=label_dim).mapping
    sizes = [4] * (samples // 4) + [samples % 4]
    codes = []
    for key, size in zip(jax.random.split(jax.random.key(0), len(sizes)), sizes, strict=True):
        key_z, key_label = jax.random.split(key)
        labels = jax.nn.one_hot(jax.random.randint(key_label, (size,), 0, 3), 3) if label_dim else None
        codes.append(mapping(jax.random.normal(key_z, (size, 24)), labels))
    expected = jnp.concatenate(codes).mean(0)
    np.testing.assert_allclose(mean_w(mapping, jax.random.key(0), samples, chunk=4), expected, atol=1e-5)


def test_mean_w_does_not_depend_on_chunks_beyond_rounding():
    mapping = small().mapping
    mean = mean_w(mapping, jax.random.key(0), samples=20_000, chunk=10_000)
    other = mean_w(mapping, jax.random.key(1), samples=20_000, chunk=1_000)
    spread = mapping(jax.random.normal(jax.random.key(2), (1000, 24))).std()
    assert np.abs(mean - other).max() < 6 * spread / np.sqrt(10_000)


def test_clamp_bounds_activations():
    generator = small(conv_clamp=0.25)
    image, features = image_and_features(generator, 10 * random_w(generator))
    assert np.abs(features).max() <= 0.25 and np.abs(image).max() <= 0.25 * 4


def test_gradient_equals_finite_differences():
    generator = small(8)
    w = random_w(generator, 1)
    probe = jax.random.normal(jax.random.key(3), (1, 8, 8, 3))

    def score(w):
        return jnp.vdot(synthesise(generator, w), probe)

    direction = jax.random.normal(jax.random.key(4), w.shape)
    analytic = jnp.vdot(jax.grad(score)(w), direction)
    step = 1e-3  # small enough that hardly any activation changes sign
    numeric = (score(w + step * direction) - score(w - step * direction)) / (2 * step)
    np.testing.assert_allclose(analytic, numeric, rtol=2e-2)


def test_bfloat16_stays_near_float32():
    generator = small()
    low = networks.random(Generator, generator.config, dtype=jnp.bfloat16)
    w = random_w(generator)
    image, rounded = synthesise(generator, w), synthesise(low, w)
    assert rounded.dtype == jnp.float32
    assert networks.error(rounded, np.asarray(image)) < 0.1


def test_wrong_inputs_are_named():
    generator = small()
    with pytest.raises(ValueError, match=r"w has shape \(2, 32\), expected \[B, 8, 32\]"):
        generator.synthesis(jnp.zeros((2, 32)))
    with pytest.raises(ValueError, match="got 3 noise maps, expected 7"):
        generator.synthesis(random_w(generator), [jnp.zeros((4, 4))] * 3)
    with pytest.raises(ValueError, match="noise is 'random'"):
        generator.synthesis(random_w(generator), "random")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="resolution 24 cannot have"):
        GeneratorConfig(24, (8, 8, 8))
    with pytest.raises(ValueError, match="resolution 4 "):
        GeneratorConfig(4, (8,))


def _styles(net: Generator, w: jax.Array):
    return net.synthesis.styles(w)


def _from_styles(net: Generator, styles: list[jax.Array]):
    return net.synthesis.from_styles(styles)


@pytest.mark.parametrize("fields", [{}, {"nvlabs": True, "conv_clamp": 1.0}])
def test_synthesis_from_styles_equals_synthesis_from_codes_bit_for_bit(fields: dict):
    """In programs of their own, with the styles rounded to float32 between them."""
    generator = small(**fields)
    w = random_w(generator)
    styles = apply(generator, _styles, w)
    assert tuple(style.shape[1] for style in styles) == generator.config.style_widths
    for found, expected in zip(apply(generator, _from_styles, styles), image_and_features(generator, w), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_style_changes_its_own_layer_and_what_follows():
    """The last style is that of the last colours: it leaves the activations of the last convolution."""
    generator = small()
    styles = apply(generator, _styles, random_w(generator))
    image, features = apply(generator, _from_styles, styles)
    for entry in range(len(styles)):
        changed = [style + 1 if i == entry else style for i, style in enumerate(styles)]
        other_image, other_features = apply(generator, _from_styles, changed)
        assert np.abs(other_image - image).max() > 1e-3
        to_colours = entry % 3 == 1
        assert bool((other_features == features).all()) == to_colours


def test_the_styles_of_the_published_generator_are_those_of_stylespace():
    config = GeneratorConfig.rosinality(1024)
    widths = config.style_widths
    assert len(widths) == 26 and sum(widths) == 9088
    assert sum(width for i, width in enumerate(widths) if i % 3 != 1) == 6048
    assert widths[:6] == (512,) * 6 and widths[-3:] == (64, 32, 32)


def test_styles_of_another_generator():
    generator = small()
    styles = [jnp.ones((1, width)) for width in small(16).config.style_widths]
    with pytest.raises(ValueError, match=r"styles have widths .*expected .* for this 32-px generator"):
        generator.synthesis.from_styles(styles)
    with pytest.raises(ValueError, match="expected"):
        generator.synthesis.styles(jnp.ones((1, 3, 32)))
