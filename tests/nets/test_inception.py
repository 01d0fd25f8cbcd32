"""Inception of FID: every stage against torch, with random weights in the layout of the published file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from restyle_jax import CheckpointError
from restyle_jax.checkpoints.networks import load_inception
from restyle_jax.nets.inception import Inception
from restyle_jax.ops.resizing import corner_bilinear
from tests import networks, weight_files


class Reference:
    """The network written as calls of torch with the tensors of a file, block by block."""

    def __init__(self, state: dict[str, np.ndarray]):
        self.state = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}

    def conv(self, name: str, x: torch.Tensor, stride: int = 1, padded: bool = True) -> torch.Tensor:
        kernel = self.state[f"{name}.conv.weight"]
        pads = [size // 2 if padded else 0 for size in kernel.shape[2:]]
        names = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, bias = (self.state[f"{name}.bn.{part}"] for part in names)
        x = functional.conv2d(x, kernel, None, stride, pads)
        return functional.batch_norm(x, mean, var, scale, bias, eps=1e-3).relu()

    def chain(self, prefix: str, x: torch.Tensor, count: int) -> torch.Tensor:
        for i in range(1, count + 1):
            x = self.conv(f"{prefix}_{i}", x)
        return x

    def pooled(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.conv(f"{name}.branch_pool", functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False))

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv("Conv2d_1a_3x3", x, 2, False)
        x = self.conv("Conv2d_2b_3x3", self.conv("Conv2d_2a_3x3", x, 1, False))
        x = self.conv("Conv2d_3b_1x1", functional.max_pool2d(x, 3, 2))
        return functional.max_pool2d(self.conv("Conv2d_4a_3x3", x, 1, False), 3, 2)

    def a(self, name: str, x: torch.Tensor) -> torch.Tensor:
        branches = [self.conv(f"{name}.branch1x1", x), self.chain(f"{name}.branch5x5", x, 2)]
        return torch.cat([*branches, self.chain(f"{name}.branch3x3dbl", x, 3), self.pooled(name, x)], 1)

    def b(self, name: str, x: torch.Tensor) -> torch.Tensor:
        double = self.conv(f"{name}.branch3x3dbl_3", self.chain(f"{name}.branch3x3dbl", x, 2), 2, False)
        return torch.cat([self.conv(f"{name}.branch3x3", x, 2, False), double, functional.max_pool2d(x, 3, 2)], 1)

    def c(self, name: str, x: torch.Tensor) -> torch.Tensor:
        branches = [self.conv(f"{name}.branch1x1", x), self.chain(f"{name}.branch7x7", x, 3)]
        return torch.cat([*branches, self.chain(f"{name}.branch7x7dbl", x, 5), self.pooled(name, x)], 1)

    def d(self, name: str, x: torch.Tensor) -> torch.Tensor:
        three = self.conv(f"{name}.branch3x3_2", self.conv(f"{name}.branch3x3_1", x), 2, False)
        seven = self.conv(f"{name}.branch7x7x3_4", self.chain(f"{name}.branch7x7x3", x, 3), 2, False)
        return torch.cat([three, seven, functional.max_pool2d(x, 3, 2)], 1)

    def e(self, name: str, x: torch.Tensor) -> torch.Tensor:
        three, double = self.conv(f"{name}.branch3x3_1", x), self.chain(f"{name}.branch3x3dbl", x, 2)
        parts = [self.conv(f"{name}.branch1x1", x)]
        parts += [self.conv(f"{name}.branch3x3_2{side}", three) for side in "ab"]
        parts += [self.conv(f"{name}.branch3x3dbl_3{side}", double) for side in "ab"]
        largest = self.conv(f"{name}.branch_pool", functional.max_pool2d(x, 3, 1, 1))
        return torch.cat([*parts, largest if name == "Mixed_7c" else self.pooled(name, x)], 1)

    def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {"stem": self.stem(x)}
        blocks = {"5b": self.a, "5c": self.a, "5d": self.a, "6a": self.b}
        blocks |= {"6b": self.c, "6c": self.c, "6d": self.c, "6e": self.c, "7a": self.d, "7b": self.e, "7c": self.e}
        for name, block in blocks.items():
            found[f"Mixed_{name}"] = block(f"Mixed_{name}", list(found.values())[-1])
        return found


def stages(network: Inception, images: jax.Array) -> dict[str, jax.Array]:
    resized = corner_bilinear(images.astype(jnp.float32), 299, 299)
    found = {"resized": resized, "stem": network.stem((resized - 128) / 128)}
    for name, block in network.blocks.items():
        found[name] = block(list(found.values())[-1])
    return {**found, "features": network(images)}


def test_parity_of_every_stage_with_torch(tmp_path: Path):
    """From bytes to features, at the published size."""
    network = load_inception(weight_files.inception(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (1, 40, 24, 3), dtype=np.uint8)
    found = networks.apply(network, stages, jnp.asarray(images))
    with torch.no_grad():
        x = torch.from_numpy(networks.nchw(found.pop("resized")).copy())
        expected = Reference(weight_files.inception_state()).stages((x - 128) / 128)
    expected["features"] = expected["Mixed_7c"].mean((2, 3))
    errors = {
        name: networks.error(networks.nchw(value), expected[name].numpy())
        for name, value in found.items()
        if value.ndim == 4
    }
    errors["features"] = networks.error(found["features"], expected["features"].numpy())
    print({name: f"{value:.1e}" for name, value in errors.items()})
    assert max(errors.values()) < 5e-5  # of the standard deviation; they grow from stage to stage
    assert found["Mixed_7c"].shape == (1, 8, 8, 2048) and found["features"].dtype == jnp.float32


def test_wrong_files_and_pictures(tmp_path: Path):
    state = weight_files.inception_state(8)
    with pytest.raises(CheckpointError, match=r"pt_inception-2015-12-05-6726825d\.pth: found no path.*pytorch-fid"):
        load_inception(None)
    other = weight_files.official.write(tmp_path / "other.pth", {**state, "AuxLogits.fc.bias": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match="found torchvision's own Inception-v3"):
        load_inception(other)
    lacking = weight_files.official.without(state, "Mixed_6b.branch7x7_2.bn.weight")
    with pytest.raises(CheckpointError, match=r"missing +Mixed_6b\.branch7x7_2\.bn\.weight"):
        load_inception(weight_files.official.write(tmp_path / "lacking.pth", lacking))
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    network = load_inception(weight_files.official.write(tmp_path / "old.pth", old))
    assert network.width == 8 and network.stem.convs["Conv2d_1a_3x3"].norm.count[...] == 0
    with pytest.raises(ValueError, match=r"shape \(40, 24, 3\), expected \[B, H, W, 3\]"):
        network(jnp.zeros((40, 24, 3)))
