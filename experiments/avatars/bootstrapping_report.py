"""The report of `bootstrapping`: table, claims and figures from its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.avatars.claims import Claim, falls, less
from experiments.avatars.tables import table
from restyle_jax.ops.images import to_bytes
from restyle_jax.plot import COLOURS, Line, as_file, from_zero, line_plot, whole_numbers
from restyle_jax.viz import GridRow, picture_grid

STEPS = 5  # N
EARLY = 2  # steps after which bootstrapping should have arrived: one of each encoder
MEASURES = ("l2", "perceptual", "identity")
AVERAGE, BOOTSTRAPPED, ALONE = "from the average", "bootstrapped", "first encoder alone"
SHOWN = {AVERAGE: (1, 2, 3, 5), BOOTSTRAPPED: (1, 2, 3, 5), ALONE: (5,)}
PEOPLE, CELL = 6, 128

Values = Mapping[str, np.ndarray]
"""{measure: f32[N, pictures]}."""

CLAIMED = (("l2", "truth"), ("perceptual", "truth"), ("identity", "truth"), ("identity", "input"))


def markdown(results: Mapping[str, Any]) -> str:
    """Everything."""
    settings, device, trained = results["settings"], results["device"], results["trained"]
    columns = ("", "step", *(f"{name}, {other}" for other in ("input", "truth") for name in MEASURES), "s/picture")
    rows = [[title, None, *_cells(found, 0), None] for title, found in results["scale"].items()]
    for start, found in results["means"].items():
        times = results["seconds"].get(start, [None] * STEPS)
        rows += [[start, step + 1, *_cells(found, step), times[step]] for step in range(STEPS)]
    apart = table(("the second generator's picture and that of the first", "l2"), results["generators"].items())
    steps, batch = trained["encoder"]
    parts = [
        f"    {settings['command']}",
        f"{device['platform']}, {device['host']}; jax {results['versions']['jax']}. Batches of {settings['batch_size']}, times are "
        f"medians of {settings['repeats']} compiled runs. The generator was fine-tuned on {trained['generator']:,} comic pictures, "
        f"the second encoder made {steps} training steps of {batch} pictures. {settings['pictures']} held-out avatars.",
        "\n".join(f"- {name}: {meaning}" for name, meaning in results["definitions"].items()),
        "### Two generators, the same codes",
        apart,
        "### Step by step",
        "Beside the input, and beside the truth: the same factors in the second style. Step 1 of a bootstrapped inversion is the "
        "first encoder's, in the first style. Of the first encoder alone, all codes are drawn by the second generator.",
        table(columns, rows),
        "### Claims",
        "\n".join(f"- {Claim(**claim)}" for claim in results["claims"]),
    ]
    return "\n\n".join(parts)


def _cells(found: Mapping[str, Mapping[str, list[float]]], step: int) -> list[float | None]:
    return [found[other][name][step] if other in found else None for other in ("input", "truth") for name in MEASURES]


def claims(values: Mapping[str, Mapping[str, Values]]) -> list[Claim]:
    """What the paper says of bootstrapping, and what makes it worthwhile. values: {start: {"input" or "truth": Values}}."""
    found = []
    for name, other in CLAIMED:
        average, bootstrapped, alone = (_errors(values[start][other], name) for start in (AVERAGE, BOOTSTRAPPED, ALONE))
        what = f"{'1 - identity' if name == 'identity' else name} against the {other}"
        last, early = STEPS - 1, EARLY - 1
        found += [
            less(f"Bootstrapped, {EARLY} steps beat {STEPS} from the average, {what}", (bootstrapped[early], average[last])),
            less(f"Bootstrapped, {EARLY} steps beat {EARLY} from the average, {what}", (bootstrapped[early], average[early])),
            less(f"Bootstrapped, {STEPS} steps beat {STEPS} from the average, {what}", (bootstrapped[last], average[last])),
            less(f"Bootstrapped, {STEPS} steps beat {STEPS} of the first encoder alone, {what}", (bootstrapped[last], alone[last])),
            falls(f"From the average, the error falls over steps 1 to {STEPS}, {what}", average),
            falls(f"Bootstrapped, the error falls over steps {EARLY} to {STEPS}, {what}", bootstrapped[early:]),
        ]  # fmt: skip
    return found


def _errors(values: Values, name: str) -> np.ndarray:
    """f32[N, pictures], less is better."""
    return 1 - values[name] if name == "identity" else values[name]


def figure(file: Path, results: Mapping[str, Any]) -> None:
    """L2 by step, beside the truth and (dashed) beside the input."""
    lines = []
    for colour, (start, found) in zip(COLOURS, results["means"].items(), strict=False):
        truth, seen = ([(i + 1.0, y) for i, y in enumerate(found[other]["l2"])] for other in ("truth", "input"))
        lines += [Line(truth, colour, start, marks=True), Line(seen, colour, dashed=True)]
    plot = line_plot(
        f"L2 by step, means over {results['settings']['pictures']} held-out avatars",
        whole_numbers("step", STEPS, 1),
        from_zero("L2, truth (dashed: input)", max(y for line in lines for _, y in line.points)),
        lines,
    )
    file.write_text(as_file(plot))


def people(file: Path, inputs: np.ndarray, truths: np.ndarray, images: Mapping[str, np.ndarray]) -> None:
    """One row for each of the pictures f32[B, R, R, 3]: input, truth, and the steps f32[STEPS, B, R, R, 3] from each start."""
    columns = {"input": inputs, "truth": truths}
    for start, steps in SHOWN.items():
        columns |= {f"{start}, {step}": images[start][step - 1] for step in steps}
    cells = [_enlarged(to_bytes(column)) for column in columns.values()]
    rows = [GridRow("", [column[i] for column in cells]) for i in range(len(inputs))]
    sheet = Image.fromarray(picture_grid(list(columns), rows, CELL, CELL))
    sheet.quantize(256).save(file, optimize=True)  # a third of the size


def _enlarged(pictures: np.ndarray) -> np.ndarray:
    """Whole pixels, as often as they fit into a cell."""
    times = max(1, CELL // pictures.shape[1])
    return pictures.repeat(times, 1).repeat(times, 2)
