"""Properties of LPIPS, the face network and the MoCo network; parity is in tests/losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.moco import MoCoNetwork
from restyle_jax.nets.perceptual import LPIPS
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.structure import structure
from restyle_jax.ops.normalization import unit_norm
from restyle_jax.ops.pooling import nearest
from tests import networks


def lpips(dtype: jax.typing.DTypeLike = jnp.float32) -> LPIPS:
    module = networks.random(LPIPS, "alex", dtype=dtype)
    for weights in module.weights:
        weights[...] = jnp.abs(weights[...])
    return module


def pictures(count: int, height: int = 48, width: int = 64) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (count, height, width, 3)), jnp.float32)


def distance(net: LPIPS, y: jax.Array, x: jax.Array) -> jax.Array:
    return net(y, x)


def slope(net: LPIPS, y: jax.Array, x: jax.Array) -> jax.Array:
    return jax.grad(lambda y: net(y, x).sum())(y)


def test_lpips_is_a_symmetric_distance_of_each_pair():
    module, y, x = lpips(), pictures(3), pictures(6)[3:]
    found = networks.apply(module, distance, y, x)
    assert found.shape == (3,) and found.dtype == jnp.float32 and (found > 0).all()
    np.testing.assert_allclose(networks.apply(module, distance, x, y), found, rtol=1e-6)
    changed = networks.apply(module, distance, y.at[0].set(0.5), x)
    np.testing.assert_array_equal(changed[1:], found[1:])
    assert changed[0] != found[0]


def test_lpips_at_equal_and_at_constant_pictures():
    module, y = lpips(), pictures(2)
    assert not networks.apply(module, distance, y, y).any()
    flat = jnp.stack([jnp.zeros(y.shape[1:]), jnp.ones(y.shape[1:])])
    for a, b in ((y, y), (flat, flat), (flat, y), (y, flat)):
        assert np.isfinite(networks.apply(module, slope, a, b)).all()
    # features that are zero everywhere have no direction
    dead = lpips()
    dead.layers[0].bias[...] -= 100.0
    assert np.isfinite(networks.apply(dead, slope, y, flat)).all()


def test_unit_norm_at_zero():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit_norm(x), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: (unit_norm(x) * jnp.array([1.0, 2.0])).sum()))(x)
    assert np.isfinite(gradient).all() and not gradient[1].any()


def test_bfloat16_stays_near_float32():
    y, x = pictures(2), pictures(4)[2:]
    exact = networks.apply(lpips(), distance, y, x)
    rounded = networks.apply(lpips(jnp.bfloat16), distance, y, x)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, rtol=0.05)


def embed(net: FaceNetwork | MoCoNetwork, x: jax.Array) -> jax.Array:
    return net(x)


def test_face_network_sees_the_crop_only():
    net = networks.random(FaceNetwork, IRSEConfig((1, 1, 1, 1), width=16))
    x = pictures(2, 256, 256)
    found = networks.apply(net, embed, x)
    assert found.shape == (2, 128)
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    outside = x.at[:, :35].set(1).at[:, 223:].set(1).at[:, :, :32].set(1).at[:, :, 220:].set(1)
    np.testing.assert_array_equal(networks.apply(net, embed, outside), found)
    inside = (x.at[:, 35, 32:220].set(1), x.at[:, 222, 32:220].set(1), x.at[:, 40, 32].set(1), x.at[:, 40, 219].set(1))
    for changed in inside:
        assert (networks.apply(net, embed, changed) != found).any()


def test_moco_network_takes_any_size():
    net = networks.random(MoCoNetwork, ResNetConfig((1, 1, 1, 1), True, 3, 8, True))
    found = networks.apply(net, embed, pictures(1, 64, 96))
    assert found.shape == (1, 256)
    np.testing.assert_allclose(jnp.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    resized = nearest(pictures(1, 64, 96), 224, 224)
    np.testing.assert_allclose(networks.apply(net, embed, resized), found, atol=1e-6)


def test_moco_network_normalises_if_asked():
    """Pictures in [0, 1] by the mean and standard deviation of ImageNet, as MoCo's own training."""
    sizes, x = ResNetConfig((1, 1, 1, 1), True, 3, 8, True), pictures(1, 64, 96)
    as_published, normalising = (networks.random(MoCoNetwork, sizes, normalise=on) for on in (False, True))
    seen = ((x + 1) / 2 - jnp.array([0.485, 0.456, 0.406])) / jnp.array([0.229, 0.224, 0.225])
    found, expected = networks.apply(normalising, embed, x), networks.apply(as_published, embed, seen)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - networks.apply(as_published, embed, x)).max() > 1e-3


def test_wrong_input_is_named():
    with pytest.raises(
        ValueError, match=r"shape \(1, 16, 64, 3\), expected \[B, H, W, 3\] with H and W of at least 32"
    ):
        lpips()(pictures(1, 16, 64), pictures(1, 16, 64))
    with pytest.raises(ValueError, match="no LPIPS with the network 'resnet', expected one of alex, vgg, squeeze"):
        LPIPS("resnet", rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]
    face = structure(FaceNetwork)
    with pytest.raises(ValueError, match=r"shape \(1, 192, 256, 3\), expected \[B, 256, 256, 3\]"):
        face(pictures(1, 192, 256))
    moco = structure(MoCoNetwork)
    with pytest.raises(ValueError, match=r"shape \(64, 64, 3\), expected \[B, H, W, 3\]"):
        moco(pictures(1, 64, 64)[0])
