"""A direction in a latent space, and the step along it: w + strength * unit * vector on chosen layers.

One form for InterFaceGAN (arXiv 2005.09635), GANSpace (2004.02546), SeFa (2007.06600) and StyleSpace (2011.12799).
"""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from data_pipelines.npz import finite_in_float32

Space = Literal["Z", "W", "W+", "S"]
Mode = Literal["relative", "absolute"]
Layers = str | Sequence[int]
"""Layers by number from 0, or as text such as "all", "3" or "0-3,7", where both ends of a range belong to it."""
MOST_LAYERS = 1000  # far more than any generator has


@dataclasses.dataclass(frozen=True, eq=False)
class Direction:
    """A direction.

    Attributes:
        name: what it changes, such as "smile".
        vector: f32 or f64, read-only: [D] in Z and W, [K, D] in W+, [C] in S, where C is the number of all style channels of a
            generator in the order of `Synthesis.styles`.
        space: where it points. A direction of W also applies to W+ codes, equally in all layers.
        layers: the layers that it changes, None for all: style vectors 0 ... K - 1 of W and W+ codes, entries of `widths` in S.
        unit: the length of strength 1 along `vector`: 1, or a standard deviation of the codes.
        zero: the coordinate of a code along `vector` that counts as strength 0; only absolute steps use it.
        widths: in S, the channels of each layer, which add up to C; empty in the other spaces.
        metadata: JSON-able; where it comes from.

    Raises ValueError if these do not fit together.
    """

    name: str
    vector: np.ndarray
    space: Space
    layers: tuple[int, ...] | None = None
    unit: float = 1.0
    zero: float = 0.0
    widths: tuple[int, ...] = ()
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.space not in get_args(Space):
            raise ValueError(f"direction {self.name}: unknown space {self.space!r}, expected one of Z, W, W+ and S")
        given = np.asarray(self.vector)
        if not np.can_cast(given.dtype, np.longdouble):
            raise ValueError(f"direction {self.name}: its vector is an array of {given.dtype}, expected real numbers")
        vector = given.astype(np.float32 if np.can_cast(given.dtype, np.float32) else np.float64)
        if vector.ndim != (2 if self.space == "W+" else 1):
            expected = {"W+": "[K, D]", "S": "[C]"}.get(self.space, "[D]")
            raise ValueError(
                f"direction {self.name}: its vector has shape {vector.shape}, expected {expected} in {self.space}"
            )
        if not finite_in_float32(vector) or not vector.any():
            raise ValueError(f"direction {self.name}: its vector is zero or has numbers that in float32 are not finite")
        if not (np.isfinite([self.unit, self.zero]).all() and self.unit > 0):
            raise ValueError(
                f"direction {self.name}: unit is {self.unit} and zero {self.zero}, expected finite numbers and a positive unit"
            )
        step = vector.astype(np.float64) * self.unit
        if not (finite_in_float32(np.append(step, self.zero / self.unit)) and step.astype(np.float32).any()):
            raise ValueError(
                f"direction {self.name}: with a unit of {self.unit} and a zero of {self.zero} its step is zero or not finite in "
                "float32, expected numbers of a usual size"
            )
        if sum(self.widths) != (len(vector) if self.space == "S" else 0):
            raise ValueError(
                f"direction {self.name}: widths {self.widths} do not fit a vector of shape {vector.shape} in {self.space}; "
                "expected the channels of every layer in S, and nothing in the other spaces"
            )
        vector.setflags(write=False)
        object.__setattr__(self, "vector", vector)
        if self.layers is not None:
            count = {"W+": len(vector), "S": len(self.widths)}.get(self.space)
            object.__setattr__(self, "layers", layer_numbers(self.layers, count))


def layer_numbers(layers: Layers, count: int | None = None) -> tuple[int, ...]:
    """Numbers of layers in ascending order; `count` (K, or the layers of S) is needed for "all" and bounds the others.

    Raises ValueError on text of another form, what is no whole number, no layer at all, or one beyond the last.
    """
    if isinstance(layers, str):
        layers = list(range(count)) if layers == "all" and count is not None else _parsed(layers)
    try:
        numbers = tuple(sorted({operator.index(number) for number in layers}))
    except TypeError as error:
        raise ValueError(f"layers are {layers!r}, expected whole numbers from 0") from error
    if not numbers or numbers[0] < 0 or (count is not None and numbers[-1] >= count):
        last = "" if count is None else f" to {count - 1}"
        shown = ", ".join(map(str, numbers if len(numbers) < 8 else (*numbers[:3], "...", numbers[-1])))
        raise ValueError(f"layers are [{shown}], expected numbers from 0{last}")
    return numbers


