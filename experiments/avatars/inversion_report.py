"""The report of `inversion`: tables, claims and figures from its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_pipelines.avatars import PICTURES_PER_IDENTITY
from experiments.avatars import edits
from experiments.avatars.claims import Claim, falls, less
from experiments.avatars.measure import COARSE, Measured
from experiments.avatars.tables import table
from restyle_jax.model import Model, invert
from restyle_jax.ops.images import to_bytes
from restyle_jax.plot import COLOURS, Axis, Line, as_file, from_zero, line_plot, logarithmic, whole_numbers
from restyle_jax.viz import GridRow, change_figure, picture_grid

MEASURES = ("l2", "perceptual", "identity", "delta", "from average")
KINDS = ("pSp", "e4e", "Transformer")
STEPS = 5  # N, unless it is said otherwise
ROWS, CELL = 8, 96  # of the sheet of reconstructions: people, and pixels of a picture


def markdown(results: Mapping[str, Any]) -> str:
    """All tables that there are numbers for."""
    settings = results["settings"]
    device = results["device"]
    parts = [
        f"    {settings['command']}",
        f"{device['platform']}, {device['host']}; jax {results['versions']['jax']}. Batches of {settings['batch_size']}, times are "
        f"medians of {settings['repeats']} compiled runs.",
        "\n".join(f"- {name}: {meaning}" for name, meaning in results["definitions"].items()),
    ]
    for title, make in SECTIONS.items():
        if made := make(results):
            parts += [f"### {title}", made]
    return "\n\n".join(parts)


def _encoders(results: Mapping[str, Any]) -> str:
    rows = []
    for title, means in results.get("encoders", {}).items():
        times = results.get("seconds", {}).get(title, {})
        for step in range(min(STEPS, len(means["l2"]))):
            numbers = [means[name][step] for name in MEASURES]
            size = results["parameters"][title] if step == 0 else None
            rows.append([title, step + 1, *numbers, times.get(str(step + 1)), size])
    note = f"{results['settings']['pictures']} pictures.\n\n"
    return note + table(("encoder", "step", *MEASURES, "s/picture", "parameters"), rows) if rows else ""


def _inference(results: Mapping[str, Any]) -> str:
    rows = []
    for title, times in results.get("seconds", {}).items():
        means = results["encoders"][title]
        for steps, time in times.items():
            rows.append([title, int(steps), *(means[name][int(steps) - 1] for name in MEASURES[:3]), time])
    return table(("encoder", "N", *MEASURES[:3], "s/picture"), rows) if rows else ""


def _optimisation(results: Mapping[str, Any]) -> str:
    if "optimisation" not in results:
        return ""
    settings, rows = results["settings"], []
    for title, means in results["encoders, first pictures"].items():
        last = min(STEPS, len(means["l2"]))
        time = results["seconds"][title][str(last)]
        rows.append([title, f"N = {last}", *(means[name][last - 1] for name in MEASURES), time])
    for start, times in optimisation_times(results).items():
        means = results["optimisation"][start]
        rows += [
            [f"optimisation from {start}", count, *(means[name][i] for name in MEASURES), times[i]]
            for i, count in enumerate(settings["iterations"])
        ]
    note = (
        f"The first {settings['optimised']} pictures; Adam with a learning rate of {settings['learning_rate']:g}.\n\n"
    )
    return note + table(("", "steps", *MEASURES, "s/picture"), rows)


def optimisation_times(results: Mapping[str, Any]) -> dict[str, list[float]]:
    """{start: seconds for each picture after each number of iterations}, the encoder's among them."""
    each, found = results["seconds of an iteration"], {}
    for start in results["optimisation"]:
        begun = results["seconds"].get(start, {}).get(str(STEPS), 0.0)
        found[start] = [begun + count * each for count in results["settings"]["iterations"]]
    return found


