"""The error over the steps of inversions, drawn as SVG."""

import dataclasses

import numpy as np

from restyle_jax.plot import Line, from_zero, line_plot, whole_numbers


def error_curve(errors: np.ndarray) -> str:
    """SVG, as HTML, with one thin line for each picture and a thick one for their mean.

    errors: [B, N + 1] >= 0: of B pictures, for the average picture and after each of N > 0 steps. Colours come from the classes
    `grid`, `each`, `mean` and `mark` of the page.
    """
    mean = errors.mean(axis=0).tolist()
    steps = whole_numbers("step", errors.shape[1] - 1)
    steps = dataclasses.replace(steps, ticks=[(0, "average"), *steps.ticks[1:]])
    lines = [Line(list(enumerate(each.tolist())), kind="each") for each in errors]
    lines.append(Line(list(enumerate(mean)), marks=True, kind="mean"))
    told = ", ".join(f"{value:.4f}" for value in mean)
    title = f"Mean L2 of the average picture and after each step: {told}"
    plot = line_plot(title, steps, from_zero("L2 to the input", float(errors.max())), lines)
    return f'<div class="scroll">{plot}</div>'
