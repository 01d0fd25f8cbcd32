"""What the measurements of editing say: tables, a sentence about the paper's claim, a figure, strips of pictures."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.avatars.editing_methods import METHODS, OWN, SHARED
from restyle_jax.jobs import environment
from restyle_jax.viz import GridRow, picture_grid

STRIP, CELL = 8, 96  # pictures in a strip, and their size
INTERFACEGAN = "InterFaceGAN"
# What an edit should leave alone: the key, its title, and whether more of it is better.
KEPT = {
    "dependency": ("change of others", False),
    "identity": ("identity kept", True),
    "perceptual": ("perceptual change", False),
}
COLUMNS = {
    "strength": "strength",
    "dependency": "others",
    "dependency_max": "most of them",
    "dependency_numbers": "numbers",
    "dependency_choices": "choices",
    "identity": "identity",
    "perceptual": "perceptual",
}
DEFINITIONS = {
    "change": "of the target, as the attribute network sees it: mean over the pictures of the difference to the reconstruction, in "
    "standard deviations over generated pictures (a number as it is, a value of a choice as log-odds)",
    "others": "attribute dependency: mean |change| of a column, averaged over the columns of all other attributes; `most of them`: "
    "the largest. `numbers` are what a regressor of factors says, `choices` what a classifier of attributes says",
    "identity": "cosine similarity of the identity network between reconstruction and edit",
    "perceptual": "perceptual distance between reconstruction and edit",
    "strength": "length in W of the step of each style that moves (InterFaceGAN, SeFa, labels), standard deviations (GANSpace, "
    "StyleSpace), share of what the editor makes (reference); found by bisection, the same for all pictures",
}


def results(measured: Mapping[str, Any], settings: Mapping[str, Any], left_out: Mapping[str, str]) -> dict[str, Any]:
    """Everything, as JSON has it. measured: {encoder: {"reconstruction", "edits": {target: {method: numbers}}}}."""
    return {
        "settings": dict(settings),
        "left_out": dict(left_out),
        "encoders": dict(measured),
        "editability": editability(measured),
        "claim": claim(measured),
        "definitions": DEFINITIONS,
        "versions": environment.versions(),
        "device": environment.device(),
    }


def editability(measured: Mapping[str, Any]) -> dict[str, Any]:
    """{"edits": pairs of target and method that reach the change on every encoder, "encoders": {name: mean over them}}."""
    every = [encoder["edits"] for encoder in measured.values()]
    pairs = [
        (target, method)
        for target in every[0]
        for method in METHODS
        if all(edits[target][method].get("reached") for edits in every)
    ]
    means = {
        name: _means([encoder["edits"][target][method] for target, method in pairs])
        for name, encoder in measured.items()
    }
    return {"edits": [list(pair) for pair in pairs], "encoders": means}


def _means(edits: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of what edits leave alone, as far as it was measured in all of them."""
    return {
        key: float(np.mean([edit[key] for edit in edits])) for key in KEPT if edits and all(key in e for e in edits)
    }


