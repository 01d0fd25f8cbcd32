"""One iteration of the official PyTorch coach (`training/coach_restyle_psp.py`), run beside ours from a checkout of its code.

Its model, criteria and Ranger as they are, on the given weights instead of downloaded ones. Like the coach, it also computes
the gradients of the generator's and the face network's weights, which nobody uses, and the features of the input. What the
coach logs is left out.
"""

import importlib
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

from data_pipelines.drawing.processes import cores
from experiments.benchmarks.official import Official, wait_for
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.convert import engine
from restyle_jax.convert.tables import perceptual as tables
from restyle_jax.nets.face import IRSE50
from restyle_jax.train.config import EncoderTraining


class OfficialTraining(Official):
    """The official model in train mode, with the losses and the optimiser of a configuration and the networks of ours."""

    def __init__(
        self,
        repository: Path,
        checkpoint: Path,
        config: EncoderTraining,
        judges: Mapping[str, nnx.Module],
        device: str,
    ):
        super().__init__(repository, checkpoint, device)
        torch.set_num_threads(cores())  # those that JAX uses
        self.config = config
        self.net.face_pool = nn.AdaptiveAvgPool2d((config.height, config.width))
        self.lpips = official_lpips(judges["lpips"]).to(device).eval()
        self.identity = official_identity(judges["identity"]).to(device).eval() if "identity" in judges else None
        with torch.no_grad():
            self.average = self.net(
                self.net.latent_avg[None],
                input_code=True,
                randomize_noise=False,
                return_latents=False,
                average_code=True,
            )
        self.net.train()
        ranger: Any = importlib.import_module("training.ranger")
        self.optimizer = ranger.Ranger(list(self.net.encoder.parameters()), lr=config.learning_rate)

    def iteration(self, pictures: np.ndarray) -> tuple[dict[str, float], list[float]]:
        """One iteration on f32[B, H, W, 3]: seconds of the whole and its parts, and the loss of every step."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(self.device)
        start = self._now()
        seconds, losses = {"forward": 0.0, "backward": 0.0}, []
        self.optimizer.zero_grad()
        y: Any = self.average.repeat(len(x), 1, 1, 1)
        latent: Any = None
        for step in range(self.config.steps_per_image):
            begun = self._now()
            if step:
                y, latent = (part.clone().detach().requires_grad_(True) for part in (y, latent))
            y, latent = self.net(torch.cat([x, y], dim=1), latent=latent, return_latents=True)
            loss = self.loss(y, x)
            middle = self._now()
            loss.backward()
            losses.append(loss.item())
            seconds["forward"] += middle - begun
            seconds["backward"] += self._now() - middle
        begun = self._now()
        self.optimizer.step()
        end = self._now()
        return {**seconds, "update": end - begun, "iteration": end - start}, losses

    def loss(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The weighted sum that the coach differentiates, of pictures [B, 3, H, W]."""
        config = self.config
        loss = config.l2 * functional.mse_loss(y, x) + config.lpips * self.lpips(y, x)
        return loss if self.identity is None else loss + config.identity * self.identity(y, x, x)[0]

    def _now(self) -> float:
        wait_for(self.device)
        return time.perf_counter()


def official_lpips(ours: nnx.Module) -> nn.Module:
    """The checkout's LPIPS with our weights, built without its constructor, which downloads and needs a GPU."""
    vars(sys.modules["torchvision.models"])["alexnet"] = lambda pretrained=False: Namespace(features=alexnet_features())
    networks: Any = importlib.import_module("criteria.lpips.networks")
    module: Any = importlib.import_module("criteria.lpips.lpips")
    found = module.LPIPS.__new__(module.LPIPS)
    nn.Module.__init__(found)
    found.net, arrays = networks.get_network("alex"), flat_arrays(ours)
    found.lin = networks.LinLayers(found.net.n_channels_list)
    found.net.layers.load_state_dict(tensors(engine.write(tables.features("alex"), arrays)))
    found.lin.load_state_dict(tensors(engine.write(tables.linear("alex", "{}.1.weight"), arrays)))
    return found


def official_identity(ours: nnx.Module) -> nn.Module:
    """The checkout's identity loss with our weights, built without its constructor, which reads a file."""
    module: Any = importlib.import_module("criteria.id_loss")
    found = module.IDLoss.__new__(module.IDLoss)
    nn.Module.__init__(found)
    found.facenet = module.Backbone(input_size=112, num_layers=50, drop_ratio=0.6, mode="ir_se")
    found.facenet.load_state_dict(tensors(engine.write(tables.face(IRSE50.units), flat_arrays(ours))))
    found.face_pool = nn.AdaptiveAvgPool2d((112, 112))
    return found


def alexnet_features() -> nn.Sequential:
    """torchvision's `alexnet().features`, by its places."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(True)),
        nn.MaxPool2d(3, 2),
    )


def tensors(state: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