def _coarse(results: Mapping[str, Any]) -> str:
    shown = {title: means["coarse share"] for title, means in results.get("encoders", {}).items()}
    longest = min(STEPS, max(map(len, shown.values()), default=0))
    rows = [[title, *shares[:longest], *[None] * (longest - len(shares))] for title, shares in shown.items()]
    note = f"Share of the energy of each step's change that is left in means of {COARSE} x {COARSE} pixels.\n\n"
    return note + table(("encoder", *(f"step {i + 1}" for i in range(longest))), rows) if rows else ""


def _edits(results: Mapping[str, Any]) -> str:
    if "edits" not in results:
        return ""
    settings = results["settings"]
    rows = [[title, e["strength"], e["change"], e["identity"], e["others"]] for title, e in results["edits"].items()]
    note = (
        f"{settings['attribute']} raised by {results['wanted change']:.4g} on average ({settings['change']:g} standard deviations "
        f"of the inputs), the first {settings['edited']} pictures. Identity: reconstruction and edit. Others: mean change of other "
        "attributes, in standard deviations.\n\n"
    )
    failed = "".join(f"\n\n{title}: {reason}" for title, reason in results["edits that failed"].items())
    return note + table(("encoder", "strength", "change", "identity", "others"), rows) + failed


def _claims(results: Mapping[str, Any]) -> str:
    return "\n".join(f"- {Claim(**claim)}" for claim in results.get("claims", ()))


SECTIONS = {
    "Encoders, step by step": _encoders,
    "Steps at inference": _inference,
    "Latent optimisation": _optimisation,
    "Coarse before fine": _coarse,
    "An edit of equal change": _edits,
    "Claims": _claims,
}


def claims(
    measured: Mapping[str, Measured],
    optimised: Mapping[str, Measured],
    edited: Mapping[str, edits.Edited],
    failed: Mapping[str, str],
) -> list[Claim]:
    """What the papers say, for N = STEPS."""
    of = {title: found.values for title, found in measured.items()}
    found = []
    for kind in KINDS:
        restyle = of[f"ReStyle-{kind}"]
        for name in ("l2", "perceptual"):
            last = restyle[name][STEPS - 1]
            found += [
                less(f"ReStyle-{kind} after {STEPS} steps beats its first step, {name}", (last, restyle[name][0])),
                less(f"ReStyle-{kind} after {STEPS} steps beats {kind}, {name}", (last, _last(of[kind][name]))),
                falls(f"ReStyle-{kind}'s error falls over steps 1 to {STEPS}, {name}", restyle[name][:STEPS]),
            ]
        share = restyle["coarse share"]
        text = f"ReStyle-{kind} changes coarse before fine (coarse share, step {STEPS} against step 1)"
        found.append(less(text, (share[STEPS - 1], share[0])))
    for prefix in ("", "ReStyle-"):
        new = _last(of[f"{prefix}Transformer"]["l2"])
        for kind in ("pSp", "e4e"):
            text = f"{prefix}Transformer beats {prefix}{kind}, l2"
            found.append(less(text, (new, _last(of[f"{prefix}{kind}"]["l2"]))))
        e4e, psp = (_last(of[f"{prefix}{kind}"]["delta"]) for kind in ("e4e", "pSp"))
        found.append(less(f"{prefix}e4e stays closer to W than {prefix}pSp, delta", (e4e, psp)))
        text = f"{prefix}e4e keeps identity better than {prefix}pSp under an edit of equal change (1 - similarity)"
        pair = [edited.get(f"{prefix}{kind}") for kind in ("e4e", "pSp")]
        if pair[0] and pair[1]:
            found.append(less(text, (1 - pair[0].identity, 1 - pair[1].identity)))
        else:
            names = [title for title in (f"{prefix}e4e", f"{prefix}pSp") if title in failed]
            found.append(Claim(text, None, f"there is no such edit of {' and '.join(names)}"))
    for start, part in optimised.items():
        for name in ("l2", "perceptual"):
            last = part.values[name][-1]
            pairs = [(last, _last(values[name])[: len(last)]) for values in of.values()]
            found.append(less(f"Optimisation from {start}, at its end, beats every encoder, {name}", *pairs))
    return found


