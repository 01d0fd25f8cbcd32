"""The weight files of the losses and the metrics, in the layout in which people download them, with random numbers."""

import functools
from pathlib import Path

import numpy as np

from restyle_jax.checkpoints.modules import Blueprint
from restyle_jax.convert.engine import Row
from restyle_jax.convert.tables import inception as tables
from restyle_jax.nets.inception import Inception
from tests import official


def lpips(folder: Path, net: str = "alex") -> tuple[Path, Path]:
    """(torchvision's trunk, linear layers of LPIPS v0.1) for `net`, at the published sizes."""
    tensors = [entry for entry in official.entries(f"losses/lpips_{net}") if entry[0] not in ("net.mean", "net.std")]
    state = official.values(tensors)
    parts = {"net.layers.": "features.", "lin.": "lin"}
    renamed = {
        theirs + key.removeprefix(ours): value
        for ours, theirs in parts.items()
        for key, value in state.items()
        if key.startswith(ours)
    }
    trunk = {key: value for key, value in renamed.items() if key.startswith("features.")}
    linear = {
        key.replace(".1.weight", ".model.1.weight"): value for key, value in renamed.items() if key.startswith("lin")
    }
    return official.write(folder / f"{net}_trunk.pth", trunk), official.write(folder / f"{net}.pth", linear)


def face(folder: Path) -> Path:
    """`model_ir_se50.pth`, a quarter as wide as published."""
    tensors = official.resized(official.entries("losses/id_irse50"), resolution=8)
    return official.write(folder / "model_ir_se50.pth", official.values(tensors))


@functools.cache
def inception_state(width: int = 32) -> official.State:
    """The state dict of FID's Inception-v3, all widths in proportion to that of the first layer (published: 32)."""
    graph = Blueprint.of(Inception, width)
    rows = {row.ours: row.theirs for row in tables.inception() if isinstance(row, Row)}
    random = np.random.default_rng(0)
    state: official.State = {}
    for ours, theirs in rows.items():
        shape = graph.targets[ours].shape
        if theirs.endswith("conv.weight"):
            value = random.standard_normal([shape[i] for i in (3, 2, 0, 1)], np.float32)
            state[theirs] = value * np.float32(np.sqrt(2 / np.prod(shape[:3])))
        elif theirs.endswith("num_batches_tracked"):
            state[theirs] = np.asarray(7, np.int64)
        else:
            offset = 1 if theirs.endswith(("bn.weight", "running_var")) else 0
            state[theirs] = (offset + 0.1 * random.uniform(-1, 1, shape)).astype(np.float32)
    outputs = state["Mixed_7b.branch1x1.conv.weight"].shape[1] * 8 // 5  # 2048 of 1280
    return {**state, "fc.weight": np.zeros((1008, outputs), np.float32), "fc.bias": np.zeros(1008, np.float32)}


def inception(folder: Path, width: int = 32) -> Path:
    """FID's Inception-v3 in the layout of `pt_inception-2015-12-05-6726825d.pth`."""
    return official.write(folder / "pt_inception.pth", inception_state(width))
