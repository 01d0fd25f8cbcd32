"""Encoders: parity with the official classes, and what must hold for any weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from restyle_jax.checkpoints.sizes import encoder_table
from restyle_jax.convert.tables.encoders import heads as heads_table
from restyle_jax.nets import style_heads
from restyle_jax.nets.encoders import HEADS, OFFICIAL, TRUNKS, Encoder, EncoderConfig, resize_align_corners
from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.resnet import ResNet, ResNetConfig
from restyle_jax.nets.style_heads import StackedConv, StyleHeads
from tests import networks, recipe
from tests.networks import apply, nchw, nhwc

BOUND = 5e-5  # float32's own floor is 5e-6, by the same reference rerun in float64

GOLDENS = (
    "backbone_s14_c6",
    "backbone_s18_c6",
    "gradual_s14_c6",
    "gradual_s18_c3",
    "progressive_backbone_s14_c6",
    "progressive_backbone_s18_c6",
    "resnet_backbone_s14_c6",
    "resnet_backbone_s16_c6_cars",
    "resnet_gradual_s14_c3",
    "resnet_gradual_s14_c6",
    "resnet_progressive_backbone_s14_c6",
)


def _encode(encoder: Encoder, x: jax.Array, stage=None) -> jax.Array:
    return encoder(x, stage)


def _encode_with_body(encoder: Encoder, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return encoder(x), encoder.trunk(x)[-1]


@pytest.mark.parametrize("name", GOLDENS)
def test_parity_with_official_classes(name: str):
    manifest = networks.manifest(f"restyle_encoders/{name}")
    head, trunk = OFFICIAL[manifest["cls"]]
    config = EncoderConfig(head, trunk, manifest["args"]["n_styles"], manifest["args"]["input_nc"])
    encoder = networks.filled(lambda: Encoder(config, rngs=nnx.Rngs(0)), encoder_table(config), recipe.build(manifest))
    height = 192 if name.endswith("cars") else 256
    x = jnp.asarray(nhwc(recipe.image(f"enc_{name}/x", 2, config.in_channels, height, 256)))
    if config.progressive:
        stages = [key for key in manifest["outputs"] if key.startswith("latents_stage")]
        found = {key: apply(encoder, _encode, x, jnp.int32(key.removeprefix("latents_stage"))) for key in stages}
    else:
        latents, body_out = apply(encoder, _encode_with_body, x)
        found = {"latents": latents, "body_out": nchw(body_out)}
    networks.assert_parity(found, f"restyle_encoders/{name}", BOUND)


def _heads(heads: StyleHeads, x: jax.Array) -> jax.Array:
    return heads(x)


def test_parity_of_one_style_head():
    weights = {f"styles.0.{key}": value for key, value in recipe.build(networks.manifest("ops/primitives")).items()}
    heads = networks.filled(
        lambda: nnx.Dict(heads=StyleHeads(1, 512, 4, rngs=nnx.Rngs(0))), heads_table([("heads", 1, 4)]), weights
    )["heads"]
    found = apply(heads, _heads, jnp.asarray(nhwc(recipe.latent("ops/f", (2, 512, 16, 16)))))
    networks.assert_parity({"map2style": found[:, 0]}, "ops/primitives", BOUND)


def test_parity_of_the_pyramid_upsampling():
    x = jnp.asarray(nhwc(recipe.latent("ops/x", (2, 3, 7, 6))))
    networks.assert_parity({"bilinear_ac": nchw(resize_align_corners(x, 15, 12))}, "ops/primitives", 2e-6)


def num_parameters(make) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(nnx.eval_shape(make), nnx.Param)))


@pytest.mark.parametrize(
    ("name", "num_styles", "in_channels", "expected"),
    [
        ("BackboneEncoder", 18, 6, 205_585_792),
        ("ProgressiveBackboneEncoder", 18, 6, 205_585_792),
        ("ResNetBackboneEncoder", 18, 6, 195_928_128),
        ("ResNetBackboneEncoder", 16, 6, 176_524_352),
        ("ResNetProgressiveBackboneEncoder", 14, 6, 157_120_576),
        ("GradualStyleEncoder", 18, 1, 267_135_552),
        ("GradualStyleEncoder", 18, 3, 267_136_704),
        ("GradualStyleEncoder", 18, 6, 267_138_432),
        ("GradualStyleEncoder", 18, 19, 267_145_920),
        ("ResNetGradualStyleEncoder", 18, 6, 257_480_768),
        ("ResNetGradualStyleEncoder", 16, 6, 228_637_760),
        ("ResNetGradualStyleEncoder", 14, 6, 199_794_752),
        ("Encoder4Editing", 18, 3, 267_136_704),
        ("Encoder4Editing", 16, 3, 238_293_696),
        ("Encoder4Editing", 14, 3, 209_450_688),
    ],
)
def test_official_parameter_counts(name: str, num_styles: int, in_channels: int, expected: int):
    config = EncoderConfig(*OFFICIAL[name], num_styles, in_channels)
    assert num_parameters(lambda: Encoder(config, rngs=nnx.Rngs(0))) == expected


def test_official_parameter_counts_of_the_parts():
    for channels, expected in ((3, 30_950_080), (6, 30_951_808)):
        config = IRSEConfig(in_channels=channels)
        assert num_parameters(functools.partial(IRSE, config, rngs=nnx.Rngs(0))) == expected
    assert num_parameters(lambda: ResNet(ResNetConfig(in_channels=6), rngs=nnx.Rngs(0))) == 21_294_144
    for convs, expected in ((4, 9_701_888), (5, 12_061_696), (6, 14_421_504)):
        assert num_parameters(functools.partial(StyleHeads, 1, 512, convs, rngs=nnx.Rngs(0))) == expected


def test_torchvision_parameter_counts_of_the_other_depths():
    """torchvision's own counts without its classifier, plus the 64 slopes of the PReLU that replaces a ReLU."""
    for name, torchvision in (("resnet18", 11_689_512 - 513_000), ("resnet50", 25_557_032 - 2_049_000)):
        assert num_parameters(functools.partial(ResNet, TRUNKS[name], rngs=nnx.Rngs(0))) == torchvision + 64


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("head", HEADS)
def test_every_combination_has_k_styles(head: str, trunk: str):
    def output(num_styles: int, style_dim: int, size: tuple[int, int], head_convs: int = 4) -> jax.ShapeDtypeStruct:
        config = EncoderConfig(
            head, trunk, num_styles, in_channels=4, style_dim=style_dim, width=16, head_convs=head_convs
        )
        x = jax.ShapeDtypeStruct((2, *size, 4), jnp.float32)
        return jax.eval_shape(lambda x: Encoder(config, rngs=nnx.Rngs(0))(x), x)

    assert output(18, 128, (192, 256)).shape == (2, 18, 128)
    assert output(5, 24, (50, 31)).shape == (2, 5, 24)
    assert output(1, 128, (512, 16), head_convs=5).shape == (2, 1, 128)


