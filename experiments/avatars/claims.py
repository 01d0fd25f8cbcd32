"""What a paper says, held against numbers: each claim is a comparison of the same pictures, and holds or does not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ERRORS = 2.0  # standard errors that a difference must exceed to count


@dataclass(frozen=True)
class Claim:
    """A sentence, whether it holds (None: that was not measured), and the numbers behind it, or the reason."""

    text: str
    holds: bool | None
    numbers: str

    def __str__(self) -> str:
        verdict = {True: "holds", False: "does not hold", None: "not measured"}[self.holds]
        return f"{self.text}: {verdict} ({self.numbers})"


def less(text: str, *pairs: tuple[np.ndarray, np.ndarray]) -> Claim:
    """The claim that in every pair (a, b) of measures f32[pictures] of the same pictures a is less than b on average.

    It holds if each mean of b - a exceeds its standard error ERRORS times. Raises ValueError for less than two pictures, or pairs
    that differ in their number.
    """
    holds, numbers = True, []
    for a, b in pairs:
        if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
            raise ValueError(
                f"measures of shapes {a.shape} and {b.shape}, expected equally many of two pictures or more"
            )
        difference = b.astype(np.float64) - a
        error = difference.std(ddof=1) / np.sqrt(len(a))
        holds &= bool(difference.mean() > ERRORS * error)
        numbers.append(f"{a.mean():.4f} against {b.mean():.4f}, difference {difference.mean():.4f} ± {error:.4f}")
    return Claim(text, holds, "; ".join(numbers))


def falls(text: str, steps: Sequence[np.ndarray] | np.ndarray) -> Claim:
    """The claim that a measure f32[N, pictures] falls from each of N > 1 steps to the next, on average."""
    return less(text, *((steps[i + 1], steps[i]) for i in range(len(steps) - 1)))
