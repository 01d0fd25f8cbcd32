"""What is around an avatar and what it wears: background, clothes, glasses, hats, and noise over everything."""

import functools

import numpy as np

from data_pipelines.drawing.canvas import Array, Window, arc, box, ellipse, segment, zigzag
from data_pipelines.drawing.face import WHITE, Face, hue, rgb
from data_pipelines.drawing.factors import PATTERNS

TEXTURE_POINTS = (11, 31)
"""Points of the lattices of noise along a side of the picture."""


def background(face: Face) -> None:
    """The backdrop, and the shadow of the head on it."""
    canvas, x, y = face.canvas, face.picture.x, face.picture.y
    sharp = 0.5 / canvas.half_pixel
    second = hue(face["background_hue"] + 0.9, face["background_lightness"] * 0.72, 0.4)
    stripes = zigzag((x + y) * 1.25) * np.float32(0.2 * np.sqrt(0.5))
    dot_x, dot_y = (zigzag(x * 2) - 1) / 8, (zigzag(y * 2) - 1) / 8
    dots = np.sqrt(dot_x * dot_x + dot_y * dot_y) - 0.07
    blend = (
        face.flag("background", "gradient") * (0.5 + 0.5 * y)
        + face.flag("background", "halo") * np.clip(np.sqrt(x * x + y * y) * 0.8 - 0.1, 0, 1)
        + face.flag("background", "stripes") * 0.7 * np.clip(0.5 + stripes * sharp, 0, 1)
        + face.flag("background", "dots") * 0.7 * np.clip(0.5 - dots * sharp, 0, 1)
    )
    canvas.pixels[:] = face["backdrop"] + (second - face["backdrop"]) * blend[:, None]
    away_x, away_y = x + 0.14 * face["light_x"], y + 0.1 * face["light_y"]
    cast = ellipse(away_x, away_y, face["head_width"] * 1.15, face["head_height"] * 1.1)
    canvas.pixels *= (1 - 0.45 * face["shadow"] * np.clip(0.5 - cast / 0.36, 0, 1))[:, None]


def body(face: Face) -> None:
    """Shoulders, the neck with the shadow of the chin, and the cut of the clothes."""
    window = face.picture.window(face.rows, 0.0, 0.76, 1.1, 0.42)
    slope = np.clip(abs(window.x) - 0.2, 0, 1)
    top = -0.06 + 0.28 * slope + 0.35 * slope * slope
    steep = 0.28 + 0.7 * slope
    window.fill((top - window.y) / np.sqrt(1 + steep * steep), face["clothes"] * _rounded(face, window.x, 1.0))

    if part := face.where(collar=("round",)):
        window, neck = _at_neck(part)
        cut = ellipse(window.x, window.y - 0.14, neck + 0.07, 0.15)
        window.fill(np.maximum(cut, 0.12 - window.y), part["skin"])
        window.line(np.maximum(abs(cut), 0.12 - window.y), 0.02, part["clothes"] * 0.72)
    if part := face.where(collar=("v-neck", "shirt")):
        window, neck = _at_neck(part)
        cut = (abs(window.x) * 1.1 + window.y - 0.36) * 0.67
        window.fill(np.maximum(cut, 0.13 - window.y), part["skin"])
        window.line(np.maximum(abs(cut), 0.12 - window.y), 0.02, part["clothes"] * 0.72)

    window, neck = _at_neck(face)
    skin = box(window.x, window.y, neck + 0.1 * np.clip(window.y - 0.02, 0, 1), 0.2, 0.04)
    window.fill(skin, face["skin"] * _rounded(face, window.x, 0.2))
    chin = ellipse(window.x + 0.12 * face["light_x"], window.y + 0.1 + 0.1 * face["light_y"], neck * 1.5, 0.2)
    window.fill(np.maximum(chin, skin), face["skin_shade"] * 0.92, 0.35 + 0.5 * face["shadow"], soft=0.03)

    if part := face.where(collar=("turtleneck",)):
        window, neck = _at_neck(part)
        high = box(window.x, window.y - 0.2, neck + 0.035, 0.11, 0.03)
        window.fill(high, part["clothes"] * 0.9 * _rounded(part, window.x, 0.25))
    if part := face.where(collar=("shirt",)):
        window, neck = _at_neck(part)
        x = abs(window.x) - neck * 0.62
        inner, outer = -x - (window.y - 0.15) * 0.2, (x * 0.75 + window.y - 0.33) * 0.8
        flap = np.maximum(np.maximum(inner, outer), 0.1 - window.y + x * 0.4)
        window.fill(flap, part["clothes"] * 0.5 + 0.5)
        window.line(abs(flap), 0.008, part["clothes"] * 0.72)


def _at_neck(face: Face) -> tuple[Window, Array]:
    """A window around the neck, and half its width."""
    return face.picture.window(face.rows, 0.03 * face["sin_yaw"], 0.58, 0.42, 0.44), 0.42 * face["head_width"]


def _rounded(face: Face, x: Array, width: float) -> Array:
    """Brightness f32[b, 1, h, w] of something round of half this width."""
    return (1 + 0.2 * face["light_strength"] * face["light_x"] * np.clip(x / width, -1, 1))[:, None]