def tiny(head: str = "fpn", trunk: str = "irse50", num_styles: int = 9, dtype=jnp.float32, **fields) -> Encoder:
    fields = {"in_channels": 3, "style_dim": 32, "width": 16, **fields}
    return Encoder(EncoderConfig(head, trunk, num_styles, **fields), dtype=dtype, rngs=nnx.Rngs(0))


def image(batch: int = 2, height: int = 32, width: int = 48, channels: int = 3) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (batch, height, width, channels))


@pytest.mark.parametrize(("head", "trunk"), [("fpn", "irse50"), ("progressive", "resnet50")])
def test_a_batch_is_encoded_image_by_image(head: str, trunk: str):
    encoder, x = tiny(head, trunk), image(4)
    together = np.asarray(apply(encoder, _encode, x))
    assert networks.error(apply(encoder, _encode, x[2:3]), together[2:3]) < 1e-5


@pytest.mark.parametrize("head", ["progressive", "fpn_progressive"])
def test_stages(head: str):
    """One compilation serves every stage; at stage i the styles up to i have their offsets, later ones equal style 0."""
    encoder, x = tiny(head, "resnet18"), image()
    graph, state = nnx.split(encoder)
    encode = jax.jit(lambda state, x, stage: nnx.merge(graph, state)(x, stage))
    every = encode(state, x, None)
    for stage in (0, 1, 5, 8, 18):
        styles = encode(state, x, stage)
        np.testing.assert_allclose(styles[:, : stage + 1], every[:, : stage + 1], atol=1e-6)
        np.testing.assert_array_equal(styles[:, stage + 1 :], np.repeat(styles[:, :1], max(8 - stage, 0), 1))
    assert encode._cache_size() == 2  # with and without a stage

    gradient = jax.grad(lambda state: jnp.square(nnx.merge(graph, state)(x, 3)).sum())(state)
    if head == "progressive":
        of_heads = [np.abs(gradient["heads"]["linear"]["kernel"][...]).max((1, 2))]
    else:
        parts = (gradient[level]["linear"]["kernel"][...] for level in ("coarse", "middle", "fine"))
        of_heads = [np.abs(part).max((1, 2)) for part in parts]
    np.testing.assert_array_equal(np.concatenate(of_heads) > 0, np.arange(9) <= 3)


