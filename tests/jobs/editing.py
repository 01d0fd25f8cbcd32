"""A folder of photos, codes of photos, and an editing job on them, for the tests of editing."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from restyle_jax.jobs.edit_folder import Outcome, edit_folder
from restyle_jax.jobs.edit_options import Along, EditOptions
from tests import tiny

STEPS, BATCH, K = 2, 2, 6
STRENGTHS = (-2.0, 0.0, 1.5)


def photos(folder: Path, count: int = 3) -> list[str]:
    names = [f"{'deep/' if i == 1 else ''}{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return sorted(names)


def saved_codes(folder: Path) -> Path:
    """The codes of three photos after two steps."""
    path = folder / "latents.npz"
    random = np.random.default_rng(8)
    codes = {f"{i}.jpg": random.standard_normal((2, K, tiny.STYLE_DIM)).astype(np.float32) for i in range(3)}
    np.savez(path, allow_pickle=False, **codes)
    return path


def options(file: Path, **changes: Any) -> EditOptions:
    request = Along(file, **{key: changes.pop(key) for key in ("component", "layers") if key in changes})
    return EditOptions(
        **{"checkpoint": tiny.checkpoint(), "request": request, "strengths": STRENGTHS, "steps": STEPS}
        | {"batch_size": BATCH, **changes}
    )


def run(inputs: Path, output: Path, asked: EditOptions) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return edit_folder([inputs], output, asked, said.append), said


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def latents(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)
