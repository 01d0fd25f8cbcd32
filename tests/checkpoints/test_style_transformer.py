"""Style Transformer checkpoints: official file -> ours -> official file, what is said about them, and what is refused."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints.export import style_transformer_tree
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.style_transformer import StyleTransformer, StyleTransformerConfig
from tests import official, tiny

MAPPING = "only the mapping network that was trained with its encoder"


def load(folder: Path, tree: dict[str, Any]) -> rs.Model:
    with pytest.warns(UserWarning, match=MAPPING):
        return rs.load(official.write(folder / "a.pt", tree))


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype, key
        np.testing.assert_array_equal(found[key], array, err_msg=key)


def test_round_trip_through_our_format(tmp_path: Path):
    tree = official.style_transformer()
    model = load(tmp_path, tree)
    rs.save(model, tmp_path / "ours")
    with pytest.warns(UserWarning, match=f"ours has {MAPPING}"):  # also of what is sampled with this folder
        again = rs.load(tmp_path / "ours")
    assert isinstance(again.encoder, StyleTransformer) and again.generator is not None
    # 32 pixels have 8 styles; the other tokens are kept, because these attend to them.
    sizes = StyleTransformerConfig(8, style_dim=128, width=16, tokens=18, hidden=256)
    assert again.encoder.config == sizes
    for path, array in flat_arrays(again.generator.mapping).items():
        np.testing.assert_array_equal(array, flat_arrays(again.encoder.mapping)[path])

    back = style_transformer_tree(again)
    assert_same(back["state_dict"], tree["state_dict"])
    np.testing.assert_array_equal(back["latent_avg"], tree["latent_avg"])
    assert back["opts"].items() >= tree["opts"].items()


def test_inversion_and_names_without_the_prefix_of_data_parallel(tmp_path: Path):
    tree = official.style_transformer(resolution=16)
    names = {key.replace(".module.", ".", 1): array for key, array in tree["state_dict"].items()}
    model = load(tmp_path, {**tree, "state_dict": names})
    small = dataclasses.replace(model, geometry=rs.Geometry(64, 64))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3))
    found = rs.invert(small, x, steps=3)
    assert found.latents.shape == (1, 2, 6, 128) and found.images.shape == (1, 2, 16, 16, 3)


def test_the_file_that_is_written_at_full_size(tmp_path: Path):
    """A different average for each of 4 styles: the file has 18 rows; its mapping network is the encoder's."""
    tree = official.style_transformer(resolution=8, narrow=1)
    tree["latent_avg"] = np.random.default_rng(0).standard_normal((18, 512)).astype(np.float32)
    model = load(tmp_path, tree)
    assert model.generator is not None and model.w_avg is not None
    np.testing.assert_array_equal(model.w_avg, tree["latent_avg"][:4])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*mapping network")  # both are the same
        rs.export_torch(model, tmp_path / "same.pt", "style_transformer")
    for layer in model.generator.mapping.layers:
        layer.kernel[...] = layer.kernel[...] + 1
    with pytest.warns(UserWarning, match="the file has room for the first one only"):
        rs.export_torch(model, tmp_path / "b.pt", "style_transformer")
    read = torch.load(tmp_path / "b.pt", weights_only=True, mmap=True)
    assert_same({key: tensor.numpy() for key, tensor in read["state_dict"].items()}, tree["state_dict"])
    assert read["latent_avg"].shape == (18, 512)
    np.testing.assert_array_equal(read["latent_avg"][:4], tree["latent_avg"][:4])
    with pytest.raises(CheckpointError, match="whose format is style_transformer"):
        rs.export_torch(model, tmp_path / "c.pt", "restyle")


def test_inspect(tmp_path: Path):
    tree = official.style_transformer()
    lost = "decoder.module.style.3.weight"
    tree["state_dict"] = official.without(tree["state_dict"], lost)
    report = rs.inspect(official.write(tmp_path / "a.pt", tree))
    assert report["kind"] == "Style Transformer checkpoint"
    assert report["networks"]["encoder"]["tokens"] == 18 and report["networks"]["encoder"]["num_styles"] == 8
    assert report["missing"] == ["decoder.style.3.weight"] and report["unexpected"] == []
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"missing +decoder\.style\.3\.weight"):
        rs.load(tmp_path / "a.pt")


def test_bad_files(tmp_path: Path):
    tree = official.style_transformer(resolution=8)
    without_average = {name: value for name, value in tree.items() if name != "latent_avg"}
    file = official.write(tmp_path / "a.pt", without_average)
    with (
        pytest.warns(UserWarning),
        pytest.raises(CheckpointError, match=r"without latent_avg(?s:.*)cannot be estimated"),
    ):
        rs.load(file)
    with pytest.raises(CheckpointError, match="leave encoder_type out"):
        rs.load(official.write(tmp_path / "b.pt", tree), encoder_type="Encoder4Editing")
    states = {**tree["state_dict"], "encoder.module.z": np.zeros((1, 3, 128), np.float32)}
    with pytest.raises(CheckpointError, match="as many tokens as styles"):
        rs.load(official.write(tmp_path / "c.pt", {**tree, "state_dict": states}))
    with pytest.raises(CheckpointError, match="style heads, whose format is restyle"):
        rs.export_torch(rs.load(tiny.checkpoint()), tmp_path / "d.pt", "style_transformer")
    small = load(tmp_path, tree)
    with pytest.raises(CheckpointError, match="16 channels in the first stage of the trunk in place of 64"):
        rs.export_torch(small, tmp_path / "e.pt", "style_transformer")
