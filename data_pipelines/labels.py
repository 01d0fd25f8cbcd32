"""What is in photos: attributes that are there or not, from CelebA's list, a table, or the factors that avatars are drawn from."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_pipelines.codes import DataError
from data_pipelines.drawing.factors import FACTORS, Continuous, sample_factors

VALUES = {"1": 1, "-1": 0, "0": 0, "true": 1, "false": 0, "1.0": 1, "0.0": 0, "-1.0": 0}
SHOWN = 3  # names in messages


@dataclass(frozen=True)
class Labels:
    """`values` int8[N, A] in {0, 1}, for the photos `names` and the attributes `attributes`."""

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray


def read_labels(path: Path) -> Labels:
    """The labels in CelebA's `list_attr_celeba.txt`, CelebA-HQ's list of the same form, or a table `.csv`.

    The first column of a table has names of photos, its first line names of attributes. Values: 1 and -1, 1 and 0, true and
    false.

    Raises:
      DataError: the file cannot be read or has another form; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}). Give a file of labels."
        ) from error
    if path.suffix.lower() == ".csv":
        rows: list[tuple[int, list[str]]] = []
        try:
            for row in csv.reader(io.StringIO(text)):
                rows.append((len(rows) + 1, row))
        except csv.Error as error:
            raise DataError(
                f"{path}, line {len(rows) + 1}: cannot be read ({error}); expected the name of a photo and its values, separated "
                "by commas. Look for a quotation mark without its partner."
            ) from error
        heading, rows = ([], []) if not rows else (rows[0][1][1:], rows[1:])
    else:
        lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
        # The first line counts the photos.
        heading, rows = (lines[1][1], lines[2:]) if len(lines) > 1 and text.split()[0].isdigit() else ([], [])
    attributes = tuple(name.strip() for name in heading)
    if not attributes or len(set(attributes)) < len(attributes) or "" in attributes:
        raise DataError(
            f"{path}: found no line with different names of attributes; expected CelebA's list_attr_celeba.txt (the number of "
            "photos, then the names, then a line for each photo) or a table .csv that begins with a line of names."
        )
    names, values = [], []
    for number, row in rows:
        if not row:
            continue
        cells = [VALUES.get(cell.strip().lower()) for cell in row[1:]]
        if len(cells) != len(attributes) or None in cells or not PurePosixPath(row[0].strip()).name:
            raise DataError(
                f"{path}, line {number}: found {' '.join(row)[:80]!r}; expected the name of a photo and {len(attributes)} values, "
                "each 1 or -1, 1 or 0, true or false."
            )
        names.append(row[0].strip())
        values.append(cells)
    if not names:
        raise DataError(f"{path}: found no photos. Give a file with a line for each photo.")
    return Labels(attributes, tuple(names), np.array(values, np.int8))


def avatar_labels(names: Sequence[str]) -> Labels:
    """What is in avatars, whose names `0000000007_1.png` hold the seeds that they were drawn from.

    A number is an attribute if it is in the upper half of its range; a choice gives one attribute for each of its values, such
    as `hat_cap`. Angles that go round, and the number of the noise, are left out.

    Raises:
      DataError: a name is not that of an avatar.
    """
    found = [re.fullmatch(r"(\d{10})_(\d+)", PurePosixPath(name).stem) for name in names]
    strange = [name for name, match in zip(names, found, strict=True) if match is None]
    if strange:
        raise DataError(
            f"{_some(strange)} of {len(names)} photos are not named as avatars are (0000000007_1.png), so that what is in them is "
            "not known. Give a file of labels."
        )
    seeds = np.array([[int(part) for part in match.groups()] for match in found if match])
    columns: dict[str, np.ndarray] = {}
    for name, values in sample_factors(seeds[:, 0], seeds[:, 1]).items():
        factor = FACTORS[name]
        if isinstance(factor, Continuous):
            if factor.high - factor.low != 360:
                columns[name] = values > (factor.low + factor.high) / 2
        elif name != "texture_pattern":
            columns |= {f"{name}_{value}": values == number for number, value in enumerate(factor.values)}
    return Labels(tuple(columns), tuple(names), np.stack(list(columns.values()), 1).astype(np.int8))


def labels_of(names: Sequence[str], labels: Labels, file: str) -> np.ndarray:
    """The labels of photos by name, int8[N, A]; a photo may have another extension there. file: for messages.

    Raises:
      DataError: a photo has no label, or more than one.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(labels.names):
        rows.setdefault(_bare(name), []).append(row)
    missing = [name for name in names if _bare(name) not in rows]
    if missing:
        raise DataError(
            f"{file}: has no labels for {len(missing)} of {len(names)} photos with codes, such as {_some(missing)}; it names "
            f"{len(labels.names)} photos, such as {_some(labels.names)}. Give labels and codes with equal names (extensions apart)."
        )
    twice = [name for name in names if len(rows[_bare(name)]) > 1]
    if twice:
        raise DataError(f"{file}: names {_some(twice)} more than once. Keep one line for each photo.")
    return labels.values[[rows[_bare(name)][0] for name in names]]


def _bare(name: str) -> str:
    path = PurePosixPath(name)
    return str(path).removesuffix(path.suffix)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" and others" if len(names) > SHOWN else "")