def _parsed(text: str) -> list[int]:
    numbers = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash) and int(last or first) < MOST_LAYERS):
            raise ValueError(f'layers are "{text}", expected numbers and ranges such as "0-3,7", or "all"')
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def apply(
    direction: Direction,
    codes: jax.Array | np.ndarray,
    strengths: float | Sequence[float] | jax.Array | np.ndarray,
    *,
    mode: Mode = "relative",
    layers: Layers | None = None,
) -> jax.Array:
    """Codes moved along a direction: [B, ...] for one strength, [n, B, ...] for n of them. Also inside `jax.jit`.

    A relative step moves by strength * unit, so that strength 0 returns the input bit for bit; this is how every published
    method edits W+ codes. An absolute step moves each code to the place where its coordinate along the direction is
    zero + strength * unit: InterFaceGAN for codes in Z and W, and e4e's GANSpace. The coordinate of a W+ code along a direction
    of W is that of its first style vector, as in e4e, and all layers take the same step. Layers that are not chosen keep
    their bits.

    Args:
        codes: f32[B, D] for a direction of Z, f32[B, D] or f32[B, K, D] for W, f32[B, K, D] for W+, f32[B, C] for S.
        strengths: one number or f32[n], in units of the direction.
        layers: instead of the direction's own.

    Raises ValueError if the codes belong to another space or generator than the direction, for strengths that are not finite,
    layers that do not exist, and an unknown mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode is {mode!r}, expected 'relative' or 'absolute'")
    if not isinstance(strengths, Tracer) and not np.isfinite(np.asarray(strengths, np.float64)).all():
        raise ValueError(f"strengths are {strengths}, expected finite numbers")
    start = jnp.asarray(codes)
    targets = jnp.asarray(strengths, start.dtype)
    if targets.ndim > 1:
        raise ValueError(f"strengths have shape {targets.shape}, expected one number or a list of them")
    step, probe = _step_and_probe(direction, start.shape, layers)
    return _moved(start, step, probe if mode == "absolute" else None, direction.zero / direction.unit, targets)


def _step_and_probe(
    direction: Direction, shape: tuple[int, ...], layers: Layers | None
) -> tuple[np.ndarray, np.ndarray]:
    """What strength 1 adds to a code, and what a code is multiplied with and summed to find its coordinate, in units."""
    vector, chosen = direction.vector, direction.layers if layers is None else layers
    _check_codes(direction, shape)
    if direction.space == "S":
        count = len(direction.widths)
        mask = np.repeat(_mask(chosen, count), direction.widths)
    elif len(shape) == 3:
        count = shape[1]
        mask = _mask(chosen, count)[:, None]
    elif chosen is not None and chosen != "all":
        raise ValueError(
            f"direction {direction.name} is to change layers {chosen}, but codes of shape {shape} have no layers; those of W+ "
            "have, which codes of W become with `broadcast_styles`"
        )
    else:
        mask = True
    step = np.where(mask, vector, 0.0)
    if not step.any():
        raise ValueError(f"direction {direction.name} is zero in layers {chosen}")
    if direction.space == "W" and len(shape) == 3:
        probe = np.zeros(shape[1:])
        probe[0] = vector
    else:
        probe = step
    return step * direction.unit, probe / (np.square(vector if direction.space == "W" else step).sum() * direction.unit)


def _mask(layers: Layers | None, count: int) -> np.ndarray:
    return np.isin(np.arange(count), layer_numbers("all" if layers is None else layers, count))


def _check_codes(direction: Direction, shape: tuple[int, ...]) -> None:
    vector = direction.vector.shape
    fits = shape[1:] == vector or (direction.space == "W" and len(shape) == 3 and shape[2:] == vector)
    if fits:
        return
    expected = f"[B, {', '.join(map(str, vector))}]" + (f" or [B, K, {vector[0]}]" if direction.space == "W" else "")
    raise ValueError(
        f"direction {direction.name} belongs to {direction.space} and needs codes of shape {expected}, got {shape}; "
        "use codes of that space, or a direction that was made for this generator"
    )


@jax.jit
def _moved(codes: jax.Array, step, probe, zero, strengths: jax.Array) -> jax.Array:
    """codes [B, ...] + amounts * step, where an amount is the strength, or what is missing to it."""
    amounts = jnp.broadcast_to(strengths[..., None], (*strengths.shape, codes.shape[0]))
    if probe is not None:
        coordinates = jnp.sum(codes * probe.astype(codes.dtype), axis=tuple(range(1, codes.ndim)))
        amounts = amounts + zero - coordinates
    amounts = amounts.reshape(*amounts.shape, *[1] * (codes.ndim - 1))
    offset = (amounts * step).astype(codes.dtype)
    return codes - (0 - offset)  # not codes + offset: -0.0 + 0.0 is 0.0, and an offset of 0 must change no bit
