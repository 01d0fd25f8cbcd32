"""The files that sum up an editing job: latents.npz and metrics.json."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from restyle_jax.jobs import environment
from restyle_jax.jobs.edit_measures import DEFINITIONS, Measures
from restyle_jax.jobs.edit_options import EditOptions
from restyle_jax.jobs.edit_records import EditRecords
from restyle_jax.jobs.edits import Edit
from restyle_jax.jobs.outputs import OutputFolder

REPORT, LATENTS = "metrics.json", "latents.npz"


def is_complete(folder: OutputFolder, records: EditRecords) -> dict[str, Any] | None:
    """The report, if it and the codes exist, and it is whole and covers every finished photo."""
    if not (folder.root / REPORT).exists() or not (folder.root / LATENTS).exists():
        return None
    try:
        report = json.loads((folder.root / REPORT).read_text(encoding="utf-8"))
        return report if set(report["images"]) == set(records.edited) else None
    except (ValueError, LookupError, TypeError):
        return None


def write_report(
    folder: OutputFolder,
    records: EditRecords,
    options: EditOptions,
    edit: Edit,
    measures: Measures,
    skipped: Mapping[str, str],
) -> dict[str, Any]:
    """Write both files about the finished photos (at least one); returns what `metrics.json` says.

    `metrics.json` comes last: `is_complete` relies on it.
    """
    names = sorted(records.edited)
    with folder.writing_npz(folder.root / LATENTS) as add:
        for name in names:
            add(name, records.codes(name))
    found = {name: np.array([records.edited[n].values[name] for n in names]) for name in measures.judges}
    changes = {name: measures.judges[name].changes(values[:, :1], values[:, 1:]) for name, values in found.items()}
    similar = measures.identity and np.array([records.edited[name].identity for name in names])
    mean = []
    for i, (way, strength) in enumerate((way, strength) for way in edit.ways for strength in options.strengths):
        entry: dict[str, Any] = {"reference": way.name} if way.name else {}
        entry["strength"] = strength
        if similar is not None:
            entry["identity"] = float(similar[:, i].mean())
        for name, judge in measures.judges_of(i // len(options.strengths)).items():
            entry[name] = judge.summary(found[name][:, 0], found[name][:, 1 + i])
        mean.append(entry)
    measured = [*(["change", "dependency"] if measures.judges else []), *(["identity"] if measures.identity else [])]
    told = {**changes, **({} if similar is None else {"identity": similar})}
    overflown = {
        f"null in {name}": "the network gives no finite number there; smaller strengths may help"
        for name, numbers in told.items()
        if not np.isfinite(numbers).all()
    }
    report = {
        "edit": edit.name,
        "mean": mean,
        "count": len(names),
        "skipped": dict(skipped),
        "not_measured": {**measures.left_out, **overflown},
        "definitions": {name: DEFINITIONS[name] for name in measured},
        "columns": {name: list(judge.names) for name, judge in measures.judges.items()},
        "settings": options.description(),
        "versions": environment.versions(),
        "device": environment.device(),
        "images": {
            name: {
                "file": records.edited[name].output,
                **({} if similar is None else {"identity": records.edited[name].identity}),
                **{judge: np.round(of[row].astype(float), 6).tolist() for judge, of in changes.items()},
            }
            for row, name in enumerate(names)
        },
    }
    folder.write_json(folder.root / REPORT, report)
    return report
