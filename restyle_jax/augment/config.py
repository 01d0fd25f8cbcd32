"""Which operations of the augmentation are used, and how often (StyleGAN2-ADA, arXiv 2006.06676, appendix B)."""

import dataclasses
import math
from typing import Self

BLIT = ("xflip", "rotate90", "xint")
GEOMETRIC = ("scale", "rotate", "aniso", "xfrac")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")

# The names of the official `train.py --augpipe`; b, g, c, f, n and c stand for the groups that a preset adds up.
PRESETS = {
    "blit": BLIT,
    "geom": GEOMETRIC,
    "color": COLOR,
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": BLIT + GEOMETRIC,
    "bgc": BLIT + GEOMETRIC + COLOR,
    "bgcf": (*BLIT, *GEOMETRIC, *COLOR, "imgfilter"),
    "bgcfn": (*BLIT, *GEOMETRIC, *COLOR, "imgfilter", "noise"),
    "bgcfnc": (*BLIT, *GEOMETRIC, *COLOR, "imgfilter", "noise", "cutout"),
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A multiplier of p for each operation: a picture meets an operation with probability multiplier * p; 0 switches it off.

    In the order of their execution: flip, quarter turns, shift by whole pixels; scale, rotation (before and after the next),
    stretch, shift by any distance; brightness, contrast, inversion of luma, hue, saturation; the gains of four frequency
    bands; noise; a square that is cut out. Raises ValueError for a multiplier that is negative or not finite.
    """

    xflip: float = 0.0
    rotate90: float = 0.0
    xint: float = 0.0
    scale: float = 0.0
    rotate: float = 0.0
    aniso: float = 0.0
    xfrac: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    lumaflip: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    imgfilter: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        for name, multiplier in dataclasses.asdict(self).items():
            if not 0 <= multiplier < math.inf:
                raise ValueError(f"Augmentation.{name} is {multiplier}, but must be a finite number of at least 0")

    @classmethod
    def preset(cls, name: str = "bgc") -> Self:
        """The multipliers (all 1) of a preset of the official `train.py --augpipe`, whose default is bgc.

        Raises ValueError for an unknown name.
        """
        if name not in PRESETS:
            raise ValueError(f"there is no augmentation preset {name!r}; the presets are {', '.join(PRESETS)}")
        return cls(**dict.fromkeys(PRESETS[name], 1.0))

    def uses(self, names: tuple[str, ...]) -> bool:
        """Whether any of these operations is switched on."""
        return any(getattr(self, name) for name in names)
