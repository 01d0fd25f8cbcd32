"""The hair of an avatar, behind and in front of the head, and the beard."""

import numpy as np

from data_pipelines.drawing.canvas import Array, Window, arc, box, ellipse, turned, zigzag
from data_pipelines.drawing.face import Face


def _hair(face: Face, window: Window, strands: Array) -> Array:
    """f32[b, 3, h, w]: the colour of lit hair; strands: a coordinate across them, one unit for each."""
    light = np.clip(face["light_x"] * window.x + face["light_y"] * window.y, -0.8, 0.8)
    return face["hair"] * (0.94 + 0.28 * face["light_strength"] * light + 0.05 * zigzag(strands))[:, None]


def hair_behind(face: Face) -> None:
    """The hair that hangs or stands behind head and neck."""
    # The back of the head goes the other way when the face turns.
    if part := face.where(hair_style=("long", "bob")):
        window = part.window(part["back_x"], 0.1, 1.0, 1.0)
        long = part.flag("hair_style", "long")
        wide = part["head_width"] + 0.06 + part["volume"]
        crown = ellipse(window.x, window.y + 0.1, wide, part["head_height"] + 0.06 + part["volume"])
        bottom = 0.42 + 0.44 * long
        swing = 1 + (0.12 + 0.04 * long) * np.clip(window.y, 0, 1)
        fall = box(window.x / swing, window.y + 0.1 - bottom / 2, wide, bottom / 2, 0.12)
        window.fill(np.minimum(crown, fall), _hair(part, window, window.x * 5) * 0.84)
    if part := face.where(hair_style=("curly",)):
        window = part.window(part["back_x"], -0.12, 0.92, 0.92)
        wide, high = part["head_width"] + 0.1 + 1.4 * part["volume"], part["head_height"] + 0.03 + 1.2 * part["volume"]
        window.fill(_curls(window, wide, high), _hair(part, window, window.x * 4) * 0.85)
    if part := face.where(hair_style=("ponytail",)):
        window = part.window(part["back_x"] * 1.6 - 0.44, -0.1, 0.55, 1.1)
        bent = window.x - 0.06 - 0.12 * zigzag(window.y * 0.45 + 0.3)
        window.fill(ellipse(bent, window.y - 0.2, 0.16 + part["volume"], 0.62), _hair(part, window, bent * 7) * 0.85)
    bareheaded = face.where(hat=("none",))
    if bareheaded and (part := bareheaded.where(hair_style=("bun",))):
        x, y, _, _ = part.place(0.0, -0.58, -0.35)
        window = part.window(x, y - 0.08, 0.32, 0.32)
        bun = ellipse(window.x, window.y, 0.19 + part["volume"], 0.17 + part["volume"])
        window.fill(bun, _hair(part, window, window.y * 7))
        window.line(arc(window.x, window.y, 0.3, 1.5, 0.12), 0.012, part["hair"] * 0.6)
    if part := face.where(hair_style=("parted", "spiky", "bun", "ponytail", "buzz")):
        window = part.window(part["back_x"], -0.12, 0.72, 0.72)
        wide = part["head_width"] + (0.7 - 0.5 * part.flag("hair_style", "buzz")) * part["volume"]
        window.fill(ellipse(window.x, window.y, wide, part["head_height"] * 0.93), part["hair"] * 0.7)


def _curls(window: Window, wide: Array, high: Array) -> Array:
    """Distance to an ellipse with a wavy edge: cos 10 phi as a polynomial in cos phi is cheaper than a cosine."""
    x, y = window.x, window.y
    cos_2 = 2 * x * x / (x * x + y * y + np.float32(1e-6)) - 1
    square = cos_2 * cos_2
    return ellipse(x, y, wide, high) - 0.025 * cos_2 * ((16 * square - 20) * square + 5)


