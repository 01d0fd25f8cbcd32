"""Encoders that start from published trunks."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import restyle_jax as rs
from restyle_jax.checkpoints import with_weights
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.trunks import ExtraChannels
from restyle_jax.nets.encoders import Encoder, EncoderConfig
from tests import networks, official

RESNET34_LAYERS = (3, 4, 6, 3)


def face_file() -> official.State:
    """As model_ir_se50.pth: no batch counts, and the embedding on top."""
    entries = official.resized(official.entries(official.ENCODERS["GradualStyleEncoder"]), resolution=32)
    state = official.values([entry for entry in entries if entry[0].startswith(("input_layer", "body"))])
    state = official.without(state, *(key for key in state if key.endswith("num_batches_tracked")))
    return {**state, "output_layer.0.weight": np.zeros(128, np.float32), "output_layer.3.weight": np.zeros((4, 9))}


def torchvision_file() -> official.State:
    """As resnet34-333f7ec4.pth, in torchvision's names."""
    entries = official.resized(official.entries("restyle_encoders/resnet_gradual_s14_c3"), resolution=32)
    state = official.values([entry for entry in entries if entry[0].startswith(("conv1", "bn1", "body"))])
    places = [(stage + 1, place) for stage, size in enumerate(RESNET34_LAYERS) for place in range(size)]

    def named(key: str) -> str:
        return re.sub(r"^body\.(\d+)", lambda match: "layer{}.{}".format(*places[int(match[1])]), key)

    return {named(key): value for key, value in state.items()} | {"fc.weight": np.zeros((10, 128), np.float32)}


def encoder(trunk: str, in_channels: int = 6) -> Encoder:
    config = EncoderConfig("backbone", trunk, num_styles=4, in_channels=in_channels, style_dim=128, width=16)  # pyright: ignore[reportArgumentType]
    return networks.random(Encoder, config)


def test_face_network(tmp_path: Path):
    state, start = face_file(), encoder("irse50")
    before = flat_arrays(start)
    after = flat_arrays(rs.load_trunk(official.write(tmp_path / "a.pt", state), start, extra_channels="zero"))
    kernel = after["trunk.input_layer.conv.kernel"]
    np.testing.assert_array_equal(kernel[:, :, :3], state["input_layer.0.weight"].transpose(2, 3, 1, 0))
    assert not kernel[:, :, 3:].any()
    np.testing.assert_array_equal(after["trunk.body.20.norm2.var"], state["body.20.res_layer.4.running_var"])
    assert after["trunk.body.20.norm2.count"] == 0
    unchanged = flat_arrays(start)
    for name, array in before.items():
        np.testing.assert_array_equal(unchanged[name], array)
        if not name.startswith("trunk."):
            np.testing.assert_array_equal(after[name], array)


