"""Files of every readable kind, against PyTorch's own reading of them."""

from __future__ import annotations

import argparse
import collections
import pathlib
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.reader import read
from tests.convert import pickles
from tests.convert.pickles import Global, Raw, dump, legacy, storage_id, tensor
from tests.recipe import build

GOLDEN = Path(__file__).parents[1] / "golden" / "nvlabs_ada"


def tensors() -> dict[str, torch.Tensor]:
    x = torch.arange(20.0).reshape(4, 5) - 7.5
    return {
        "float32": x,
        "transposed, shares": x.t(),
        "offset and stride, shares": x[1:, 1::2],
        "expanded": torch.ones(1, 4).expand(5, 4),
        "float16": x.half(),
        "bfloat16": x.bfloat16(),
        "float64": x.double(),
        "int64": torch.arange(5),
        "int32": torch.arange(5).int(),
        "int16": torch.arange(5).short(),
        "int8": torch.arange(-2, 3).to(torch.int8),
        "uint8": torch.arange(5).byte(),
        "uint16": torch.arange(5).to(torch.uint16),
        "bool": x > 0,
        "complex64": torch.view_as_complex(x[:, :2].contiguous()),
        "parameter": torch.nn.Parameter(x),
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
    }


def opts() -> dict[str, Any]:
    return {
        "namespace": argparse.Namespace(output_size=1024, exp_dir="runs/1", betas=[0.9, 0.999], start=None),
        "dict": {"input_nc": 6, "lr": 1e-4, "learn_in_w": False, 3: "int key", "large": 10**30},
        "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(dict, {0: {"step": 7}}),
        "counter": collections.Counter([30, 40, 40]),
        "set": {5},
        "slice": slice(1, 9, 2),
        "size": torch.Size([4, 5]),
        "device": torch.device("cuda", 1),
        "dtype": torch.float16,
        "path": pathlib.PurePosixPath("/data/ffhq"),
        "bytes": b"\x00\xff",
        "no bytes": b"",
        "numpy float": np.float64(2.5),
        "numpy int": np.int64(-3),
        "numpy text": np.str_("a"),
        "numpy array": np.arange(6.0).reshape(2, 3),
        "numpy columns": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    }


PLAIN_OPTS: dict[str, Any] = {
    "namespace": {"output_size": 1024, "exp_dir": "runs/1", "betas": [0.9, 0.999], "start": None},
    "dict": {"input_nc": 6, "lr": 1e-4, "learn_in_w": False, 3: "int key", "large": 10**30},
    "ordered": {"b": 1, "a": 2},
    "default": {0: {"step": 7}},
    "counter": {30: 1, 40: 2},
    "set": [5],
    "slice": (1, 9, 2),
    "size": (4, 5),
    "device": "cuda:1",
    "dtype": "torch.float16",
    "path": "/data/ffhq",
    "bytes": b"\x00\xff",
    "no bytes": b"",
    "numpy float": 2.5,
    "numpy int": -3,
    "numpy text": "a",
}

WAYS: dict[str, dict[str, Any]] = {
    "zip": {},
    "zip, protocol 5": {"pickle_protocol": 5},
    "legacy": {"_use_new_zipfile_serialization": False},
}


def as_numpy(value: torch.Tensor) -> np.ndarray:
    value = value.detach()
    if value.dtype == torch.bfloat16:
        return value.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()