def _last(values: np.ndarray) -> np.ndarray:
    """f32[pictures] after step STEPS, or after the only one."""
    return values[min(STEPS, len(values)) - 1]


def figures(folder: Path, results: Mapping[str, Any], measured: Mapping[str, Measured]) -> None:
    """Write the diagrams and the maps of change."""
    colours = dict(zip(results["encoders"], COLOURS, strict=False))
    lines = []
    longest = max(len(means["l2"]) for means in results["encoders"].values())
    for title, means in results["encoders"].items():
        values = means["l2"] if len(means["l2"]) > 1 else means["l2"] * longest
        points = [(i + 1.0, value) for i, value in enumerate(values)]
        single = len(means["l2"]) == 1
        lines.append(Line(points, colours[title], title, marks=not single, dashed=single))
    highest = max(y for line in lines for _, y in line.points)
    count = results["settings"]["pictures"]
    plot = line_plot(
        f"L2 by refinement step, means over {count} held-out avatars",
        whole_numbers("step", longest, 1),
        from_zero("L2", highest),
        lines,
    )
    (folder / "error_by_step.svg").write_text(as_file(plot))
    for name in ("l2", "perceptual"):
        (folder / f"quality_against_time_{name}.svg").write_text(as_file(against_time(results, name, colours)))
    for title, found in measured.items():
        if len(found.change) > 1:
            shown = found.change[:STEPS]
            figure = change_figure(shown, [f"step {i + 1}" for i in range(len(shown))])
            Image.fromarray(figure).save(folder / f"changes_{title.lower()}.png")


def against_time(results: Mapping[str, Any], name: str, colours: Mapping[str, str]) -> str:
    """The paper's figure: a measure of the optimised pictures against seconds for each."""
    lines = []
    for title, times in results["seconds"].items():
        means = results["encoders, first pictures"][title][name]
        points = [(time, means[int(steps) - 1]) for steps, time in times.items()]
        lines.append(Line(points, colours[title], title, marks=True))
    for start, times in optimisation_times(results).items():
        points = list(zip(times, results["optimisation"][start][name], strict=True))
        if start in results["seconds"]:  # the hybrid begins where its encoder ends
            means = results["encoders, first pictures"][start][name]
            points.insert(0, (results["seconds"][start][str(STEPS)], means[STEPS - 1]))
        label = f"from {start}" if start in colours else "optimisation"
        lines.append(Line(points, colours.get(start, COLOURS[len(colours)]), label, marks=True, dashed=True))
    x: Axis = logarithmic("seconds for each picture", [a for line in lines for a, _ in line.points])
    y = from_zero(name if name != "l2" else "L2", max(b for line in lines for _, b in line.points))
    return line_plot(f"{name} against seconds for each picture", x, y, lines)


def reconstructions(
    file: Path, inputs: np.ndarray, models: Mapping[str, Model], codes: Mapping[str, np.ndarray], batch: int
) -> None:
    """Inputs f32[B, R, R, 3], one of each person, beside what each encoder makes of them; of ReStyle its first step, too."""
    chosen = slice(None, min(ROWS, batch) * PICTURES_PER_IDENTITY, PICTURES_PER_IDENTITY)
    shown = inputs[chosen]
    filled = np.resize(shown, (batch, *shown.shape[1:]))  # a batch as before, which needs no other program
    columns = {"input": shown}
    for title, model in models.items():
        if model.passes(2) > 1:
            columns[f"{title}, step 1"] = np.asarray(invert(model, filled, 1, resize_outputs=True).images[-1])
        columns[title] = edits.pictures(model, codes[title][: len(inputs)][chosen], batch)
    cells = [to_bytes(column) for column in columns.values()]
    rows = [GridRow("", [column[i] for column in cells]) for i in range(len(shown))]
    Image.fromarray(picture_grid(list(columns), rows, CELL, CELL)).save(file)
