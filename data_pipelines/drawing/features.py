"""The head of an avatar and the features of its face."""

import numpy as np

from data_pipelines.drawing.canvas import arc, ellipse, segment, turned
from data_pipelines.drawing.face import BLACK, WHITE, Face, rgb


def ears(face: Face) -> None:
    """Both ears, behind the head."""
    _, y, _, low = face.place(0, -0.02)
    size = face["ear_size"]
    for side in (-1, 1):
        # The near ear comes out from behind the head, the far one goes.
        x = side * face["head_width"] - 0.03 * face["sin_yaw"]
        width, height = 0.085 * size, 0.135 * size * low
        window = face.window(x, y, 0.2, 0.4)
        lit = 1 + 0.18 * face["light_strength"] * (side * face["light_x"])
        window.fill(ellipse(window.x, window.y, width, height), face["skin"] * 0.95 * lit[:, None])
        inner = ellipse(window.x - side * 0.015, window.y, width * 0.5, height * 0.6)
        window.fill(inner, face["skin_shade"] * lit[:, None], soft=0.02)


def earrings(face: Face) -> None:
    """Studs and hoops at the lobes, over the hair."""
    for kind, radius in (("studs", 0.03), ("hoops", 0.075)):
        part = face.where(earrings=(kind,))
        if part is None:
            continue
        _, y, _, low = part.place(0, -0.02)
        for side in (-1, 1):
            x = side * (part["head_width"] + 0.02) - 0.03 * part["sin_yaw"]
            seen = np.clip(1.3 - side * 4 * part["sin_yaw"], 0, 1)
            window = part.window(x, y + 0.13 * part["ear_size"] * low + radius, 0.12, 0.12)
            if kind == "studs":
                window.fill(ellipse(window.x, window.y + radius, radius, radius), rgb(246, 226, 150), seen)
            else:
                window.line(ellipse(window.x, window.y, radius * 0.8, radius), 0.014, rgb(232, 190, 84), seen)


def head(face: Face) -> None:
    """The bare head, shaded as an ellipsoid."""
    window = face.window(0, 0, 0.75, 0.85)
    across, down = face.across[window.at], face.down[window.at]
    toward = np.sqrt(np.clip(1 - across * across - down * down, 0, 1))
    facing = 0.68 * (across * face["light_x"] + down * face["light_y"]) + 0.42 * toward
    shade = 1 + face["light_strength"] * 0.42 * (facing - 0.34)
    # Shadows on skin are warm: red falls least.
    light = np.stack([0.35 + 0.65 * shade, shade, shade], 1)
    window.fill(face.outline[window.at], np.minimum(face["skin"] * light, 1))


def cheeks(face: Face) -> None:
    """Blush, and freckles."""
    for side in (-1, 1):
        x, y, narrow, low = face.place(side * 0.62 * face["head_width"], 0.15)
        window = face.window(x, y, 0.2, 0.16)
        strength = 0.05 + 0.4 * face["blush"]
        window.fill(ellipse(window.x, window.y, 0.09 * narrow, 0.06 * low), rgb(235, 84, 84), strength, soft=0.06)
    spotted = face.where(freckles=("yes",))
    if spotted is None:
        return
    spots = ((-0.1, 0.02), (-0.05, -0.03), (0.0, 0.025), (0.04, -0.025), (0.09, 0.01), (-0.02, 0.07), (0.06, 0.06))
    for side in (-1, 1):
        x, y, narrow, low = spotted.place(side * 0.52 * spotted["head_width"], 0.11)
        window = spotted.window(x, y, 0.16, 0.12)
        nearest = np.minimum.reduce(
            [ellipse(window.x - dx * narrow, window.y - dy * low, 0.013 * narrow, 0.013) for dx, dy in spots]
        )
        window.fill(nearest, spotted["skin_dark"], 0.6)


