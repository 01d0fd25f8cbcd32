"""Lines in a diagram, drawn as SVG: inside a web page, whose style sheet may change them by their classes, or as a file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 14, 58  # of the plotting area, in pixels
LEGEND, LEGEND_LINE = 200, 22  # width of the names beside it, and height of each
TICKS = 5
INK, PAPER, FAINT = "#202124", "#ffffff", "#dadce0"
COLOURS = ("#c81e1e", "#1a5fd0", "#3c9646", "#e08a1e", "#7a4fbf", "#1a9aa8", "#8a8f98", "#b0467e")


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its ends, and where (in its numbers) which text stands. With `log`, low and all ticks are positive."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def place(self, value: float) -> float:
        """0 for the low end, 1 for the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Line:
    """Points (x, y) joined by a line. A name stands beside the diagram; `kind` is the class that a style sheet may use."""

    points: Sequence[tuple[float, float]]
    colour: str = COLOURS[1]
    name: str = ""
    width: float = 2
    marks: bool = False
    dashed: bool = False
    kind: str = "line"


def from_zero(label: str, highest: float) -> Axis:
    """A linear axis from 0 to `highest` >= 0 or a little above, with a handful of round numbers."""
    rough = max(highest, 1e-12) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    count = max(1, math.ceil(highest / unit))
    return Axis(label, 0, count * unit, [(n * unit, f"{n * unit:.3g}") for n in range(count + 1)])


def logarithmic(label: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis around the values, with ticks at 1, 2 and 5 times powers of ten, or at powers only if there are many.

    Raises ValueError if there are no values, or some are not positive.
    """
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"a logarithmic axis needs positive numbers, got {list(values)}")
    decades = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 2)
    for factors in ((1, 2, 5), (1,)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        low = max(tick for tick in ticks if tick <= min(values))
        high = min(tick for tick in ticks if tick >= max(values) and tick > low)
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) <= 2 * TICKS:
            break
    return Axis(label, low, high, [(tick, f"{tick:g}") for tick in shown], log=True)


def whole_numbers(label: str, last: int, first: int = 0) -> Axis:
    """A linear axis of whole numbers, one at least beyond the first; with more than ten, some are left out."""
    last = max(last, first + 1)
    every = max(1, math.ceil((last - first) / 10))
    return Axis(label, first, last, [(number, str(number)) for number in range(first, last + 1, every)])


def line_plot(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """An `<svg>` element. `title` is what screen readers say; later lines lie above earlier ones."""
    named = [line for line in lines if line.name]
    width = WIDTH + (LEGEND if named else 0)

    def across(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * x.place(value), 1)

    def up(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - y.place(value)), 1)

    parts = [f"<title>{escape(title)}</title>"]
    for value, text in y.ticks:
        parts.append(
            f'<line class="grid" stroke="{FAINT}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value)}" y2="{up(value)}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 8}" y="{up(value)}" text-anchor="end" dominant-baseline="middle">{escape(text)}</text>'
        )
    for value, text in x.ticks:
        anchor = {0.0: "start", 1.0: "end"}.get(round(x.place(value), 6), "middle")
        parts.append(
            f'<text x="{across(value)}" y="{HEIGHT - BOTTOM + 24}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    for line in lines:
        places = [(across(a), up(b)) for a, b in line.points]
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        joined = " ".join(f"{a},{b}" for a, b in places)
        parts.append(
            f'<polyline class="{line.kind}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"{dashes} '
            f'points="{joined}"/>'
        )
        if line.marks:
            parts += [f'<circle class="mark" fill="{line.colour}" cx="{a}" cy="{b}" r="4"/>' for a, b in places]
    for number, line in enumerate(named):
        height = TOP + LEGEND_LINE * (number + 0.5)
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(
            f'<line stroke="{line.colour}" stroke-width="3"{dashes} x1="{WIDTH + 4}" x2="{WIDTH + 28}" y1="{height}" '
            f'y2="{height}"/><text x="{WIDTH + 36}" y="{height + 5}">{escape(line.name)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
    )
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>')
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" fill="{INK}" font-family="system-ui, sans-serif" '
        f'font-size="16">{inside}\n</svg>'
    )


def as_file(plot: str) -> str:
    """What `line_plot` returned as the text of a file, on white paper."""
    root, inside = plot.split(">", 1)
    space = 'xmlns="http://www.w3.org/2000/svg"'
    return f'{root.replace("<svg", f"<svg {space}", 1)}>\n<rect width="100%" height="100%" fill="{PAPER}"/>{inside}\n'
