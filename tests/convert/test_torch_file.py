"""PyTorch itself accepts what the writer writes, and so does our own reader."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from restyle_jax.convert import reader
from tests import official

TREE = {
    "tensors": {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "number": np.asarray(3, np.int64),
        "empty": np.zeros((0, 4), np.float16),
        "flags": np.array([True, False]),
        "big endian": np.array([1.5, -2], ">f8"),
    },
    "plain": [1, -5, 2**40, -(2**63), -(2**2039), 0, 1.5, True, None, "häuschen", (1, ("a",)), [], (), {}],
    7: {"nested": {"deeply": [{}]}},
}


def test_torch_reads_it(tmp_path: Path):
    read = torch.load(official.write(tmp_path / "a.pt", TREE), weights_only=True)
    assert read["plain"] == TREE["plain"] and read[7] == TREE[7]
    assert list(read["tensors"]) == list(TREE["tensors"])
    for name, array in TREE["tensors"].items():
        np.testing.assert_array_equal(read["tensors"][name].numpy(), array)
        assert read["tensors"][name].is_contiguous()


@pytest.mark.parametrize("number", [2**2039, -(2**3000)])
def test_integers_of_many_bytes(tmp_path: Path, number: int):
    path = official.write(tmp_path / "a.pt", {"seed": number})
    assert torch.load(path, weights_only=False) == reader.read(path).tree == {"seed": number}


def test_torch_maps_it_into_memory(tmp_path: Path):
    read = torch.load(official.write(tmp_path / "a.pt", TREE), weights_only=True, mmap=True)
    np.testing.assert_array_equal(read["tensors"]["matrix"].numpy(), TREE["tensors"]["matrix"])


def test_torch_reads_bfloat16(tmp_path: Path):
    array = np.array([1, 2.5, -3], ml_dtypes.bfloat16)
    read = torch.load(official.write(tmp_path / "a.pt", {"a": array}), weights_only=True)["a"]
    assert read.dtype == torch.bfloat16 and read.tolist() == [1, 2.5, -3]


def test_our_reader_reads_it(tmp_path: Path):
    read = reader.read(official.write(tmp_path / "a.pt", TREE), verify=True).tree
    assert read["plain"] == TREE["plain"] and read[7] == TREE[7]
    for name, array in TREE["tensors"].items():
        np.testing.assert_array_equal(read["tensors"][name], array)


def test_equal_trees_give_equal_files(tmp_path: Path):
    first, second = (official.write(tmp_path / name, TREE).read_bytes() for name in ("a.pt", "b.pt"))
    assert first == second


@pytest.mark.parametrize("value", [object(), {1, 2}, np.zeros(2, np.complex64), np.array(["text"])])
def test_other_objects_are_refused(tmp_path: Path, value: object):
    with pytest.raises(TypeError, match="cannot hold"):
        official.write(tmp_path / "a.pt", {"a": value})