def assert_same(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("way", WAYS)
def test_torch_file_equals_what_torch_saved(tmp_path: Path, way: str) -> None:
    torch.save({"state_dict": tensors(), "opts": opts()}, tmp_path / "model.pt", **WAYS[way])

    container = read(tmp_path / "model.pt", verify=True)

    assert container.format == ("torch-legacy" if way == "legacy" else "torch-zip")
    assert list(container.tree["state_dict"]) == list(tensors())
    for name, want in tensors().items():
        assert_same(container.tree["state_dict"][name], as_numpy(want))
    got = container.tree["opts"]
    assert {name: got[name] for name in PLAIN_OPTS} == PLAIN_OPTS
    assert_same(got["numpy array"], np.arange(6.0).reshape(2, 3))
    assert_same(got["numpy columns"], np.arange(6, dtype=np.int16).reshape(2, 3))


def test_views_share_memory_and_are_read_only(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "model.pt")
    tree = read(tmp_path / "model.pt").tree

    assert np.shares_memory(tree["float32"], tree["transposed, shares"])
    assert not tree["float32"].flags.writeable


def test_optimiser_state_keeps_integer_keys(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters(), betas=(0.0, 0.99))
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    torch.save({"g_ema": layer.state_dict(), "g_optim": optimiser.state_dict()}, tmp_path / "model.pt")

    tree = read(tmp_path / "model.pt").tree

    assert list(tree["g_ema"]) == ["weight", "bias"]
    assert tree["g_optim"]["param_groups"][0]["betas"] == (0.0, 0.99)
    want = optimiser.state_dict()["state"][0]["exp_avg"].numpy()
    assert_same(tree["g_optim"]["state"][0]["exp_avg"], want)


def test_reading_maps_the_file_instead_of_copying_it(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1 << 23)}, tmp_path / "large.pt")  # 32 MiB

    tracemalloc.start()
    tree = read(tmp_path / "large.pt").tree
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert tree["weight"][-1] == 1.0
    assert peak < 1 << 20


def test_files_without_checksums_are_verified_as_sound(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(3)}, tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(True)

    assert_same(read(tmp_path / "model.pt", verify=True).tree["weight"], np.ones(3, np.float32))


def test_big_endian_zip(tmp_path: Path) -> None:
    values = np.arange(3, dtype=">f4")
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("m/data.pkl", dump({"x": tensor(storage_id("0", 3), (3,), (1,))}))
        archive.writestr("m/byteorder", b"big")
        archive.writestr("m/data/0", values.tobytes())

    assert_same(read(tmp_path / "model.pt").tree["x"], values.astype(np.float32))


def test_legacy_storage_that_is_a_view_of_another(tmp_path: Path) -> None:
    part = storage_id("root", 6, "FloatStorage", ("part", 2, 3))
    root = storage_id("root", 6, "FloatStorage", None)
    tree = {"part": tensor(part, (3,), (1,)), "root": tensor(root, (2, 3), (3, 1))}
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "old.pth").write_bytes(legacy(tree, {"root": values.tobytes()}))

    got = read(tmp_path / "old.pth").tree

    for name, want in torch.load(tmp_path / "old.pth", weights_only=False).items():
        assert_same(got[name], want.numpy())


def test_files_of_python_2(tmp_path: Path) -> None:
    """Byte strings for text, OrderedDict with its items as an argument, builtins under their former name."""
    x = tensor(storage_id("0", 2, "FloatStorage", None), (2,), (1,))
    pair = Raw(b"](](U\x01a" + pickles.emit(x) + b"ee")
    tree = {"state": Global("collections", "OrderedDict")(pair), "set": Global("__builtin__", "set")([3])}
    (tmp_path / "old.pth").write_bytes(legacy(tree, {"0": np.ones(2, np.float32).tobytes()}))

    got = read(tmp_path / "old.pth").tree

    want = torch.load(tmp_path / "old.pth", weights_only=False)
    assert list(got["state"]) == list(want["state"]) == ["a"]
    assert_same(got["state"]["a"], want["state"]["a"].numpy())
    assert got["set"] == [3]


