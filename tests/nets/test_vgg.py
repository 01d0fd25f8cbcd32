"""VGG16 against torch, with narrow dense layers; which feature network a file holds."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from restyle_jax import CheckpointError
from restyle_jax.checkpoints.feature_networks import load_features
from restyle_jax.checkpoints.networks import load_vgg16
from restyle_jax.ops.resizing import corner_bilinear
from tests import networks, official, weight_files

PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
POOLED = (2, 7, 14, 21, 28)
FEATURES = 24


@pytest.fixture(scope="module")
def state() -> official.State:
    """torchvision's state dict with random numbers that keep their size from layer to layer."""
    random = np.random.default_rng(0)
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    layers = {f"features.{place}": (widths[i + 1], widths[i], 3, 3) for i, place in enumerate(PLACES)}
    layers |= {f"classifier.{place}": (FEATURES, size) for place, size in ((0, 49 * 512), (3, FEATURES), (6, FEATURES))}
    state = {}
    for name, shape in layers.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        state[f"{name}.weight"] = random.standard_normal(shape, np.float32) * scale
        state[f"{name}.bias"] = random.uniform(-0.1, 0.1, shape[0]).astype(np.float32)
    return state


def reference(state: official.State, x: torch.Tensor) -> np.ndarray:
    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (x / 255 - mean) / std
    for place in PLACES:
        x = functional.conv2d(
            x, tensors[f"features.{place}.weight"], tensors[f"features.{place}.bias"], padding=1
        ).relu()
        x = functional.max_pool2d(x, 2) if place in POOLED else x
    x = x.flatten(1)
    for place in (0, 3):
        x = functional.linear(x, tensors[f"classifier.{place}.weight"], tensors[f"classifier.{place}.bias"]).relu()
    return x.numpy()


def test_parity_with_torch(state: official.State, tmp_path: Path):
    network = load_features(official.write(tmp_path / "vgg16.pth", state))
    assert network.name == "VGG16 of torchvision, second dense layer"
    images = np.random.default_rng(1).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    found = network(images)
    resized = np.asarray(corner_bilinear(jnp.asarray(images, jnp.float32), 224, 224))
    with torch.no_grad():
        expected = reference(state, torch.from_numpy(networks.nchw(resized).copy()))
    error = networks.error(found, expected)
    print(f"{error:.1e}")
    assert found.shape == (2, FEATURES) and error < 5e-5


def test_the_kind_of_feature_network(state: official.State, tmp_path: Path):
    network = load_features(weight_files.inception(tmp_path, 2))
    assert network.name == "Inception-v3 2015-12-05, pool3"
    with pytest.raises(CheckpointError, match=r"lpips\.pth: found entries lin0.*the Inception-v3 of FID"):
        load_features(
            official.write(tmp_path / "lpips.pth", {"lin0.model.1.weight": np.zeros((1, 4, 1, 1), np.float32)})
        )
    with pytest.raises(CheckpointError, match=r"found no file here.*pytorch-fid"):
        load_features(tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match=r"directory without config\.json"):
        load_features(tmp_path)
    headless = official.write(tmp_path / "lacking.pth", official.without(state, "classifier.0.weight"))
    with pytest.raises(CheckpointError, match=r"missing +classifier\.0\.weight"):
        load_vgg16(headless)
    with pytest.raises(CheckpointError, match=r"vgg16-397923af\.pth: found no path"):
        load_vgg16(None)
    with pytest.raises(ValueError, match=r"VGG16 have shape \(30, 40, 3\)"):
        load_features(official.write(tmp_path / "vgg16.pth", state))(np.zeros((30, 40, 3), np.uint8))
