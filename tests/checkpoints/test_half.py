"""Directories of our format with float16 weights."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import restyle_jax as rs
from restyle_jax.checkpoints.config_file import CONFIG
from restyle_jax.checkpoints.half import store_half
from restyle_jax.checkpoints.native import WEIGHTS
from restyle_jax.convert.errors import CheckpointError
from tests import tiny


def test_half_the_size_and_nearly_the_same_pictures(tmp_path):
    source, half = tiny.checkpoint(), tmp_path / "half"
    store_half(source, half)
    whole, stored = load_file(source / WEIGHTS), load_file(half / WEIGHTS)
    assert whole.keys() == stored.keys()
    for name, array in whole.items():
        assert stored[name].dtype == (np.float16 if array.dtype == np.float32 else array.dtype)
        np.testing.assert_array_equal(stored[name], array.astype(stored[name].dtype))
    assert (half / WEIGHTS).stat().st_size < 0.6 * (source / WEIGHTS).stat().st_size
    assert (half / WEIGHTS).stat().st_mode == (half / CONFIG).stat().st_mode
    assert json.loads((half / CONFIG).read_text()) == json.loads((source / CONFIG).read_text())

    before, after = rs.load(source), rs.load(half)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(after.w_avg))
    pictures = [rs.generate(model, [0, 1]) for model in (before, after)]
    assert 0 < np.abs(pictures[0] - pictures[1]).max() < 0.05 * np.abs(pictures[0]).max()


def test_what_cannot_be_stored(tmp_path):
    source, large = tiny.checkpoint(), tmp_path / "large"
    large.mkdir()
    (large / CONFIG).write_bytes((source / CONFIG).read_bytes())
    arrays = load_file(source / WEIGHTS)
    save_file(arrays | {"w_avg": arrays["w_avg"] + np.float32(1e5)}, large / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"weights.safetensors: found numbers above 65504 in w_avg"):
        store_half(large, tmp_path / "half")
    with pytest.raises(CheckpointError, match="no directory of our format"):
        store_half(tmp_path / "absent.pt", tmp_path / "half")
    assert not (tmp_path / "half").exists()