@pytest.mark.parametrize("repeated", [0, 10**6])
def test_stacked_convolutions_are_independent_ones(repeated: int, monkeypatch: pytest.MonkeyPatch):
    """Both ways of treating a common input, and separate inputs, equal K single convolutions; odd sizes too."""
    monkeypatch.setattr(style_heads, "MAX_REPEATED_POSITIONS", repeated)
    stack = StackedConv(3, 4, dtype=jnp.float32, rngs=nnx.Rngs(0))
    separate = jax.random.normal(jax.random.key(0), (3, 2, 7, 6, 4))

    def single(index: int, x: jax.Array) -> jax.Array:
        kernel, bias = stack.kernel[index], stack.bias[index]
        pads = ((1, 1), (1, 1))
        return lax.conv_general_dilated(x, kernel, (2, 2), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias

    np.testing.assert_allclose(stack(separate), [single(i, separate[i]) for i in range(3)], atol=1e-5)
    np.testing.assert_allclose(stack(separate[0]), [single(i, separate[0]) for i in range(3)], atol=1e-5)


@pytest.mark.parametrize(("head", "trunk"), [("backbone", "irse50"), ("fpn_progressive", "resnet50")])
def test_train_mode_moves_every_statistic_once_per_call(head: str, trunk: str):
    graph, params, stats = nnx.split(tiny(head, trunk), nnx.Param, nnx.BatchStat)

    @jax.jit
    def two_calls(params, stats, x):
        for _ in range(2):
            encoder = nnx.merge(graph, params, stats, copy=True)
            encoder(x, train=True)
            stats = nnx.state(encoder, nnx.BatchStat)
        return stats

    after = two_calls(params, stats, image())
    moved = [
        (path, (leaf[...] == 2) if path[-1] == "count" else np.any(leaf[...] != before[...]))
        for (path, leaf), (_, before) in zip(nnx.to_flat_state(after), nnx.to_flat_state(stats), strict=True)
    ]
    assert moved and all(changed for _, changed in moved), [path for path, changed in moved if not changed]


@pytest.mark.parametrize("train", [False, True])
def test_gradient_is_the_slope(train: bool):
    """Along the gradient the loss rises by the squared norm of the gradient, per unit step, by finite differences."""
    graph, params, rest = nnx.split(tiny("fpn", "resnet18", num_styles=8), nnx.Param, ...)
    x = image(2, 64, 64)

    @jax.jit
    def loss(params):
        return jnp.mean(jnp.square(nnx.merge(graph, params, rest, copy=True)(x, train=train)))

    gradient = jax.jit(jax.grad(loss))(params)
    norm = sum(float(jnp.sum(jnp.square(leaf))) for leaf in jax.tree.leaves(gradient)) ** 0.5
    step = 1e-2 / norm

    def moved(sign: int) -> float:
        return float(loss(jax.tree.map(lambda p, g: p + sign * step * g, params, gradient)))

    assert (moved(1) - moved(-1)) / (2 * step * norm**2) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("trunk", ["irse50", "resnet34"])
def test_bfloat16_computes_nearly_the_same(trunk: str):
    encoder, half = tiny("fpn", trunk), tiny("fpn", trunk, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype(jnp.float32)}
    styles = apply(half, _encode, image())
    assert styles.dtype == jnp.float32
    # Measured 0.015 to 0.03: eight bits of mantissa through some fifty layers.
    assert networks.error(styles, np.asarray(apply(encoder, _encode, image()))) < 0.1


def test_wrong_inputs_are_named():
    encoder = tiny("fpn")
    with pytest.raises(ValueError, match=r"3 channels and at most 256 x 256.*6 channels and 32 x 48"):
        encoder(image(channels=6))
    with pytest.raises(ValueError, match=r"at most 256 x 256.*16 x 257"):
        encoder(image(1, 16, 257))
    with pytest.raises(ValueError, match="'fpn' head has no progressive stage"):
        encoder(image(), stage=3)


def test_wrong_configs_are_named():
    with pytest.raises(ValueError, match="unknown head 'gradual'; there is backbone, progressive, fpn"):
        EncoderConfig("gradual", "irse50", 18)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="unknown trunk 'vgg'; there is irse50"):
        EncoderConfig("fpn", "vgg", 18)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="num_styles=0"):
        EncoderConfig("fpn", "irse50", 0)
    with pytest.raises(ValueError, match="multiple of 16"):
        tiny(width=24)
