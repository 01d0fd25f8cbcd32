"""The error over the steps of inversions, drawn as SVG."""

import math

import numpy as np

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 14, 58  # of the plotting area, in pixels
TICKS = 5


def error_curve(errors: np.ndarray) -> str:
    """SVG, as HTML, with one thin line for each picture and a thick one for their mean.

    errors: [B, N + 1] >= 0: of B pictures, for the average picture and after each of N > 0 steps. Colours come from the classes
    `grid`, `each`, `mean` and `mark` of the page.
    """
    steps = errors.shape[1] - 1
    unit = _tick(float(errors.max()))
    top = unit * max(1, math.ceil(float(errors.max()) / unit))

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * step / steps, 1)

    def y(error: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - error / top), 1)

    def line(values: np.ndarray, kind: str) -> str:
        points = " ".join(f"{x(step)},{y(value)}" for step, value in enumerate(values.tolist()))
        return f'<polyline class="{kind}" points="{points}"/>'

    mean = errors.mean(axis=0)
    parts = []
    for number in range(round(top / unit) + 1):
        level = number * unit
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level)}" y2="{y(level)}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(level)}" text-anchor="end" dominant-baseline="middle">{level:.3g}</text>'
        )
    every = math.ceil(steps / 10)
    for step in range(0, steps + 1, every):
        anchor = "start" if step == 0 else "end" if step == steps else "middle"
        name = "average" if step == 0 else str(step)
        parts.append(f'<text x="{x(step)}" y="{HEIGHT - BOTTOM + 24}" text-anchor="{anchor}">{name}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += [line(each, "each") for each in errors]
    parts.append(line(mean, "mean"))
    parts += [
        f'<circle class="mark" cx="{x(step)}" cy="{y(value)}" r="4"/>' for step, value in enumerate(mean.tolist())
    ]
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">L2 to the input</text>')
    told = ", ".join(f"{value:.4f}" for value in mean.tolist())
    inside = "\n".join(parts)
    return (
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>Mean L2 of the average picture and after '
        f"each step: {told}</title>\n{inside}\n</svg></div>"
    )


def _tick(highest: float) -> float:
    """1, 2 or 5 times a power of ten, of which at most TICKS reach up to `highest`."""
    rough = max(highest, 1e-12) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