@pytest.mark.parametrize("text", ["/data/\udce9t\udce9", "café\\u\n\0名"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_text_and_objects_of_every_protocol(tmp_path: Path, text: str, protocol: int) -> None:
    # Tensors of protocol 0 are beyond torch as well.
    tree = {"opts": argparse.Namespace(exp_dir=text, betas=(0.9, 1)), text: b"\xff"}
    torch.save(tree, tmp_path / "model.pt", pickle_protocol=protocol)

    assert read(tmp_path / "model.pt").tree == {"opts": {"exp_dir": text, "betas": (0.9, 1)}, text: b"\xff"}


def test_tar_of_the_first_torch_versions(tmp_path: Path) -> None:
    (tmp_path / "resnet34.pth").write_bytes(pickles.tar())

    container = read(tmp_path / "resnet34.pth")

    want = torch.load(tmp_path / "resnet34.pth", weights_only=False)
    assert container.format == "torch-tar"
    assert list(container.tree) == list(want)
    for name, value in want.items():
        assert_same(container.tree[name], value.detach().numpy())


def test_nvlabs_snapshot_has_the_weights_of_the_recipe() -> None:
    container = read(GOLDEN / "snapshot_64.pkl")

    assert container.format == "nvlabs-pickle"
    assert list(container.tree) == ["training_set_kwargs", "G", "D", "G_ema", "augment_pipe"]
    node, weights = container.tree["G_ema"], build(GOLDEN / "snapshot_64.json")
    assert list(node["state"]) == list(weights)
    for name, want in weights.items():
        assert_same(node["state"][name], want)
    assert node["class_name"] == "Generator"
    assert node["init_kwargs"]["synthesis_kwargs"]["conv_clamp"] == 256
    assert node["modules"]["synthesis.b8.conv0.affine"] == "FullyConnectedLayer"
    assert node["attributes"]["synthesis.b8.architecture"] == "skip"
    assert container.tree["D"]["attributes"]["b4.mbstd.group_size"] == 8
    assert container.tree["training_set_kwargs"]["resolution"] == 64


def test_nvlabs_state_follows_torch_state_dict(tmp_path: Path) -> None:
    """Parameters, saved buffers, then children; absent parameters and unsaved buffers are left out."""
    scalar = tensor(pickles.embedded(np.array([5.0], np.float32).tobytes()), (), ())
    child = pickles.network("SynthesisInput", _parameters={"freqs": scalar}, _buffers={}, _modules={})
    top = pickles.network(
        "Generator",
        _init_args=(512,),
        _init_kwargs=Global("dnnlib.util", "EasyDict")(),
        _parameters=Global("collections", "OrderedDict")([["weight", scalar], ["bias", None]]),
        _buffers={"kept": scalar, "unsaved": scalar},
        _non_persistent_buffers_set=Global("builtins", "set")(["unsaved"]),
        _modules={"input": child, "absent": None},
        img_resolution=64,
    )
    (tmp_path / "network.pkl").write_bytes(dump({"G_ema": top}))

    node = read(tmp_path / "network.pkl").tree["G_ema"]

    assert list(node["state"]) == ["weight", "kept", "input.freqs"]
    assert_same(node["state"]["input.freqs"], np.array(5.0, np.float32))
    assert node["modules"] == {"": "Generator", "input": "SynthesisInput"}
    assert (node["init_args"], node["init_kwargs"]) == ([512], {})
    assert node["attributes"] == {"img_resolution": 64}


def test_plain_pickles_are_read_on_request_only(tmp_path: Path) -> None:
    path, tree = tmp_path / "S_mean_std", [[np.arange(3, dtype=np.float32)], [np.eye(2)], {"a": 1}]
    path.write_bytes(pickle.dumps(tree))
    found = read(path, plain=True)
    assert found.format == "pickle" and found.tree[2] == {"a": 1}
    np.testing.assert_array_equal(found.tree[0][0], tree[0][0])
    np.testing.assert_array_equal(found.tree[1][0], tree[1][0])
    with pytest.raises(CheckpointError, match="without a network"):
        read(path)


def test_safetensors(tmp_path: Path) -> None:
    arrays = {
        "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bfloat16": np.arange(3).astype(ml_dtypes.bfloat16),
        "int64": np.array(4),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 2), np.float16),
    }
    save_file(arrays, tmp_path / "weights.safetensors", metadata={"step": "7"})

    container = read(tmp_path / "weights.safetensors")

    assert (container.format, container.metadata) == ("safetensors", {"step": "7"})
    assert container.tree.keys() == arrays.keys()
    for name, want in arrays.items():
        assert_same(container.tree[name], want)


def test_damage_in_the_weights_of_a_zip_is_found_on_request(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.full((64,), 1.5)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(np.float32(1.5).tobytes() * 8)] ^= 1
    path.write_bytes(data)

    assert read(path).tree["weight"][0] != 1.5
    with pytest.raises(CheckpointError, match=r"model/data/0'? that is damaged \(wrong checksum\)"):
        read(path, verify=True)