@pytest.mark.parametrize("wrapped", [False, True], ids=["torchvision", "moco"])
def test_resnet(wrapped: bool, tmp_path: Path):
    tree: dict = torchvision_file()
    state = tree
    if wrapped:
        moco = {f"module.encoder_q.{key}": value for key, value in tree.items()}
        tree = {"epoch": 800, "arch": "resnet50", "state_dict": {**moco, "module.queue": np.zeros((2, 3), np.float32)}}
    after = flat_arrays(rs.load_trunk(official.write(tmp_path / "a.pt", tree), encoder("resnet34", 3)))
    np.testing.assert_array_equal(
        after["trunk.body.9.conv2.kernel"], state["layer3.2.conv2.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(after["trunk.body.13.downsample_norm.scale"], state["layer4.0.downsample.1.weight"])
    assert (after["trunk.input_layer.prelu.slope"] == 0.25).all()
    assert after["trunk.body.9.norm1.count"] == state["layer3.2.bn1.num_batches_tracked"]


def test_extra_channels(tmp_path: Path):
    path, start = official.write(tmp_path / "a.pt", torchvision_file()), encoder("resnet34")

    def kernel(**kwargs) -> np.ndarray:
        return flat_arrays(rs.load_trunk(path, start, **kwargs))["trunk.input_layer.conv.kernel"]

    copied = kernel(extra_channels="copy")
    np.testing.assert_array_equal(copied[:, :, 3:], copied[:, :, :3])
    drawn, again = kernel(), kernel(key=jax.random.key(1))
    np.testing.assert_array_equal(drawn[:, :, :3], copied[:, :, :3])
    assert abs(drawn[:, :, 3:].std() - 1) < 0.1 and (drawn[:, :, 3:] != again[:, :, 3:]).all()
    own = {name: array for name, array in flat_arrays(start).items() if name.startswith("trunk.input_layer.")}
    found = flat_arrays(rs.load_trunk(path, start, extra_channels="fresh"))
    assert len(own) == 7 and all((found[name] == array).all() for name, array in own.items())
    sketch = rs.load_trunk(path, encoder("resnet34", 1), extra_channels="fresh")
    np.testing.assert_array_equal(
        flat_arrays(sketch)["trunk.body.0.conv1.kernel"],
        flat_arrays(rs.load_trunk(path, start))["trunk.body.0.conv1.kernel"],
    )
    with pytest.raises(ValueError, match="extra_channels is 'none'"):
        kernel(extra_channels="none")


@pytest.mark.parametrize(("trunk", "in_channels"), [("resnet18", 6), ("irse50", 6), ("resnet34", 1)])
def test_other_trunks_are_refused(trunk: str, in_channels: int, tmp_path: Path):
    path = official.write(tmp_path / "a.pt", torchvision_file())
    with pytest.raises(rs.CheckpointError, match=f"expected {trunk} of width 16 with at most {in_channels}"):
        rs.load_trunk(path, encoder(trunk, in_channels))


def test_whole_checkpoints_are_refused(tmp_path: Path):
    path = official.write(tmp_path / "a.pt", {"g_ema": official.generator(resolution=8)})
    with pytest.raises(rs.CheckpointError, match=r"restyle_jax\.load"):
        rs.load_trunk(path, encoder("resnet34"))


def test_tensors_that_do_not_fit_are_listed(tmp_path: Path):
    state = torchvision_file()
    del state["layer2.1.conv1.weight"], state["bn1.bias"]
    with pytest.raises(rs.CheckpointError, match=r"missing +bn1\.bias[^$]*missing +layer2\.1\.conv1\.weight"):
        rs.load_trunk(official.write(tmp_path / "a.pt", state), encoder("resnet34"))
    for whole, first, trunk in ((state, "conv1.weight", "resnet34"), (face_file(), "input_layer.0.weight", "irse50")):
        path = official.write(tmp_path / "a.pt", official.without(whole, first))
        with pytest.raises(rs.CheckpointError, match=rf"missing +{first} \(16, 3, \d, \d\)"):
            rs.load_trunk(path, encoder(trunk))


def test_a_single_pass_as_the_start_of_a_refining_encoder():
    """With "zero" it does not look at the reconstruction yet."""
    start, fresh = encoder("resnet34", 3), encoder("resnet34", 6)
    x = jax.random.uniform(jax.random.key(0), (1, 64, 64, 6), minval=-1)

    def started(extra_channels: ExtraChannels, seed: int = 0) -> Encoder:
        made = with_weights(fresh, start, extra_channels=extra_channels, key=jax.random.key(seed))
        assert isinstance(made, Encoder) and made.config == fresh.config
        return made

    def kernel(made: Encoder) -> np.ndarray:
        return np.asarray(made.trunk.input_layer.conv.kernel[...])

    np.testing.assert_allclose(started("zero")(x), start(x[..., :3]), atol=1e-5)
    np.testing.assert_array_equal(kernel(started("copy"))[:, :, 3:], kernel(start))
    drawn, again = (kernel(started("normal", seed)) for seed in (0, 1))
    np.testing.assert_array_equal(drawn[:, :, :3], kernel(start))
    assert (drawn[:, :, 3:] != again[:, :, 3:]).all()
    found, own, other = (flat_arrays(made) for made in (started("fresh"), fresh, start))
    for name, array in found.items():
        expected = own if name.startswith("trunk.input_layer.") else other
        np.testing.assert_array_equal(array, expected[name])


def test_encoders_that_differ_otherwise_are_refused():
    start, other = encoder("resnet34", 3), encoder("resnet18", 6)
    with pytest.raises(ValueError, match=r"an encoder with .*resnet18.* cannot start as one with .*resnet34"):
        with_weights(other, start)
    with pytest.raises(ValueError, match="cannot start as one"):
        with_weights(start, encoder("resnet34", 6))