def hair_in_front(face: Face) -> None:
    """The hair on the head: everything inside an enlarged outline and above a hair line, and locks beside the face."""
    part = face.unless(hair_style=("bald",))
    if part is None:
        return
    buzz, spiky, curly = (part.flag("hair_style", style) for style in ("buzz", "spiky", "curly"))
    centre, line, _, _ = part.place(0.0, -0.35)
    window = part.window(0, -0.15, 0.8, 0.75)
    x, y = window.x - 0.9 * centre, window.y - 0.15 - line
    square = x * x
    edge = (
        buzz * (2.1 * square - 0.03)
        + part.flag("hair_style", "parted")
        * (0.34 * x + 1.7 * square - 0.04 - 0.16 * np.clip(1 - abs(x + 0.2) * 6, 0, 1))
        + spiky * (1.9 * square + 0.035 * zigzag(x * 5))
        + curly * (0.02 + 1.5 * square + 0.03 * zigzag(x * 4))
        + part.flag("hair_style", "bob") * (0.13 + 1.1 * square + 0.02 * zigzag(x * 6 + 0.25))
        + part.flag("hair_style", "long") * (0.85 * abs(x) + 0.4 * square - 0.1)
        + (part.flag("hair_style", "bun") + part.flag("hair_style", "ponytail")) * (1.8 * square - 0.05)
    )
    upwards = np.clip(0.3 - 2 * window.y, 0, 1)
    grown = part.outline[window.at] - part["volume"] * (1 - 0.85 * buzz) - 0.02 * curly
    grown -= 0.05 * spiky * (1 + zigzag((window.x + 0.25 * window.y) * 4.5)) * upwards
    hair = np.maximum(grown, (y - edge) * 0.8)
    window.fill(hair, _hair(part, window, x * 6 + 0.8 * y), 1 - 0.35 * buzz)
    across, down = part.across[window.at], part.down[window.at]
    sheen = ellipse(across - 0.45 * part["light_x"], down + 0.75, 0.42, 0.1)
    bright = part["hair"] * 1.25 + 0.1
    window.fill(np.maximum(sheen * 0.5, hair), bright, 0.4 * part["light_strength"], soft=0.05)

    if part := face.where(hair_style=("long", "bob")):
        length = 0.3 + 0.22 * part.flag("hair_style", "long")
        for side in (-1, 1):
            # Of the side that turns away, only hair beyond the face is seen.
            away = side * part["sin_yaw"]
            x = side * (part["head_width"] + 0.03 + 0.05 * np.clip(away, 0, 1) + 0.12 * np.clip(away, -1, 0))
            window = part.window(x, 0.0, 0.28, 0.75)
            below = np.maximum(window.y - 0.1, 0)
            wide = (0.05 + 0.5 * part["volume"]) * np.clip(1 - away, 0.5, 1.3)
            lock = ellipse(window.x + side * 0.35 * below * below, window.y - 0.5 * length, wide, 0.85 * length)
            window.fill(lock, _hair(part, window, window.x * 7))


def beard(face: Face) -> None:
    """Stubble and full beards along the jaw, goatees around the chin, moustaches above the lip."""
    if part := face.where(beard=("stubble", "full")):
        full = part.flag("beard", "full")
        x, y, narrow, low = part.place(0.0, 0.02)
        window = part.window(0, 0.3, 0.8, 0.62)
        bare = ellipse(window.x - 0.45 * x, window.y + 0.28 - y, part["head_width"] * 0.43 * (1 + narrow), 0.27 * low)
        grown = np.maximum(np.maximum(part.outline[window.at] - 0.045 * full, -bare), -0.3 - window.y)
        tint = full[:, None] * _strands(part, window.x * 6)
        tint = tint + (1 - full)[:, None] * (part["hair"] * 0.5 + part["skin_dark"] * 0.4)
        window.fill(grown, tint, 0.3 + 0.7 * full, soft=0.025)
    if part := face.where(beard=("goatee",)):
        x, y, narrow, low = part.place(0.0, 0.48, 0.02)
        window = part.window(x, y, 0.3, 0.3)
        chin = ellipse(window.x, window.y, 0.14 * narrow, 0.14 * low)
        window.fill(np.maximum(chin, part.outline[window.at] - 0.04), _strands(part, window.x * 8), soft=0.02)
    if part := face.where(beard=("moustache", "goatee", "full")):
        x, y, narrow, _ = part.place(0.0, 0.275, 0.05)
        window = part.window(x, y, 0.3, 0.2)
        for side in (-1, 1):
            tilt = side * (0.3 - 0.15 * part["smile"])
            across, down = turned(window.x - side * 0.075 * narrow, window.y - 0.008, tilt)
            window.fill(ellipse(across, down, 0.115 * narrow, 0.04), _strands(part, across * 9))


def _strands(face: Face, strands: Array) -> Array:
    return face["hair"] * (0.81 + 0.06 * zigzag(strands))[:, None]
