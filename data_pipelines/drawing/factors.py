"""What an avatar is described by, and the fixed mapping from seeds to these factors.

Every factor is drawn independently of all others. A value depends on the seeds and on the factor's name alone (a hash in
integers, equal on every machine and with every numpy), so that the table can grow without changing earlier values.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Role = Literal["identity", "attribute", "nuisance"]
Factors = Mapping[str, np.ndarray]
"""By name of the factor, for B pictures: f64[B] in [low, high], or int64[B], an index into `values`."""


@dataclass(frozen=True)
class Continuous:
    """Uniform in [low, high]; without a unit, or in degrees if its `kind` is "angle"."""

    role: Role
    low: float
    high: float
    meaning: str
    kind: Literal["continuous", "angle"] = "continuous"


@dataclass(frozen=True)
class Discrete:
    """One of `values`, with probabilities `shares`; all equal where that is empty."""

    role: Role
    values: tuple[str, ...]
    meaning: str
    shares: tuple[float, ...] = ()

    kind = "discrete"


def _angle(role: Role, low: float, high: float, meaning: str) -> Continuous:
    return Continuous(role, low, high, meaning, "angle")


PATTERNS = 64

FACTORS: dict[str, Continuous | Discrete] = {
    "head_width": Continuous("identity", 0.43, 0.53, "half the width, in half pictures"),
    "head_height": Continuous("identity", 0.55, 0.64, "half the height, in half pictures"),
    "jaw_width": Continuous("identity", -1, 1, "narrow to wide"),
    "chin_width": Continuous("identity", -1, 1, "pointed to square"),
    "skin_tone": Continuous("identity", 0, 1, "light to dark"),
    "skin_undertone": Continuous("identity", -1, 1, "olive to rosy"),
    "ear_size": Continuous("identity", 0.8, 1.25, "times the usual size"),
    "eye_spacing": Continuous("identity", 0.175, 0.23, "from the middle to an eye, in half pictures"),
    "eye_height": Continuous("identity", -1, 1, "low to high in the face"),
    "eye_size": Continuous("identity", 0.85, 1.2, "times the usual size"),
    "eye_tilt": _angle("identity", -9, 9, "outer corners down to up"),
    "eye_roundness": Continuous("identity", -1, 1, "narrow to round"),
    "eye_colour": Discrete("identity", ("dark", "brown", "hazel", "green", "blue", "grey"), "colour of the iris"),
    "brow_thickness": Continuous("identity", 0.012, 0.034, "half the thickness, in half pictures"),
    "brow_arch": Continuous("identity", 0, 1, "straight to arched"),
    "nose_length": Continuous("identity", -1, 1, "short to long"),
    "nose_width": Continuous("identity", 0.055, 0.105, "half the width, in half pictures"),
    "nose_bridge": Continuous("identity", 0, 1, "flat to marked"),
    "mouth_width": Continuous("identity", 0.14, 0.21, "half the width at rest, in half pictures"),
    "lip_fullness": Continuous("identity", 0.3, 1, "thin to full"),
    "hair_style": Discrete(
        "identity",
        ("bald", "buzz", "parted", "spiky", "curly", "bob", "long", "bun", "ponytail"),
        "cut of the hair",
        (0.05, 0.09, 0.14, 0.11, 0.13, 0.14, 0.14, 0.1, 0.1),
    ),
    "hair_colour": Discrete(
        "identity",
        ("black", "brown", "chestnut", "ginger", "blond", "grey", "blue", "pink"),
        "colour of hair, brows and beard",
        (0.2, 0.2, 0.15, 0.12, 0.15, 0.08, 0.05, 0.05),
    ),
    "hair_volume": Continuous("identity", 0, 1, "flat to full"),
    "freckles": Discrete("identity", ("no", "yes"), "spots on the cheeks", (0.75, 0.25)),
    "yaw": _angle("attribute", -35, 35, "the head looks to the left to the right of the picture"),
    "pitch": _angle("attribute", -16, 16, "the head looks down to up"),
    "roll": _angle("attribute", -10, 10, "the head leans to the left to the right of the picture"),
    "smile": Continuous("attribute", -1, 1, "corners of the mouth down to up"),
    "mouth_open": Continuous("attribute", 0, 1, "closed to wide open"),
    "eye_open": Continuous("attribute", 0.25, 1, "nearly closed to open"),
    "gaze": Continuous("attribute", -1, 1, "the eyes look to the left to the right of the picture"),
    "brow_raise": Continuous("attribute", -1, 1, "frowning to raised"),
    "age": Continuous("attribute", 0, 1, "no lines to deep lines in the face"),
    "blush": Continuous("attribute", 0, 1, "none to red cheeks"),
    "eye_shadow": Continuous("attribute", 0, 1, "none to coloured lids and long lashes"),
    "lipstick": Discrete("attribute", ("none", "red", "pink", "plum"), "colour of the lips", (0.55, 0.15, 0.15, 0.15)),
    "glasses": Discrete("attribute", ("none", "round", "square", "tinted"), "eyeglasses", (0.6, 0.15, 0.15, 0.1)),
    "beard": Discrete(
        "attribute", ("none", "stubble", "moustache", "goatee", "full"), "beard", (0.6, 0.1, 0.1, 0.1, 0.1)
    ),
    "hat": Discrete("attribute", ("none", "beanie", "cap", "brim"), "hat", (0.7, 0.1, 0.1, 0.1)),
    "earrings": Discrete("attribute", ("none", "studs", "hoops"), "earrings", (0.7, 0.15, 0.15)),
    "light_direction": _angle("nuisance", 0, 360, "where the light comes from: right of the picture, 90 above"),
    "light_strength": Continuous("nuisance", 0.15, 1, "flat to strong shading"),
    "shadow": Continuous("nuisance", 0, 1, "of the head on background and neck: none to dark"),
    "background": Discrete("nuisance", ("plain", "gradient", "halo", "stripes", "dots"), "pattern of the background"),
    "background_hue": _angle("nuisance", 0, 360, "colour of the background: 0 red, 120 green, 240 blue"),
    "background_lightness": Continuous("nuisance", 0.45, 0.95, "dark to light background"),
    "collar": Discrete("nuisance", ("round", "v-neck", "shirt", "turtleneck"), "cut of the clothes"),
    "clothes_hue": _angle("nuisance", 0, 360, "colour of clothes and hat, as background_hue"),
    "clothes_lightness": Continuous("nuisance", 0.25, 0.9, "dark to light clothes"),
    "texture": Continuous("nuisance", 0, 1, "strength of the noise over the picture"),
    "texture_pattern": Discrete("nuisance", tuple(map(str, range(PATTERNS))), "which noise"),
}
"""Every factor by its name: what of a face it belongs to, its range or values, and what the ends of the range are."""


def names(factor: str) -> tuple[str, ...]:
    """The values of a discrete factor in words, in the order of their numbers.

    Raises:
      ValueError: there is no such factor.
    """
    found = FACTORS.get(factor)
    if not isinstance(found, Discrete):
        known = ", ".join(name for name, factor in FACTORS.items() if isinstance(factor, Discrete))
        raise ValueError(f"{factor}: there is no such discrete factor. Known: {known}.")
    return found.values


def code(factor: str, value: str) -> int:
    """The number that stands for a value of a discrete factor.

    Raises:
      ValueError: there is no such factor or value.
    """
    values = names(factor)
    if value not in values:
        raise ValueError(f"{value}: {factor} has no such value. Known: {', '.join(values)}.")
    return values.index(value)


def sample_factors(identities: np.ndarray, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """The factors of pictures: identity factors by the identity's seed, all others by both seeds.

    identities, pictures: int[B] in [0, 2^32).

    Raises:
      ValueError: a seed is out of range, or the shapes are not the same [B].
    """
    identities, pictures = np.asarray(identities), np.asarray(pictures)
    if identities.ndim != 1 or identities.shape != pictures.shape:
        raise ValueError(f"seeds of shapes {identities.shape} and {pictures.shape}: expected the same [B] for both")
    for name, seeds in (("identities", identities), ("pictures", pictures)):
        if seeds.dtype.kind not in "iu" or (seeds.size and not 0 <= seeds.min() <= seeds.max() < 2**32):
            raise ValueError(f"{name}: expected integers from 0 to 2^32 - 1")
    high = identities.astype(np.uint64) << np.uint64(32)
    both = high | pictures.astype(np.uint64)
    found = {}
    for name, factor in FACTORS.items():
        # Identities are hashed under another key than pairs of seeds, so that picture 0 is not special.
        key = f"{factor.role == 'identity'}/{name}"
        unit = _uniform(high if factor.role == "identity" else both, key)
        if isinstance(factor, Continuous):
            found[name] = factor.low + (factor.high - factor.low) * unit
        else:
            shares = factor.shares or (1 / len(factor.values),) * len(factor.values)
            found[name] = np.searchsorted(np.cumsum(shares[:-1]), unit, side="right").astype(np.int64)
    return found


def _uniform(seeds: np.ndarray, key: str) -> np.ndarray:
    """f64[B] in [0, 1) from uint64[B] by the finaliser of SplitMix64 (Steele et al., 2014), started from the key."""
    with np.errstate(over="ignore"):
        z = seeds * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def checked(factors: Factors) -> dict[str, np.ndarray]:
    """The factors as arrays of one length, in the order of FACTORS; other keys are left out.

    Raises:
      ValueError: a factor is missing, has another shape than [B], or a value outside its range; all such are named.
    """
    wrong, found, count = [], {}, None
    for name, factor in FACTORS.items():
        if name not in factors:
            wrong.append(f"{name} is missing")
            continue
        values = found[name] = np.asarray(factors[name])
        count = len(values) if count is None and values.ndim == 1 else count
        if values.shape != (count,):
            wrong.append(f"{name} has shape {values.shape}, expected [B], the same for all factors")
        elif isinstance(factor, Continuous):
            if not np.all((values >= factor.low) & (values <= factor.high)):
                wrong.append(f"{name} must lie from {factor.low:g} to {factor.high:g}")
        elif values.dtype.kind not in "iu" or (count and not 0 <= values.min() <= values.max() < len(factor.values)):
            wrong.append(f"{name} must be integers from 0 to {len(factor.values) - 1}")
    if wrong:
        raise ValueError("factors of avatars: " + "; ".join(wrong))
    return found