def eyes(face: Face) -> None:
    """Whites, irises, lids and lashes; they look where the head looks and where the gaze goes."""
    size = face["eye_size"]
    opened = face["eye_open"]
    half_width = 0.112 * size
    half_height = (0.078 + 0.014 * face["eye_roundness"]) * size
    for side in (-1, 1):
        x, y, narrow, low = face.place(side * face["eye_spacing"], -0.05 - 0.035 * face["eye_height"])
        width, height = half_width * narrow, half_height * low
        slit = height * (0.12 + 0.88 * opened)
        window = face.window(x, y, 0.24 * size, 0.22 * size)
        across, down = turned(window.x, window.y, -side * face["eye_tilt"])
        # The socket, and the upper lid with its shadow.
        socket = ellipse(across, down, width * 1.25, height * 1.35)
        window.fill(socket, face["skin_shade"], 0.3, soft=0.05)
        lid = ellipse(across, down + height * 0.22, width * 1.12, height * 1.12)
        window.fill(lid, face["lids"], 0.75 * face["eye_shadow"], soft=0.02)
        almond = ellipse(across, down, width, slit)
        window.fill(almond, rgb(250, 248, 246))
        # Iris and pupil stay inside the lids.
        look_x = (0.035 * face["gaze"] + 0.03 * face["sin_yaw"]) * size * narrow
        look_y = -0.04 * face["sin_pitch"] * size
        radius = 0.062 * size
        iris = ellipse(across - look_x, down - look_y, radius * np.sqrt(narrow), radius)
        window.fill(np.maximum(iris, almond), face["iris"])
        window.fill(np.maximum(abs(iris + 0.006) - 0.008, almond), face["iris"] * 0.5)
        pupil = ellipse(across - look_x, down - look_y, radius * 0.5 * np.sqrt(narrow), radius * 0.5)
        window.fill(np.maximum(pupil, almond), BLACK)
        glint_x, glint_y = look_x + 0.025 * face["light_x"], look_y + 0.025 * face["light_y"] - 0.008
        glint = ellipse(across - glint_x * size, down - glint_y * size, 0.018 * size, 0.018 * size)
        window.fill(np.maximum(glint, almond), WHITE, 0.95)
        # Shadow of the lid on the eye; then the lash line, thicker outwards.
        edge = abs(almond)
        lower = np.clip(0.5 + down / (2 * face.canvas.half_pixel), 0, 1)
        window.line(edge, 0.006, face["skin_dark"], 0.6 * lower)
        lashes = 0.011 + 0.008 * face["eye_shadow"] + 0.004 * np.clip(side * across / width, 0, 1)
        window.line(edge, lashes, BLACK, 1 - lower)
        tip_x = side * width * 0.97
        wing = segment(
            across - tip_x, down, side * (0.012 + 0.03 * face["eye_shadow"]), -0.008 - 0.03 * face["eye_shadow"]
        )
        window.line(wing, 0.007 + 0.004 * face["eye_shadow"], BLACK)


def brows(face: Face) -> None:
    """Two arches in the colour of the hair."""
    height = -0.205 - 0.035 * face["eye_height"] - 0.05 * face["brow_raise"]
    bend = 1.2 + 4.5 * face["brow_arch"]
    for side in (-1, 1):
        x, y, narrow, _ = face.place(side * (face["eye_spacing"] + 0.01), height)
        window = face.window(x, y, 0.24, 0.26)
        # Frowning turns the inner ends down.
        slope = side * (0.08 + 0.17 * face["brow_raise"] - 0.6 * face["eye_tilt"])
        reach = 0.125 * narrow
        inner = np.clip(-side * window.x / reach, -1, 1)
        distance = arc(window.x, window.y + bend * 0.006, slope, bend / narrow, reach)
        window.line(distance, face["brow_thickness"] * (0.8 + 0.25 * inner), face["hair"] * 0.72)


def nose(face: Face) -> None:
    """The bridge with its shadow away from the light, tip, wings and nostrils."""
    top_x, top_y, _, _ = face.place(0.0, -0.08, 0.03)
    length = 0.135 + 0.045 * face["nose_length"]
    x, y, narrow, low = face.place(0.0, length, 0.13)
    wide = face["nose_width"]
    window = face.window(x, y, 0.3, 0.42)
    side = np.clip(-4 * face["light_x"], -1, 1)  # where the dark flank is
    strength = face["light_strength"] * abs(face["light_x"])
    flank = segment(window.x - side * wide * 0.45, window.y - 0.01, top_x - x + side * 0.01, top_y - y) - 0.018
    window.fill(flank, face["skin_shade"] * 0.9, (0.4 + 0.6 * strength) * (0.1 + 0.9 * face["nose_bridge"]), soft=0.024)
    away = -side * wide * 0.1
    bridge = segment(window.x - away, window.y + 0.02, top_x - x, top_y - y)
    window.fill(bridge - 0.012, np.minimum(face["skin"] * 1.15, 1), 0.8 * face["nose_bridge"], soft=0.02)
    # The tip stands out by the shadow below it.
    tip = ellipse(window.x, window.y - 0.03, wide * 0.95 * narrow, 0.05 * low)
    window.fill(tip, face["skin_shade"], 0.85, soft=0.025)
    ball = ellipse(window.x, window.y - 0.005 + 0.02 * face["sin_pitch"], wide * 0.8, 0.052)
    window.fill(ball, np.minimum(face["skin"] * 1.04, 1), 0.9, soft=0.02)
    glow = ellipse(window.x - 0.02 * face["light_x"], window.y + 0.012 - 0.015 * face["light_y"], 0.022, 0.018)
    window.fill(glow, WHITE, 0.28 * face["light_strength"], soft=0.015)
    for wing in (-1, 1):
        nostril = ellipse(window.x - wing * wide * 0.5, window.y - 0.045 * low, 0.022, 0.013 + 0.02 * face["sin_pitch"])
        window.fill(nostril, face["skin_dark"], 0.85)
        curve = arc(window.y - 0.012, window.x - wing * wide * 0.98, 0.0, -9.0 * wing, 0.035)
        window.line(curve, 0.008, face["skin_dark"], 0.7)


