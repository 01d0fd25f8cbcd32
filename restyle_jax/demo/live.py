"""One picture at a time, for the served page: its inversion, and edits whose strengths add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.folder import read_photo
from data_pipelines.transforms import to_model_input
from restyle_jax.demo.studio import Inverted, Studio
from restyle_jax.jobs.edits import Edit


@dataclass(frozen=True)
class Live:
    """A model at work on single pictures (a studio of batch size 1), and its edits, each with its largest strength."""

    studio: Studio
    edits: Sequence[tuple[Edit, float]]

    def invert(self, photo: Path, steps: int) -> Inverted:
        """Invert the picture in a file. Raises ImageError if it cannot be read."""
        geometry = self.studio.model.geometry
        pixels = to_model_input(read_photo(photo), geometry.height, geometry.width)
        return self.studio.invert([photo.name], pixels[None], steps)

    def picture(self, latents: np.ndarray, strengths: Sequence[float]) -> np.ndarray:
        """u8[h, w, 3] of a code f32[1, K, w_dim], moved along every edit by its strength: the sum of what each would add.

        With all strengths 0 it is the picture of the code as it is. Edits of W+ codes come before those of S, which follow from
        them.
        """
        codes, make = latents, None
        for in_w in (True, False):
            moved = [
                (edit, np.array([0, strength], np.float32))
                for (edit, _), strength in zip(self.edits, strengths, strict=True)
                if edit.in_w == in_w and strength
            ]
            if moved:
                ends = [np.asarray(edit.codes(codes, pair))[0] for edit, pair in moved]
                codes, make = ends[0][0] + sum(end[1] - end[0] for end in ends), moved[0][0].pictures
        return self.studio.pictures(codes, make)[0]
