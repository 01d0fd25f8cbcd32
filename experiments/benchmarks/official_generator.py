"""The training step of NVlabs/stylegan2-ada-pytorch (`training/training_loop.py`), run beside ours from a checkout of its code.

Its networks, loss and augmentation as they are, on our weights, in float32 and on one device. Its operations fall back to
formulas in PyTorch where their CUDA extensions cannot be built, which on CPU is always so. Statistics are collected, not logged.
"""

import copy
import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from data_pipelines.drawing.processes import cores
from experiments.benchmarks.official import wait_for
from experiments.benchmarks.official_training import tensors
from restyle_jax.augment.config import Augmentation
from restyle_jax.checkpoints.modules import flat_arrays
from restyle_jax.checkpoints.sizes import discriminator_table, generator_table
from restyle_jax.convert import engine
from restyle_jax.nets.discriminators import Discriminator
from restyle_jax.nets.stylegan2 import Generator
from restyle_jax.train.stylegan_config import StyleGANTraining

PHASES = {"G main": "Gmain", "G path": "Greg", "D main": "Dmain", "D R1": "Dreg"}
"""Our names of the updates, and those of `StyleGAN2Loss.accumulate_gradients`."""
NOT_OURS = ("resample_filter", "w_avg")
"""Ends of the names of what our networks do not store."""


class Modules(NamedTuple):
    """Of the checkout's `training`."""

    networks: Any
    loss: Any
    augment: Any


def import_official(repository: Path) -> Modules:
    """The checkout's networks, loss and augmentation.

    Raises FileNotFoundError if `repository` is no checkout of stylegan2-ada-pytorch, ModuleNotFoundError if it needs a package
    that is not installed.
    """
    files = [f"training/{name}.py" for name in Modules._fields]
    absent = [file for file in files if not (repository / file).is_file()]
    if absent:
        raise FileNotFoundError(
            f"{repository}: found no {' and no '.join(absent)}; expected a checkout of NVlabs/stylegan2-ada-pytorch "
            "(git clone https://github.com/NVlabs/stylegan2-ada-pytorch)"
        )
    sys.path.insert(0, str(repository))
    return Modules(*(importlib.import_module(f"training.{name}") for name in Modules._fields))


class OfficialGenerator:
    """The public trainer with the settings of a configuration, the weights of two networks and a batch f32[B, R, R, 3].

    intervals: the updates, and in one step of how many each is due. Its methods return when the device is done.
    """

    def __init__(
        self,
        modules: Modules,
        config: StyleGANTraining,
        networks: tuple[Generator, Discriminator],
        intervals: dict[str, int],
        pictures: np.ndarray,
        device: str,
    ):
        torch.set_num_threads(cores())  # those that JAX uses
        if device == "cuda":  # as JAX computes float32, and as the public trainer chooses convolutions
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        sizes = {"channel_base": config.channel_base, "channel_max": config.channel_max}
        mapping = {"num_layers": config.mapping_layers}
        epilogue = {"mbstd_group_size": config.stddev_group}
        w, side = config.w_dim, config.resolution
        G = modules.networks.Generator(w, 0, w, side, 3, mapping_kwargs=mapping, synthesis_kwargs=sizes)
        D = modules.networks.Discriminator(0, side, 3, **sizes, epilogue_kwargs=epilogue)
        generator, discriminator = networks
        load(G, engine.write(generator_table(generator.config, "nvlabs"), flat_arrays(generator)))
        load(D, engine.write(discriminator_table(discriminator.config, "nvlabs"), flat_arrays(discriminator)))
        self.G, self.D = (module.train().requires_grad_(False).to(device) for module in (G, D))
        self.average = copy.deepcopy(self.G).eval()
        pipe = None
        if config.augment != "none":
            multipliers = dataclasses.asdict(Augmentation.preset(config.augment))
            pipe = modules.augment.AugmentPipe(**multipliers).train().requires_grad_(False).to(device)
            pipe.p.fill_(config.augment_p)
        self.loss = modules.loss.StyleGAN2Loss(
            *(device, self.G.mapping, self.G.synthesis, self.D, pipe),
            style_mixing_prob=config.style_mixing,
            r1_gamma=config.r1,
            pl_weight=config.path_length,
        )
        self.config, self.intervals, self.device = config, intervals, device
        self.pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().to(device)
        self.optimizers = {"G": self._adam(self.G, "G path"), "D": self._adam(self.D, "D R1")}

    def _adam(self, module: nn.Module, regulariser: str) -> torch.optim.Adam:
        every = self.intervals.get(regulariser)
        lazy = every / (every + 1) if every else 1.0
        return torch.optim.Adam(module.parameters(), lr=self.config.learning_rate * lazy, betas=(0.0, 0.99**lazy))

    def update(self, name: str) -> None:
        """One of PHASES."""
        self._update(name)
        wait_for(self.device)

    def step(self, number: int) -> None:
        """A training step with the regularisers that are due in it, and the averaged generator. Does not wait for the device."""
        for name, every in self.intervals.items():
            if number % every == 0:
                self._update(name)
        decay = 0.5 ** (self.config.batch_size / (1000 * self.config.ema_kimg))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.G.parameters(), strict=True):
                mean.copy_(value.lerp(mean, decay))
            for mean, value in zip(self.average.buffers(), self.G.buffers(), strict=True):
                mean.copy_(value)

    def steps(self, count: int) -> None:
        """Steps 0 to count - 1."""
        for number in range(count):
            self.step(number)
        wait_for(self.device)

    @torch.no_grad()
    def scores(self, z: np.ndarray) -> np.ndarray:
        """Of the pictures for z f32[B, z_dim], without augmentation: f32[B]."""
        w = self.G.mapping(torch.from_numpy(z).to(self.device), None, skip_w_avg_update=True)
        return self.D(self.G.synthesis(w), None)[:, 0].cpu().numpy()

    def _update(self, name: str) -> None:
        role, parts = name[0], self.config.micro_batches
        module, optimizer = getattr(self, role), self.optimizers[role]
        optimizer.zero_grad(set_to_none=True)
        module.requires_grad_(True)
        z = torch.randn(len(self.pictures), self.config.w_dim, device=self.device)
        for real, codes in zip(self.pictures.chunk(parts), z.chunk(parts), strict=True):
            labels = real.new_zeros(len(real), 0)
            gain = self.intervals[name]
            self.loss.accumulate_gradients(PHASES[name], real, labels, codes, labels, sync=True, gain=gain)
        module.requires_grad_(False)
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
        optimizer.step()


def load(module: nn.Module, state: dict[str, np.ndarray]) -> None:
    """Fill a public network. Raises ValueError if the weights are not exactly those that it has."""
    missing, unexpected = module.load_state_dict(tensors(state), strict=False)
    wrong = [*unexpected, *(name for name in missing if not name.endswith(NOT_OURS))]
    if wrong:
        raise ValueError(f"{type(module).__name__} of the reference has other weights than ours: {', '.join(wrong)}")
