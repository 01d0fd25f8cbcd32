"""Encoders: parity with the official classes, and what must hold for any weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from restyle_jax.checkpoints.sizes import encoder_table
from restyle_jax.convert.tables.encoders import heads as heads_table
from restyle_jax.nets import style_heads
from restyle_jax.nets.encoders import HEADS, OFFICIAL, Encoder, EncoderConfig, head_convs
from restyle_jax.nets.irse import IRSE, IRSEConfig
from restyle_jax.nets.resnet import ResNet, ResNetConfig
from restyle_jax.nets.structure import structure
from restyle_jax.nets.style_heads import StackedConv, StyleHeads
from restyle_jax.nets.trunks import TRUNKS, resize_align_corners
from restyle_jax.train.config import EncoderTraining
from tests import networks, recipe
from tests.networks import apply, nchw, nhwc

BOUND = 5e-5  # float32's own floor is 5e-6, by the same reference rerun in float64

# Each class once, with 14 to 18 styles, 3 and 6 channels, and the cars geometry.
GOLDENS = (
    "backbone_s18_c6",
    "gradual_s18_c3",
    "progressive_backbone_s14_c6",
    "resnet_backbone_s16_c6_cars",
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
    encoder = networks.filled(structure(Encoder, config), encoder_table(config), recipe.build(manifest))
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
        nnx.Dict(heads=structure(StyleHeads, 1, 512, 512, 4)), heads_table([("heads", 1, 4)]), weights
    )["heads"]
    found = apply(heads, _heads, jnp.asarray(nhwc(recipe.latent("ops/f", (2, 512, 16, 16)))))
    networks.assert_parity({"map2style": found[:, 0]}, "ops/primitives", BOUND)


def test_parity_of_the_pyramid_upsampling():
    x = jnp.asarray(nhwc(recipe.latent("ops/x", (2, 3, 7, 6))))
    networks.assert_parity({"bilinear_ac": nchw(resize_align_corners(x, 15, 12))}, "ops/primitives", 2e-6)


def num_parameters(kind: Callable[..., nnx.Module], *sizes: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(structure(kind, *sizes), nnx.Param)))


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
    assert num_parameters(Encoder, config) == expected


def test_official_parameter_counts_of_the_parts():
    assert num_parameters(IRSE, IRSEConfig(in_channels=3)) == 30_950_080
    assert num_parameters(ResNet, ResNetConfig(in_channels=6)) == 21_294_144
    for convs, expected in {4: 9_701_888, 5: 12_061_696, 6: 14_421_504}.items():
        assert num_parameters(StyleHeads, 1, 512, 512, convs) == expected


def test_torchvision_parameter_counts_of_the_other_depths():
    """torchvision's own counts without its classifier, plus the 64 slopes of the PReLU that replaces a ReLU."""
    for name, torchvision in {"resnet18": 11_689_512 - 513_000, "resnet50": 25_557_032 - 2_049_000}.items():
        assert num_parameters(ResNet, TRUNKS[name]) == torchvision + 64


