"""The contact sheet of the README: avatars of 64 px, and one identity from the front with one factor changed at a time.

    python -m experiments.avatars.sheet [experiments/avatars.png]

Takes a second on one CPU core. To look at others, change FIRST.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines.avatars import render
from data_pipelines.drawing.factors import code, sample_factors

FIRST, ROWS, COLUMNS, SIDE = 128, 3, 11, 64
EDITS: tuple[dict[str, float], ...] = (
    {},
    {"yaw": -30},
    {"yaw": 30},
    {"pitch": 14},
    {"smile": 1},
    {"mouth_open": 1},
    {"age": 1},
    {"glasses": code("glasses", "square")},
    {"beard": code("beard", "full")},
    {"hat": code("hat", "beanie")},
    {"light_direction": 180, "light_strength": 1},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, default=Path("experiments/avatars.png"))
    path: Path = parser.parse_args().path
    identities = np.arange(FIRST, FIRST + ROWS * COLUMNS)
    many = render(sample_factors(identities, np.zeros_like(identities)), SIDE)
    plain = dict.fromkeys(("yaw", "pitch", "roll", "smile", "mouth_open", "age", "texture"), 0.0)
    plain |= {"eye_open": 1.0, "light_direction": 60.0}
    bare = {name: code(name, "none") for name in ("glasses", "beard", "hat", "earrings")}
    one = sample_factors(np.full(len(EDITS), FIRST + 12), np.zeros(len(EDITS), int))
    one |= {name: np.full(len(EDITS), value) for name, value in {**plain, **bare}.items()}
    for row, edit in enumerate(EDITS):
        for name, value in edit.items():
            one[name][row] = value
    tiles = np.concatenate([many, render(one, SIDE)])
    sheet = tiles.reshape(ROWS + 1, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2).reshape(-1, COLUMNS * SIDE, 3)
    # Without the three lowest bits the file is half as large, and looks the same.
    Image.fromarray(sheet & 0xF8 | sheet >> 5).save(path, optimize=True)
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
