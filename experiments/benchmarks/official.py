"""The official PyTorch model (yuval-alaluf/restyle-encoder), run beside ours from a checkout that the user has.

On CPU its CUDA extension is replaced by the formulas that it implements, in one of two forms of the FIR filter:
"official" is the form of the reference's own CPU code (every channel an image of its own, zeros inserted by padding),
"fair" is one depthwise convolution, which gives the same numbers in half the time.
"""

import functools
import importlib
import math
import sys
import types
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FORMS = ("official", "fair")


def upfirdn(
    x: torch.Tensor, kernel: torch.Tensor, up: int = 1, down: int = 1, pad=(0, 0), *, fair: bool
) -> torch.Tensor:
    """Insert zeros, pad both axes by `pad`, convolve with `kernel` [h, w], keep every `down`-th pixel. x: [B, C, H, W]."""
    batch, channels, height, width = x.shape
    if up > 1:
        x = functional.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
        x = x.reshape(batch, channels, height * up, width * up)
    x = functional.pad(x, (*pad, *pad))
    flipped = kernel.flip(0, 1)[None, None]
    if fair:
        x = functional.conv2d(x, flipped.expand(channels, 1, -1, -1), groups=channels)
    else:
        x = functional.conv2d(x.reshape(batch * channels, 1, *x.shape[2:]), flipped)
        x = x.reshape(batch, channels, *x.shape[2:])
    return x[:, :, ::down, ::down]


class FusedLeakyReLU(nn.Module):
    """Bias and sqrt(2) * leaky ReLU, with the parameter name of the original."""

    def __init__(self, channel: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channel))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fused_leaky_relu(x, self.bias)


def fused_leaky_relu(x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * math.sqrt(2.0)


def import_official(repository: Path) -> types.ModuleType:
    """Put the checkout on the path and import its `models`, without the CUDA extension and without torchvision's downloads.

    Raises FileNotFoundError if `repository` is no checkout of restyle-encoder.
    """
    if not (repository / "models" / "psp.py").is_file():
        raise FileNotFoundError(
            f"{repository}: no models/psp.py found; expected a checkout of yuval-alaluf/restyle-encoder"
        )
    operations = types.ModuleType("models.stylegan2.op")
    vars(operations).update(
        FusedLeakyReLU=FusedLeakyReLU,
        fused_leaky_relu=fused_leaky_relu,
        upfirdn2d=functools.partial(upfirdn, fair=False),
    )
    sys.modules["models.stylegan2.op"] = operations
    resnet = types.ModuleType("torchvision.models.resnet")
    models = types.ModuleType("torchvision.models")
    for module in (resnet, models):
        vars(module)["resnet34"] = lambda pretrained=False: ResNet34Blocks()
    sys.modules.update(
        {
            "torchvision": types.ModuleType("torchvision"),
            "torchvision.models": models,
            "torchvision.models.resnet": resnet,
        }
    )
    sys.path.insert(0, str(repository))
    return importlib.import_module("models.stylegan2.model")


class BasicBlock(nn.Module):
    """torchvision's block of ResNet-34, by its parameter names."""

    def __init__(self, inner: int, outer: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.conv2, self.bn2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet34Blocks(nn.Module):
    """The four groups of blocks that the official encoders take out of torchvision's ResNet-34."""

    def __init__(self):
        super().__init__()
        inner = 64
        for group, (count, outer) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1):
            blocks = [
                BasicBlock(inner if i == 0 else outer, outer, 2 if i == 0 and group > 1 else 1) for i in range(count)
            ]
            setattr(self, f"layer{group}", nn.Sequential(*blocks))
            inner = outer


class Official:
    """The official model with the weights of a checkpoint file, loaded with `strict=True`."""

    def __init__(self, repository: Path, checkpoint: Path, device: str = "cpu"):
        self.stylegan2 = import_official(repository)
        with torch.serialization.safe_globals([Namespace]):
            stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        options = Namespace(**{**dict(stored["opts"]), "device": device, "checkpoint_path": str(checkpoint)})
        kind = "e4e" if "Progressive" in options.encoder_type else "psp"
        module = importlib.import_module(f"models.{kind}")
        self.net = getattr(module, "e4e" if kind == "e4e" else "pSp")(options)
        self.net.load_state_dict(stored["state_dict"], strict=True)
        self.net.eval().to(device)
        self.net.latent_avg = stored["latent_avg"].to(device)
        self.device = device
        self.cars = "cars" in options.dataset_type

    def use_form(self, form: str) -> None:
        """Choose the form of the FIR filter, one of FORMS."""
        vars(self.stylegan2)["upfirdn2d"] = functools.partial(upfirdn, fair=form == "fair")

    @torch.inference_mode()
    def synthesis(self, w: np.ndarray) -> torch.Tensor:
        """f32[B, K, 512] -> f32[B, R, R, 3], with the stored noise."""
        image, _ = self.net.decoder([torch.from_numpy(w).to(self.device)], input_is_latent=True, randomize_noise=False)
        return self._computed(image.permute(0, 2, 3, 1))

    @torch.inference_mode()
    def encode(self, x: np.ndarray) -> torch.Tensor:
        """f32[B, H, W, C] -> f32[B, K, 512], without the average."""
        return self._computed(self.net.encoder(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(self.device)))

    @torch.inference_mode()
    def invert(self, x: np.ndarray, steps: int) -> torch.Tensor:
        """Full-size images [N, B, H, W, 3] of f32[B, H, W, 3], by the official inference loop."""
        functions = importlib.import_module("utils.inference_utils")
        mean = self.net(
            self.net.latent_avg[None], input_code=True, randomize_noise=False, return_latents=False, average_code=True
        )[0]
        options = Namespace(
            n_iters_per_batch=steps, resize_outputs=False, dataset_type="cars_encode" if self.cars else "ffhq_encode"
        )
        inputs = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(self.device)
        images, _ = functions.run_on_batch(inputs, self.net, options, mean[:, 32:224] if self.cars else mean)
        by_step = zip(*(images[i] for i in sorted(images)), strict=True)
        return self._computed(torch.stack([torch.stack(step) for step in by_step]).permute(0, 1, 3, 4, 2))

    def _computed(self, result: torch.Tensor) -> torch.Tensor:
        """The same when the device has computed it, where it stays, as ours does."""
        wait_for(self.device)
        return result


def wait_for(device: str) -> None:
    """Return when the device has computed all that was asked of it."""
    if device == "cuda":
        torch.cuda.synchronize()