def glasses(face: Face) -> None:
    """Frames around both eyes, with a bridge and arms to the ears."""
    part = face.unless(glasses=("none",))
    if part is None:
        return
    square, tinted = part.flag("glasses", "square"), part.flag("glasses", "tinted")
    rim = rgb(122, 82, 40) + (rgb(38, 33, 42) - rgb(122, 82, 40)) * (square + tinted)[:, None]
    ends = []
    for side in (-1, 1):
        x, y, narrow, low = part.place(side * (part["eye_spacing"] + 0.005), -0.03 - 0.035 * part["eye_height"], 0.05)
        window = part.window(x, y, 0.3, 0.26)
        wide, high = 0.165 * narrow, 0.14 * low
        angular = box(window.x, window.y, wide, high * 0.82, 0.04)
        lens = ellipse(window.x, window.y, wide, high) * (1 - square) + angular * square
        window.fill(lens, rgb(40, 44, 60), 0.06 + 0.55 * tinted)
        window.fill(np.maximum(abs(window.x * 0.8 + window.y + 0.03) - 0.022, lens + 0.02), WHITE, 0.22)
        window.line(lens, 0.013 + 0.006 * square, rim)
        inner, outer = x - side * wide, x + side * wide
        ends.append(inner)
        arm = side * 0.95 * part["head_width"] - outer
        window = part.window(outer, y, 0.5, 0.1)
        window.line(segment(window.x, window.y + 0.02, arm, -0.01), 0.012, rim, np.clip(side * arm * 30, 0, 1))
    bridge = ends[1] - ends[0]
    window = part.window(ends[0] + bridge / 2, y, 0.2, 0.1)
    window.line(arc(window.x, window.y + 0.035, 0.0, 3.0, bridge / 2), 0.013, rim)


def hats(face: Face) -> None:
    """Knitted hats, caps with a visor, and hats with a brim."""
    for kind, draw in (("beanie", _beanie), ("cap", _cap), ("brim", _brim)):
        if part := face.where(hat=(kind,)):
            centre, line, _, _ = part.place(0.0, -0.28)
            window = part.window(0, -0.45, 1.05, 0.62)
            light = part["light_x"] * window.x + part["light_y"] * (window.y - 0.2)
            shade = (0.98 + 0.32 * part["light_strength"] * np.clip(light, -0.8, 0.8))[:, None]
            # A level circle around the head is seen as an arc.
            bend = 0.9 * part["sin_pitch"] - 0.25
            x, y = window.x - 0.6 * centre, window.y - 0.45 - line
            draw(part, window, part["hat_colour"] * shade, x, y, bend)


def _beanie(face: Face, window: Window, colour: Array, x: Array, y: Array, bend: Array) -> None:
    outline = face.outline[window.at]
    edge = y - bend * x * x
    window.fill(np.maximum(outline - 0.12, edge * 0.9), colour * (1 + 0.06 * zigzag(window.x * 7))[:, None])
    window.fill(np.maximum(outline - 0.135, abs(edge + 0.05) - 0.055), colour * 0.72)
    pompon = ellipse(x + 0.08 * face["sin_yaw"], window.y - 0.32 + face["head_height"], 0.1, 0.095)
    window.fill(pompon, colour * 0.5 + 0.5)


def _cap(face: Face, window: Window, colour: Array, x: Array, y: Array, bend: Array) -> None:
    dome = np.maximum(face.outline[window.at] - 0.07, (y - 0.5 * bend * x * x) * 0.9)
    window.fill(dome, colour)
    window.line(np.maximum(abs(x - 0.08 * face["sin_yaw"]), dome + 0.03), 0.008, colour * 0.72, 0.7)
    x = x - 0.25 * face["sin_yaw"]
    visor = ellipse(x, y - 0.01 + 0.15 * face["sin_pitch"] + 0.5 * x * x, face["head_width"] * 0.82, 0.075)
    window.fill(visor, colour * 0.72)


def _brim(face: Face, window: Window, colour: Array, x: Array, y: Array, bend: Array) -> None:
    crown = box(window.x + 0.06 * face["sin_yaw"], y + 0.26, face["head_width"] + 0.03, 0.26, 0.12)
    edge = y - bend * x * x
    window.fill(np.maximum(crown, edge), colour)
    window.fill(np.maximum(crown - 0.005, abs(edge + 0.05) - 0.055), colour * 0.72)
    plate = ellipse(x, y - 0.12 * bend, face["head_width"] + 0.3, 0.075 + 0.2 * abs(face["sin_pitch"]))
    window.fill(plate, colour * 0.92)


def texture(face: Face) -> None:
    """Smooth noise over the whole picture, the same at every resolution."""
    noise = 0
    for points in TEXTURE_POINTS:
        weights = _interpolation(points, face.canvas.resolution)
        noise = noise + weights @ _lattices(points)[face["texture_pattern"]] @ weights.T
    face.canvas.pixels *= (1 + 0.13 * face["texture"] * noise)[:, None]


@functools.cache
def _interpolation(points: int, size: int) -> Array:
    """f32[size, points]: quadratic B-splines from a lattice over the picture to the centres of its pixels."""
    position = (np.arange(size) + 0.5) / size * (points - 1)
    off = abs(position[:, None] - np.arange(points))
    return np.where(off < 0.5, 0.75 - off * off, 0.5 * np.clip(1.5 - off, 0, None) ** 2).astype(np.float32)


@functools.cache
def _lattices(points: int) -> Array:
    """f32[PATTERNS, points, points] in [-1, 1], by an integer hash of pattern, row and column."""
    number = np.arange(PATTERNS * points * points, dtype=np.uint32) + np.uint32(points * 7919)
    for _ in range(2):
        number = (number ^ (number >> np.uint32(16))) * np.uint32(0x45D9F3B)
    number ^= number >> np.uint32(16)
    return (number / 2.0**31 - 1).astype(np.float32).reshape(PATTERNS, points, points)