def drawn(kind: Callable[..., nnx.Module], *sizes: Any, **options: Any) -> Any:
    """A network with random parameters and statistics of sensible size (its own initialisation compiles every draw)."""
    graph, state = nnx.split(structure(kind, *sizes, **options))
    generator = np.random.default_rng(0)

    def draw(name: str, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        value = generator.normal(size=leaf.shape)
        if name == "kernel":
            value /= np.sqrt(np.prod(leaf.shape[-4:-1])) if len(leaf.shape) > 3 else 1
        elif name != "count":
            value = 0.1 * value + {"scale": 1, "var": 1, "slope": 0.25}.get(name, 0)
        return jnp.asarray(0 * value if name == "count" else value, leaf.dtype)

    filled = [(path, leaf.replace(draw(path[-1], leaf.get_value()))) for path, leaf in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def tiny(head="fpn", num_styles=9, dtype=jnp.float32) -> Encoder:
    config = EncoderConfig(head, "resnet18", num_styles, in_channels=3, style_dim=32, width=8)
    return drawn(Encoder, config, dtype=dtype)


def image(batch: int = 2, height: int = 32, width: int = 48, channels: int = 3) -> jax.Array:
    return jnp.asarray(recipe.latent("image", (batch, height, width, channels)))


def output_shape(size: tuple[int, int], **fields) -> tuple[int, ...]:
    config = EncoderConfig(**{"in_channels": 4, "width": 16, "num_styles": 18, "trunk": "resnet18", **fields})
    x = jax.ShapeDtypeStruct((2, *size, 4), jnp.float32)
    graph, state = nnx.split(structure(Encoder, config))
    return jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, x).shape


@pytest.mark.parametrize("head", HEADS)
def test_shapes_of_every_head(head: str):
    assert output_shape((192, 256), head=head, style_dim=128) == (2, 18, 128)
    assert output_shape((50, 31), head=head, num_styles=5, style_dim=24) == (2, 5, 24)
    assert output_shape((512, 16), head=head, num_styles=1, style_dim=128, head_convs=5) == (2, 1, 128)
    assert output_shape((64, 64), head=head, num_styles=8, style_dim=24, head_convs=2, head_width=8) == (2, 8, 24)


@pytest.mark.parametrize(("side", "convs"), [(16, 1), (32, 1), (33, 2), (64, 2), (192, 4), (256, 4), (257, 5)])
def test_heads_have_as_many_convolutions_as_pictures_need(side: int, convs: int):
    assert head_convs(side) == convs
    wanted = EncoderTraining(head="fpn", trunk="resnet18", trunk_width=12, height=side // 2, width=side)
    encoder = wanted.encoder(8, 32)
    assert encoder == EncoderConfig("fpn", "resnet18", 8, 6, style_dim=32, width=12, head_convs=convs)
    assert encoder.max_size >= side


@pytest.mark.parametrize("trunk", TRUNKS)
def test_shapes_of_every_trunk(trunk: str):
    assert output_shape((64, 48), head="fpn", trunk=trunk, num_styles=8, style_dim=32) == (2, 8, 32)


TRUNKS_OF_EACH_KIND = pytest.mark.parametrize(
    ("kind", "config"),
    [(IRSE, IRSEConfig((1, 1, 2), width=16)), (ResNet, ResNetConfig((1, 1, 2), bottleneck=True, width=4))],
    ids=["irse", "resnet"],
)


@TRUNKS_OF_EACH_KIND
def test_a_trunk_alone_gives_the_end_of_each_group(kind: type[nnx.Module], config: Any):
    trunk = drawn(kind, config)
    shapes = [x.shape for x in trunk(image(1, 20, 33))]
    assert shapes == [(1, *size, c) for size, c in zip([(10, 17), (5, 9), (3, 5)], (16, 32, 64), strict=True)]


def test_a_batch_is_encoded_image_by_image():
    encoder, x = tiny(), image(4)
    together = np.asarray(apply(encoder, _encode, x))
    assert networks.error(apply(encoder, _encode, x[2:3]), together[2:3]) < 1e-5


@pytest.mark.parametrize("head", ["progressive", "fpn_progressive"])
def test_stages(head: str):
    """One compilation serves every stage; at stage i the styles up to i have their offsets, later ones equal style 0."""
    graph, params, stats = nnx.split(tiny(head), nnx.Param, nnx.BatchStat)
    x = image()
    encode = jax.jit(lambda params, stage: nnx.merge(graph, params, stats)(x, stage))
    every = encode(params, None)
    for stage in (0, 1, 5, 8, 18):
        styles = encode(params, stage)
        np.testing.assert_allclose(styles[:, : stage + 1], every[:, : stage + 1], atol=1e-6)
        np.testing.assert_array_equal(styles[:, stage + 1 :], np.repeat(styles[:, :1], max(8 - stage, 0), 1))
    assert encode._cache_size() == 2  # with and without a stage

    gradient = jax.jit(jax.grad(lambda params: jnp.square(encode(params, 3)).sum()))(params)
    stacks = ("heads",) if head == "progressive" else ("coarse", "middle", "fine")
    of_heads = [np.abs(gradient[stack]["linear"]["kernel"][...]).max((1, 2)) for stack in stacks]
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


@TRUNKS_OF_EACH_KIND
def test_train_mode_moves_every_statistic_once_per_call(kind: type[nnx.Module], config: Any):
    graph, params, stats = nnx.split(drawn(kind, config), nnx.Param, nnx.BatchStat)

    @jax.jit
    def one_call_for_each(stats, batches):
        def step(stats, x):
            trunk = nnx.merge(graph, params, stats, copy=True)
            trunk(x, train=True)
            return nnx.state(trunk, nnx.BatchStat), None

        return lax.scan(step, stats, batches)[0]

    after = one_call_for_each(stats, jnp.stack([image(), -image()]))
    moved = [
        (path, bool(leaf[...] == 2) if path[-1] == "count" else bool(jnp.all(leaf[...] != before[...])))
        for (path, leaf), (_, before) in zip(nnx.to_flat_state(after), nnx.to_flat_state(stats), strict=True)
    ]
    assert moved and all(changed for _, changed in moved), [path for path, changed in moved if not changed]


def assert_gradient_is_slope(module: nnx.Module, output: Callable[[Any], jax.Array]):
    """Along the gradient the loss rises by the squared norm of the gradient, per unit step, by finite differences."""
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def loss(params: nnx.State) -> jax.Array:
        return jnp.mean(jnp.square(output(nnx.merge(graph, params, rest, copy=True))))

    loss_and_gradient = jax.jit(jax.value_and_grad(loss))
    _, gradient = loss_and_gradient(params)
    norm = sum(float(jnp.sum(jnp.square(leaf))) for leaf in jax.tree.leaves(gradient)) ** 0.5
    step = 3e-4 / norm  # small, because every ReLU that changes sides on the way bends the line

    def moved(sign: int) -> float:
        return float(loss_and_gradient(jax.tree.map(lambda p, g: p + sign * step * g, params, gradient))[0])

    assert (moved(1) - moved(-1)) / (2 * step * norm**2) == pytest.approx(1, rel=0.02)


@TRUNKS_OF_EACH_KIND
def test_gradient_of_a_trunk_in_train_mode_is_its_slope(kind: type[nnx.Module], config: Any):
    assert_gradient_is_slope(drawn(kind, config), lambda trunk: trunk(image(), train=True)[-1])


def test_gradient_of_the_heads_is_their_slope():
    heads = drawn(StyleHeads, 3, 8, 8, 2)
    assert_gradient_is_slope(heads, lambda heads: heads(image(2, 4, 4, 8)))


def test_bfloat16_computes_nearly_the_same():
    exact, half = tiny("backbone"), tiny("backbone", dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype(jnp.float32)}
    styles = apply(half, _encode, image())
    assert styles.dtype == jnp.float32
    error = networks.error(styles, np.asarray(apply(exact, _encode, image())))
    print("bfloat16", error)
    assert error < 0.1


def test_wrong_inputs_are_named():
    encoder = tiny()
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
        IRSEConfig(width=24)
