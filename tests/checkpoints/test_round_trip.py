"""Official file -> ours -> official file: the same keys in the same order, and every number to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

import restyle_jax as rs
from restyle_jax.checkpoints.export import restyle_tree, rosinality_tree
from tests import official


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype, key
        np.testing.assert_array_equal(found[key], array, err_msg=key)


@pytest.mark.parametrize("encoder_type", official.ENCODERS)
def test_every_encoder(encoder_type: str, tmp_path: Path):
    tree = official.checkpoint(encoder_type)
    model = rs.load(official.write(tmp_path / "a.pt", tree))
    back = restyle_tree(model)
    assert_same(back["state_dict"], tree["state_dict"])
    np.testing.assert_array_equal(back["latent_avg"], tree["latent_avg"])
    assert back["opts"].items() >= tree["opts"].items()


def test_full_size_through_our_format_and_torch(tmp_path: Path):
    tree = official.checkpoint("ResNetBackboneEncoder", resolution=8, narrow=1)
    rs.save(rs.load(official.write(tmp_path / "a.pt", tree)), tmp_path / "ours")
    rs.export_torch(rs.load(tmp_path / "ours"), tmp_path / "b.pt")
    read = torch.load(tmp_path / "b.pt", weights_only=True, mmap=True)
    assert_same({key: tensor.numpy() for key, tensor in read["state_dict"].items()}, tree["state_dict"])
    np.testing.assert_array_equal(read["latent_avg"].numpy(), tree["latent_avg"])
    assert read["opts"].items() >= tree["opts"].items()
    needed = ("stylegan_size", "n_styles", "label_nc", "learn_in_w", "device", "checkpoint_path")
    assert all(name in read["opts"] for name in needed)


def test_generator_and_discriminator(tmp_path: Path):
    generator = official.generator(resolution=8, narrow=1)
    average = np.arange(512, dtype=np.float32)
    discriminator = official.discriminator(narrow=1)
    tree = {"g_ema": generator, "latent_avg": average, "d": discriminator}
    rs.export_torch(rs.load(official.write(tmp_path / "a.pt", tree)), tmp_path / "b.pt", format="rosinality")
    read = torch.load(tmp_path / "b.pt", weights_only=True)
    assert list(read) == list(tree)
    np.testing.assert_array_equal(read["latent_avg"].numpy(), average)
    for name in ("g_ema", "d"):
        assert_same({key: tensor.numpy() for key, tensor in read[name].items()}, tree[name])


def test_generator_without_mapping_layers(tmp_path: Path):
    state = official.generator(resolution=8)
    state = official.without(state, *(key for key in state if key.startswith("style.")))
    tree = {"g_ema": state, "latent_avg": np.arange(128, dtype=np.float32)}
    with pytest.warns(UserWarning, match=r"a\.pt has no layers of a mapping network"):  # perhaps they were lost
        rs.save(rs.load(official.write(tmp_path / "a.pt", tree)), tmp_path / "ours")
    model = rs.load(tmp_path / "ours")
    config = model.require_generator()[0].config
    assert (config.mapping_layers, config.z_dim, config.w_dim) == (0, 128, 128)
    back = rosinality_tree(model)
    assert_same(back["g_ema"], state)
    np.testing.assert_array_equal(back["latent_avg"], tree["latent_avg"])
    assert rs.generate(model, [0]).shape == (1, 8, 8, 3)


@pytest.mark.parametrize("save", ["zip", "legacy", "half", "bfloat16"])
def test_files_that_torch_wrote(save: str, tmp_path: Path):
    generator = official.generator(resolution=8)
    dtypes = {"half": torch.float16, "bfloat16": torch.bfloat16}
    state = {key: torch.from_numpy(array).to(dtypes.get(save, torch.float32)) for key, array in generator.items()}
    average = torch.zeros(128)
    torch.save(
        {"g_ema": state, "latent_avg": average}, tmp_path / "a.pt", _use_new_zipfile_serialization=save != "legacy"
    )
    rounded = {key: tensor.float().numpy() for key, tensor in state.items()}
    back = rosinality_tree(rs.load(tmp_path / "a.pt"))["g_ema"]
    filters = [key for key in rounded if key.endswith("kernel")]  # written exactly, whatever the file's precision
    assert_same(official.without(back, *filters), official.without(rounded, *filters))
