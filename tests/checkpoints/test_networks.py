"""The networks behind losses from their published files, written here in the official layouts."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from restyle_jax import CheckpointError
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.networks import load_face, load_lpips, load_moco
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.objective import Objective
from tests import official
from tests.losses import golden_networks


def torch_file(path: Path, state: dict[str, np.ndarray], *, old: bool = False, wrap: Any = dict) -> Path:
    """As torch writes it; `old` in the form before torch 1.6, which several of the published files have."""
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
    torch.save(wrap(tensors), path, _use_new_zipfile_serialization=not old)
    return path


def lpips_states(net: str) -> tuple[official.State, official.State]:
    """(torchvision's file, LPIPS's linear layers) with the weights of the golden."""
    weights = golden_networks.weights(f"losses/lpips_{net}")
    trunk = {key.replace("net.layers", "features"): value for key, value in weights.items() if "layers" in key}
    linear = {
        key.replace("lin.", "lin").replace(".1.", ".model.1."): value
        for key, value in weights.items()
        if key.startswith("lin.")
    }
    return {**trunk, "classifier.1.weight": np.zeros((4, 9), np.float32)}, linear


def narrow(manifest: str) -> official.State:
    return official.values(official.resized(official.entries(manifest), resolution=256))


def assert_equal(found: Any, expected: Any) -> None:
    arrays, wanted = flat_arrays(found), flat_arrays(expected)
    assert arrays.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lpips(net: Any, tmp_path: Path):
    trunk, linear = lpips_states(net)
    trunk_file = torch_file(tmp_path / "trunk.pth", trunk, old=True)
    expected = golden_networks.lpips(net)
    assert_equal(load_lpips(net, trunk_file, torch_file(tmp_path / "linear.pth", linear)), expected)
    renamed = {key.replace("lin", "").replace("model.", ""): value for key, value in linear.items()}
    loaded = load_lpips(net, trunk_file, torch_file(tmp_path / "renamed.pth", renamed), dtype=jnp.bfloat16)
    assert_equal(loaded, expected)
    assert loaded.dtype == jnp.bfloat16


def test_face(tmp_path: Path):
    """As model_ir_se50.pth: the old form of file, without batch counts."""
    state = narrow("losses/id_irse50")
    counts = [key for key in state if key.endswith("num_batches_tracked")]
    path = torch_file(tmp_path / "model_ir_se50.pth", official.without(state, *counts), old=True)
    arrays = flat_arrays(load_face(path))
    dense = state["output_layer.3.weight"].reshape(128, 128, 7, 7)
    np.testing.assert_array_equal(arrays["dense.kernel"].reshape(7, 7, 128, 128), dense.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(arrays["norm2.var"], state["output_layer.4.running_var"])
    np.testing.assert_array_equal(arrays["trunk.body.20.prelu.slope"], state["body.20.res_layer.2.weight"])
    assert arrays["norm1.count"] == 0
    arrays = flat_arrays(load_face(torch_file(tmp_path / "new.pth", state)))
    assert arrays["norm1.count"] == state["output_layer.0.num_batches_tracked"]


def test_moco(tmp_path: Path):
    """As moco_v2_800ep_pretrain.pt: the query encoder of the training state, with its projection."""
    state = narrow("losses/moco_resnet50")
    wrapped = {f"module.encoder_q.{key}": value for key, value in state.items()}
    wrapped |= {"module.encoder_q.fc.0.weight": np.zeros((4, 4), np.float32), "module.queue": np.zeros((2, 3))}
    path = torch_file(
        tmp_path / "moco.pt", wrapped, wrap=lambda tensors: {"epoch": 800, "arch": "resnet50", "state_dict": tensors}
    )
    net = load_moco(path)
    arrays = flat_arrays(net)
    np.testing.assert_array_equal(
        arrays["trunk.body.15.conv3.kernel"], state["layer4.2.conv3.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(arrays["trunk.input_layer.norm.mean"], state["bn1.running_mean"])
    assert not any("prelu" in name for name in arrays)
    assert net.trunk.config.max_pool and net.trunk.config.width == 16
    config = EncoderTraining(lpips=0, moco=0.5, moco_weights=path)
    for on in (False, True):
        objective, states = Objective.load(dataclasses.replace(config, moco_normalise=on))
        assert objective.network("moco", states).normalise is on
    assert not net.normalise and not config.moco_normalise


def loaders() -> list[Any]:
    sources = "richzhang/PerceptualSimilarity", "yuval-alaluf/restyle-encoder"
    return [
        pytest.param(lambda path: load_lpips("alex", path, None), "alexnet-owt-7be5be79.pth", "torchvision", id="alex"),
        pytest.param(lambda path: load_lpips("vgg", path, None), "vgg16-397923af.pth", "torchvision", id="vgg"),
        pytest.param(lambda path: load_lpips("squeeze", __file__, path), "squeeze.pth", sources[0], id="linear"),
        pytest.param(load_face, "model_ir_se50.pth", sources[1], id="face"),
        pytest.param(load_moco, "moco_v2_800ep_pretrain.pt", sources[1], id="moco"),
    ]


@pytest.mark.parametrize(("load", "name", "source"), loaders())
def test_missing_files_are_named_with_their_source(load: Any, name: str, source: str, tmp_path: Path):
    with pytest.raises(CheckpointError) as none:
        load(None)
    assert str(none.value).startswith(f"{name}: found no path to this file") and source in str(none.value)
    with pytest.raises(CheckpointError) as absent:
        load(tmp_path / "absent.pt")
    assert str(absent.value).startswith(f"{tmp_path / 'absent.pt'}: found no file here")
    assert name in str(absent.value) and source in str(absent.value)


def test_wrong_files_are_refused(tmp_path: Path):
    face = torch_file(tmp_path / "face.pth", narrow("losses/id_irse50"))
    resnet = torch_file(tmp_path / "resnet.pth", narrow("losses/moco_resnet50"))
    trunk, linear = (torch_file(tmp_path / str(i), state) for i, state in enumerate(lpips_states("squeeze")))
    with pytest.raises(CheckpointError, match=r"resnet\.pth: found a torchvision ResNet; expected the IR-SE50 face"):
        load_face(resnet)
    with pytest.raises(CheckpointError, match=r"face\.pth: found a IR-SE face network; expected the MoCo v2 ResNet-50"):
        load_moco(face)
    with pytest.raises(CheckpointError, match=r"resnet\.pth: found entries conv1\.weight.*AlexNet"):
        load_lpips("alex", resnet, linear)
    with pytest.raises(CheckpointError, match=r"0: \d+ tensors do not fit the torchvision's AlexNet"):
        load_lpips("alex", trunk, linear)
    with pytest.raises(
        CheckpointError, match=r"shape +lin1\.model\.1\.weight: found \(1, 128, 1, 1\), expected \(1, 192"
    ):
        load_lpips("alex", torch_file(tmp_path / "alex.pth", lpips_states("alex")[0]), linear)
    tensor = tmp_path / "tensor.pt"
    torch.save(torch.zeros(3), tensor)
    with pytest.raises(CheckpointError, match=r"tensor\.pt: found a single"):
        load_lpips("squeeze", trunk, tensor)
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(CheckpointError, match="a web page"):
        load_face(page)


def test_missing_tensors_are_listed(tmp_path: Path):
    state = narrow("losses/id_irse50")
    lacking = official.without(state, "output_layer.3.bias", "body.3.res_layer.1.weight")
    with pytest.raises(
        CheckpointError, match=r"missing +body\.3\.res_layer\.1\.weight[^$]*missing +output_layer\.3\.bias"
    ):
        load_face(torch_file(tmp_path / "face.pth", lacking))
