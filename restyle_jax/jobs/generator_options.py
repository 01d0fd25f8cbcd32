"""What an evaluation of a generator is asked to do."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restyle_jax import zoo
from restyle_jax.jobs.outputs import Setting

PathName = Literal["z-full", "z-end", "w-full", "w-end"]


@dataclass(frozen=True)
class GeneratorEvalOptions:
    """What to evaluate, and with which networks.

    data, features: the real pictures (a prepared data set, or a folder; training pictures, where there are test pictures as
    well) and the network that compares them; FID, KID, precision and recall need both. count: pictures to make for them.
    labels: the classes of the real pictures (as `StyleGANTraining.labels`), from which those of a conditional generator are drawn;
    else they are uniform. ppl: perceptual path lengths to measure, with the two files of LPIPS (VGG16). `batch_size` changes the
    speed only.
    """

    checkpoint: Path
    data: Path | None = None
    labels: Path | None = None
    features: Path | None = None
    count: int = 50_000
    seed: int = 0
    truncation_psi: float = 1.0
    batch_size: int = 4
    dtype: str = "float32"
    ppl: tuple[PathName, ...] = ()
    ppl_count: int = 50_000
    ppl_crop: bool = False
    lpips_trunk_weights: Path | None = None
    lpips_linear_weights: Path | None = None
    overwrite: bool = False

    def description(self) -> dict[str, Setting]:
        """The settings that results depend on, for people to read."""
        kept = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("overwrite", "batch_size")}
        kept["ppl"] = " ".join(self.ppl)
        return {key: zoo.label(value) if isinstance(value, Path) else value for key, value in kept.items()}