def claim(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a direction for each picture (`OWN`) beats one for all (`SHARED`, InterFaceGAN), over pairs of encoder and target
    where all three reach the change: {"pairs", "means": {method: ...}, "better": {method: {measure: pairs}}, "sentence"}."""
    methods = (OWN, SHARED, INTERFACEGAN)
    pairs = [
        [edits[method] for method in methods]
        for encoder in measured.values()
        for edits in encoder["edits"].values()
        if all(edits[method].get("reached") for method in methods)
    ]
    means = {method: _means([pair[i] for pair in pairs]) for i, method in enumerate(methods)}
    better = {
        method: {key: sum(_beats(key, pair[0][key], pair[i][key]) for pair in pairs) for key in means[OWN]}
        for i, method in enumerate(methods)
        if i
    }
    return {"pairs": len(pairs), "means": means, "better": better, "sentence": _sentence(len(pairs), means, better)}


def _beats(key: str, own: float, other: float) -> bool:
    return own > other if KEPT[key][1] else own < other


def _sentence(pairs: int, means: Mapping[str, Any], better: Mapping[str, Any]) -> str:
    if not means[OWN]:
        return "Whether a direction for each picture beats one for all cannot be said: nowhere do all three reach the change."
    told, wins = [], []
    for key, own in means[OWN].items():
        told.append(
            f"{KEPT[key][0]} {own:.3f} along a direction for each picture, {means[SHARED][key]:.3f} along the mean of these (the "
            f"first is better in {better[SHARED][key]}), {means[INTERFACEGAN][key]:.3f} along InterFaceGAN's (better in "
            f"{better[INTERFACEGAN][key]})"
        )
        wins += [_beats(key, own, means[method][key]) for method in better]
    verdict = "holds" if all(wins) else "holds in part" if any(wins) else "does not hold"
    return (
        f"That a direction for each picture beats one for all {verdict} here. Means over {pairs} pairs of encoder and target: "
        + "; ".join(told)
        + "."
    )


def tables(found: Mapping[str, Any]) -> str:
    """Markdown: the encoders, the methods, then one table for each target, what was left out, and the claim."""
    measured, kept = found["encoders"], found["editability"]
    first = next(iter(measured.values()))
    lines = [f"Edits of {found['settings']['pictures']} held-out avatars.", ""]
    lines += _heading(["encoder", *first["reconstruction"], *(f"{KEPT[key][0]} in edits" for key in KEPT)])
    for name, encoder in measured.items():
        means = kept["encoders"][name]
        values = [*encoder["reconstruction"].values(), *(means.get(key) for key in KEPT)]
        lines.append(_row([name, *map(_number, values)]))
    lines += [
        "",
        f"Edits: means over the {len(kept['edits'])} pairs of target and method that every encoder reaches.",
        "",
    ]
    lines += [*_of_methods(measured), ""]
    for target in first["edits"]:
        lines += [f"### {target} by {found['settings']['change']:g} sd", ""]
        lines += [*_of_target(target, measured), ""]
    lines += [f"Left out: {name}: {reason}" for name, reason in found["left_out"].items()]
    lines += ["", found["claim"]["sentence"], ""]
    lines += [f"- {name}: {text}." for name, text in found["definitions"].items()]
    return "\n".join(lines) + "\n"


def _of_methods(measured: Mapping[str, Any]) -> list[str]:
    """Every method by target: how many encoders it reaches the change on, and means over these."""
    columns = [*(key for key in COLUMNS if key.startswith("dependency")), *(key for key in KEPT if key != "dependency")]
    lines = _heading(["target", "method", "encoders", *(COLUMNS[key] for key in columns)])
    for target, methods in next(iter(measured.values()))["edits"].items():
        for method in methods:
            edits = [encoder["edits"][target][method] for encoder in measured.values()]
            reached = [edit for edit in edits if edit.get("reached")]
            if not all("left_out" in edit for edit in edits):
                means = [
                    float(np.mean([edit[key] for edit in reached])) if reached and key in reached[0] else None
                    for key in columns
                ]
                lines.append(_row([target, method, f"{len(reached)} of {len(edits)}", *map(_number, means)]))
    return [*lines, "", "Means over the encoders on which a method reaches the change."]


def _of_target(target: str, measured: Mapping[str, Any]) -> list[str]:
    lines, reasons = _heading(["encoder", "method", *COLUMNS.values()]), {}
    for name, encoder in measured.items():
        for method, edit in encoder["edits"][target].items():
            if "left_out" in edit:
                reasons[method] = edit["left_out"]
            elif edit["reached"]:
                lines.append(_row([name, method, *(_number(edit.get(key)) for key in COLUMNS)]))
            else:
                most = f"{edit['change']:.2f} at most, at strength {edit['strength']:.3g}"
                lines.append(_row([name, method, most, *[""] * (len(COLUMNS) - 1)]))
    return [*lines, "", *(f"Without {method}: {reason}." for method, reason in reasons.items())]


def _heading(titles: Sequence[str]) -> list[str]:
    return [_row(titles), "|" + " --- |" * len(titles)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def strip(rows: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """u8[H, W, 3]: for each caption a row of n pictures u8[n, R, R, 3]."""
    return picture_grid(
        [""] * len(rows[0][1]), [GridRow(caption, list(pictures)) for caption, pictures in rows], CELL, CELL
    )


WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 400, 300, 76, 20, 24, 56  # of a panel, and the space around what it shows
COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#8c6d31")
LINE = 20


def figure(found: Mapping[str, Any]) -> str:
    """SVG: for each measure of distortion a column and for each of what edits keep a row, with a point for every encoder."""
    measured, kept = found["encoders"], found["editability"]["encoders"]
    across = [key for key in ("l2", "perceptual") if key in next(iter(measured.values()))["reconstruction"]]
    down = [key for key in KEPT if key in next(iter(kept.values()))]
    parts = []
    for row, below in enumerate(down):
        for column, beside in enumerate(across):
            points = [(encoder["reconstruction"][beside], kept[name][below]) for name, encoder in measured.items()]
            titles = (f"{beside} of the reconstruction (less is better)", _title(below))
            parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">{_panel(points, *titles)}</g>')
    for i, name in enumerate(measured):
        y = HEIGHT * len(down) + LINE * i + LINE // 2
        parts.append(f'<circle cx="{LEFT}" cy="{y}" r="5" fill="{_colour(i)}"/>')
        parts.append(f'<text x="{LEFT + 12}" y="{y + 4}">{html.escape(name)}</text>')
    size = f"{WIDTH * len(across)} {HEIGHT * len(down) + LINE * (len(measured) + 1)}"
    style = 'font-family="sans-serif" font-size="12" fill="#202124"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" {style}><title>Distortion against editability</title>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _title(key: str) -> str:
    title, more_is_better = KEPT[key]
    return f"{title} in edits ({'more' if more_is_better else 'less'} is better)"


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _panel(points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    ticks = [_ticks([point[axis] for point in points]) for axis in (0, 1)]
    right, base = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(value: float, axis: int) -> float:
        share = (value - ticks[axis][0]) / (ticks[axis][-1] - ticks[axis][0])
        return round(LEFT + share * (right - LEFT) if axis == 0 else base - share * (base - TOP), 1)

    parts = [f'<path d="M{LEFT} {TOP}V{base}H{right}" fill="none" stroke="#70757a"/>']
    parts += [f'<text x="{place(x, 0)}" y="{base + 16}" text-anchor="middle">{x:.6g}</text>' for x in ticks[0]]
    parts += [f'<text x="{LEFT - 6}" y="{place(y, 1) + 4}" text-anchor="end">{y:.6g}</text>' for y in ticks[1]]
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{base + 36}" text-anchor="middle">{html.escape(across)}</text>')
    middle = (TOP + base) / 2
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{html.escape(up)}</text>')
    for i, (x, y) in enumerate(points):
        parts.append(f'<circle cx="{place(x, 0)}" cy="{place(y, 1)}" r="5" fill="{_colour(i)}" fill-opacity="0.85"/>')
    return "".join(parts)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, at least two, from below the values to above them."""
    low, high = min(values), max(values)
    rough = ((high - low) or abs(high) or 1.0) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / unit), math.ceil(high / unit)
    return [number * unit for number in range(first, max(last, first + 1) + 1)]