def mouth(face: Face) -> None:
    """Lips that curve and part, with teeth and tongue behind them."""
    smile, opened = face["smile"], face["mouth_open"]
    x, y, narrow, low = face.place(0.0, 0.335 + 0.015 * face["nose_length"], 0.03)
    half = face["mouth_width"] * (1 + 0.14 * smile - 0.16 * opened) * narrow
    window = face.window(x, y, 0.32, 0.34)
    unit = window.x / half
    inside = 1 - unit * unit
    # Seen from below or above, the mouth bends around the teeth.
    curve = 0.055 * smile + 0.05 * face["sin_pitch"]
    middle = curve * (inside - 0.5)
    arch = np.maximum(inside, 0)
    gap_up = 0.035 * opened * arch
    gap_down = 0.125 * opened * arch * low
    full = face["lip_fullness"]
    bow = arch * (1 - 0.35 * np.clip(1 - 5 * abs(unit), 0, 1))
    upper = middle - gap_up - 0.042 * full * bow * low
    lower = middle + gap_down + 0.056 * full * np.sqrt(arch) * low
    closed = np.where(inside > 0, np.float32(1), np.float32(0))
    shade = ellipse(window.x, window.y - 0.105 * full - 0.125 * opened, half * 0.55, 0.022)
    window.fill(shade, face["skin_shade"], 0.75, soft=0.025)
    window.strip(upper, middle, face["lips"] * 0.88, closed)
    window.strip(middle, lower, face["lips"], closed)
    gloss = ellipse(window.x - 0.03 * face["light_x"], window.y - middle - gap_down - 0.026 * full, half * 0.35, 0.007)
    window.fill(gloss, WHITE, 0.3, soft=0.012)
    cavity_top, cavity_bottom = middle - gap_up, middle + gap_down
    window.strip(cavity_top, cavity_bottom, rgb(92, 22, 30), closed)
    tongue = ellipse(window.x, window.y - 0.12 * opened, half * 0.6, 0.07 * opened + 0.001)
    inner = np.maximum(window.y - cavity_bottom, cavity_top - window.y)
    window.fill(np.maximum(tongue, inner + 0.004), rgb(214, 96, 104), closed)
    bite = np.minimum(cavity_top + 0.05, cavity_bottom)
    teeth = 1 - np.clip((abs(unit) - 0.8) * 8, 0, 1)
    window.strip(cavity_top, bite, rgb(250, 248, 240), closed * teeth)
    line = arc(window.x, window.y - 0.5 * curve, 0.0, -curve / (half * half), half)
    window.line(line, 0.009, face["lips"] * 0.45, 1 - np.clip(opened * 6, 0, 1))
    # Dimples at the corners.
    for side in (-1, 1):
        dimple = arc(window.y + 0.5 * curve, window.x - side * half * 1.04, 0.0, -4.0 * side, 0.022)
        window.line(dimple, 0.007, face["skin_dark"], 0.75 * np.clip(smile, 0.15, 1))


def age_lines(face: Face) -> None:
    """Lines on the forehead, beside eyes and mouth, and bags below the eyes."""
    age = face["age"]
    colour = face["skin_dark"]
    for step in range(3):
        x, y, narrow, _ = face.place(0.0, -0.3 - 0.062 * step)
        window = face.window(x, y, 0.3, 0.1)
        line = arc(window.x, window.y, 0.05 * (step - 1), 0.35, (0.2 - 0.03 * step) * narrow)
        window.line(line, 0.009, colour, np.clip(1.4 * age - 0.5 - 0.15 * step, 0, 0.7))
    for side in (-1, 1):
        x, y, narrow, _ = face.place(side * face["eye_spacing"], 0.045 - 0.035 * face["eye_height"])
        window = face.window(x, y, 0.16, 0.1)
        line = arc(window.x, window.y - 0.012, 0.0, -2.2, 0.085 * narrow)
        window.line(line, 0.009, colour, np.clip(1.3 * age - 0.45, 0, 0.65))
        x, y, narrow, _ = face.place(side * (face["eye_spacing"] + 0.135), -0.045 - 0.035 * face["eye_height"])
        window = face.window(x, y, 0.12, 0.12)
        for rise in (-0.6, 0.0, 0.6):
            line = segment(window.x, window.y - 0.03 * rise, side * 0.06 * narrow, 0.05 * rise)
            window.line(line, 0.007, colour, np.clip(1.5 * age - 0.6, 0, 0.75))
        x, y, narrow, _ = face.place(side * 0.17, 0.24)
        window = face.window(x, y, 0.14, 0.2)
        fold = arc(window.y, window.x, side * 0.55 * narrow, -side * 1.3, 0.095)
        window.line(fold, 0.01, colour, np.clip(1.2 * age - 0.3 + 0.2 * face["smile"] * age, 0, 0.75))
