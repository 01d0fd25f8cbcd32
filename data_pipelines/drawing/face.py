"""One head for each picture of a batch: its outline, its colours, and where things lie when it is turned.

Lengths are in half pictures; the head stands around the origin of its own frame, about one unit wide and 1.2 high.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data_pipelines.drawing.canvas import Array, Canvas, Frame, Window
from data_pipelines.drawing.factors import FACTORS, Discrete, code, names

DEPTH = 0.34
"""From the axis that the head turns around to the middle of the face."""
NECK = 0.6
"""Height of the point that the head leans around."""

SKIN = ((255, 222, 196), (244, 200, 162), (219, 163, 118), (170, 113, 76), (112, 72, 50), (90, 57, 42))
HAIR = {
    "black": (38, 32, 38),
    "brown": (84, 54, 38),
    "chestnut": (134, 72, 42),
    "ginger": (201, 98, 38),
    "blond": (228, 186, 104),
    "grey": (176, 176, 182),
    "blue": (64, 98, 190),
    "pink": (226, 106, 160),
}
IRIS = {
    "dark": (52, 34, 28),
    "brown": (112, 68, 36),
    "hazel": (150, 112, 50),
    "green": (78, 140, 82),
    "blue": (66, 124, 194),
    "grey": (128, 142, 152),
}
LIPS = {"red": (200, 28, 44), "pink": (236, 96, 140), "plum": (122, 30, 84)}


def rgb(*bytes_: float) -> Array:
    """A colour of 8-bit values as f32[1, 3, 1, 1] in [0, 1]."""
    return np.array(bytes_, np.float32).reshape(1, 3, 1, 1) / np.float32(255)


WHITE, BLACK = rgb(255, 255, 255), rgb(24, 18, 22)


class _Rows(dict[str, Array]):
    """Values of some rows of a batch, taken when they are first asked for."""

    def __init__(self, values: Mapping[str, Array], within: Array) -> None:
        super().__init__()
        self._values, self._within = values, within

    def __missing__(self, name: str) -> Array:
        self[name] = self._values[name][self._within]
        return self[name]


@dataclass(frozen=True)
class Face:
    """The faces of some pictures of a canvas.

    rows: int[b], which pictures. values: factors (f32[b, 1, 1], angles in radians, or int64[b] for discrete ones) and what
    follows from them (colours are f32[b, 3, 1, 1]), taken as `face["smile"]`. picture, head: the frame of the picture, and the
    one that leans with the head. Of every picture of the canvas, f32[B, R, R]: outline, the distance to the outline of the
    head; across, down: the position in the head, of length 1 at the outline.
    """

    canvas: Canvas
    rows: Array
    values: Mapping[str, Array]
    picture: Frame
    head: Frame
    outline: Array
    across: Array
    down: Array

    @classmethod
    def of(cls, canvas: Canvas, factors: Mapping[str, Array]) -> "Face":
        """The faces of all pictures of a canvas; factors as `factors.checked` returns them."""
        values = _geometry(factors)
        values |= _colours(values)
        picture = Frame(canvas, np.zeros_like(values["roll"]), 0.0)
        head = Frame(canvas, values["roll"], NECK)
        return cls(canvas, np.arange(len(canvas.pixels)), values, picture, head, *_outline(head, values))

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def where(self, **chosen: tuple[str, ...]) -> "Face | None":
        """The pictures in which a discrete factor has one of some values; None if there are none."""
        ((name, values),) = chosen.items()
        return self._rows(np.isin(self[name], [code(name, value) for value in values]))

    def unless(self, **refused: tuple[str, ...]) -> "Face | None":
        """The pictures in which a discrete factor has none of some values; None if there are none."""
        ((name, values),) = refused.items()
        return self._rows(~np.isin(self[name], [code(name, value) for value in values]))

    def _rows(self, chosen: Array) -> "Face | None":
        within = np.flatnonzero(chosen)
        return replace(self, rows=self.rows[within], values=_Rows(self.values, within)) if len(within) else None

    def flag(self, name: str, value: str) -> Array:
        """f32[b, 1, 1]: 1 where a discrete factor has this value, else 0."""
        return (self[name] == code(name, value)).astype(np.float32)[:, None, None]

    def window(self, x: Array | float, y: Array | float, width: Array | float, height: Array | float) -> Window:
        """See `Frame.window`, in the frame of the head."""
        return self.head.window(self.rows, x, y, width, height)

    def place(self, x: Array | float, y: Array | float, depth: float = 0.0) -> tuple[Array, Array, Array, Array]:
        """Where the point (x, y) of a face seen from the front lies when the head is turned, and how much a small thing
        there shrinks in x and y. depth: how far it stands out of the face."""
        sin_yaw, cos_yaw, sin_pitch, cos_pitch = self["sin_yaw"], self["cos_yaw"], self["sin_pitch"], self["cos_pitch"]
        bulge_x, bulge_y = x / self["head_width"], y / self["head_height"]
        front = DEPTH * (1 - 0.5 * bulge_x * bulge_x - 0.3 * bulge_y * bulge_y) + depth
        narrow = np.clip(cos_yaw - DEPTH * bulge_x / self["head_width"] * sin_yaw, 0.35, 1.1)
        low = np.clip(cos_pitch + 0.6 * DEPTH * bulge_y / self["head_height"] * sin_pitch, 0.6, 1.1)
        return x * cos_yaw + front * sin_yaw, y * cos_pitch - front * sin_pitch, narrow, low


def _geometry(factors: Mapping[str, Array]) -> dict[str, Array]:
    values: dict[str, Array] = {}
    for name, factor in FACTORS.items():
        if isinstance(factor, Discrete):
            values[name] = factors[name]
        else:
            radians = np.deg2rad(factors[name]) if factor.kind == "angle" else factors[name]
            values[name] = radians.astype(np.float32)[:, None, None]
    for name in ("yaw", "pitch"):
        values[f"sin_{name}"], values[f"cos_{name}"] = np.sin(values[name]), np.cos(values[name])
    values["light_x"], values["light_y"] = np.cos(values["light_direction"]), -np.sin(values["light_direction"])
    values["back_x"] = -0.16 * values["sin_yaw"]
    values["volume"] = 0.03 + 0.07 * values["hair_volume"]
    return values


def _colours(values: Mapping[str, Array]) -> dict[str, Array]:
    tone = values["skin_tone"][:, 0, 0] * (len(SKIN) - 1)
    ramp = np.array(SKIN, np.float32) / 255
    skin = np.stack([np.interp(tone, np.arange(len(SKIN)), ramp[:, channel]) for channel in range(3)], 1)
    skin = skin + values["skin_undertone"][:, :, 0] * np.array([[0.032, -0.034, -0.016]])
    skin = skin.astype(np.float32)[:, :, None, None]
    lips = np.concatenate([rgb(*colour) for colour in LIPS.values()])[values["lipstick"] - 1]
    bare = (values["lipstick"] == code("lipstick", "none"))[:, None, None, None]
    hat, lids = values["clothes_hue"] + 2.2, values["clothes_hue"] + 1
    return {
        "skin": skin,
        "skin_shade": skin * rgb(196, 150, 146),
        "skin_dark": skin * rgb(128, 82, 78),
        "hair": np.concatenate([rgb(*HAIR[name]) for name in names("hair_colour")])[values["hair_colour"]],
        "iris": np.concatenate([rgb(*IRIS[name]) for name in names("eye_colour")])[values["eye_colour"]],
        "lips": np.where(bare, skin * rgb(232, 158, 158), lips),
        "lids": hue(lids, np.full_like(lids, 0.62), 0.6),
        "clothes": hue(values["clothes_hue"], values["clothes_lightness"], 0.45),
        "hat_colour": hue(hat, values["clothes_lightness"] * 0.9 + 0.05, 0.55),
        "backdrop": hue(values["background_hue"], values["background_lightness"], 0.34),
    }


def _outline(head: Frame, values: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Distance to the outline of the head, and the position in it (see `Face`)."""
    height = values["head_height"]
    # The chin is in front of the axis: it moves when the head turns, and the crown hardly.
    down = head.y / np.where(head.y > 0, height - 0.55 * DEPTH * values["sin_pitch"], height)
    lower = np.clip(down, -1, 1.2) + 1
    x = head.x - 0.065 * values["sin_yaw"] * lower * lower
    # Half the width at each height, relative to an ellipse.
    jaw, chin = 0.07 * values["jaw_width"] - 0.02, 0.07 * values["chin_width"] + 0.02
    below = np.clip(down, 0, 1.2)
    wide = 1 + jaw * below + chin * below * below
    across = x / (values["head_width"] * wide)
    radius = np.sqrt(across * across + down * down)
    gradient_x = across / (values["head_width"] * wide)
    gradient_y = (down - across * across * (jaw + 2 * chin * below) / wide) / height
    gradient = np.sqrt(gradient_x * gradient_x + gradient_y * gradient_y)
    tiny = np.float32(1e-3)  # keeps the quotient defined in the centre
    return (radius - 1) * (radius + tiny) / (gradient + 2 * tiny), across, down


def hue(angle: Array, lightness: Array, saturation: float) -> Array:
    """f32[b, 3, 1, 1] of a hue in radians and a lightness in [0, 1], both f32[b, 1, 1]."""
    thirds = np.array([0, -2, 2], np.float32).reshape(1, 3, 1, 1) * np.float32(np.pi / 3)
    wave = np.cos(angle[:, None] + thirds).astype(np.float32)
    return np.clip(lightness[:, None] * (1 + saturation * (wave * 0.75 - 0.1)), 0, 1)
