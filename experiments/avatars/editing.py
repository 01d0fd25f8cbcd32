"""Editing of held-out avatars: every method on the inversions of every encoder, at an equal change of the attribute.

    python -m experiments.avatars.editing --output report

Finds directions of the generator (InterFaceGAN, GANSpace, SeFa, StyleSpace), inverts avatars that no network was trained on, and
edits them towards each target with every method, each with the strength at which the attribute network sees the same mean change.
Models are names of the zoo or folders; those of the zoo that are not there are left out, and the report says so. Files:
  tables.md       for every target what the edits change besides it; whether a direction for each picture beats one for all
  results.json    the same numbers, and those that tables leave out
  editability.svg distortion of each encoder against what its edits keep
  strips/         for every encoder and target some pictures of each method
  directions/     what was fitted, for `restyle edit --direction`
It continues if it was stopped, and measures only new encoders if it is run again with more of them.

Hardware: 2 CPU cores, about an hour for 6 encoders and 200 pictures.

Expected result: experiments/RESULTS.md.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import numpy as np
from tqdm import tqdm

from data_pipelines.avatars import PICTURES_PER_IDENTITY, AvatarSource
from experiments.avatars import editing_report as report
from experiments.avatars.editing_measures import Instruments, inverted
from experiments.avatars.editing_methods import BATCH, METHODS, Bench, Fits, Samples, Target, check_generator
from restyle_jax import checkpoints
from restyle_jax.checkpoints.auxiliary import load_own_perceptual
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.edit_measures import Identity, Judge, judge_of_pictures
from restyle_jax.jobs.edits import classifier_for, column, editor_for
from restyle_jax.jobs.options import fingerprint, load_model
from restyle_jax.jobs.outputs import OutputError, OutputFolder
from restyle_jax.jobs.workdir import model_in
from restyle_jax.model import Model, synthesise
from restyle_jax.ops.images import to_bytes, to_float

ZOO = "avatars64/"
ENCODERS = ("psp", "e4e", "restyle-psp", "restyle-e4e", "style-transformer", "restyle-style-transformer")
TARGETS = ("smile", "yaw", "glasses=none:down", "hair_colour=blond")
MODELS = {
    "generator": ("stylegan2", "for which directions are found"),
    "attributes": ("attributes", "the network that reads attributes off pictures"),
    "identity": ("identity", "the network that compares faces"),
    "perceptual": ("perceptual", "the perceptual distance"),
    "classifier": ("classifier", "the latent classifier of label edits"),
    "editor": ("editor-hair", "the network for edits by reference"),
}
REQUIRED = ("generator", "attributes")
PRODUCTS = re.compile(r"tables\.md|results\.json|editability\.svg|strips/.+\.png|directions/.+\.npz")

T = TypeVar("T")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Command line; returns what results.json says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a new folder, or one to continue")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results there")
    parser.add_argument("--pictures", type=int, default=200, help="avatars to edit, each of another identity (200)")
    parser.add_argument(
        "--samples", type=int, default=10_000, help="generated pictures to find directions with (10000)"
    )
    parser.add_argument(
        "--targets", nargs="+", default=TARGETS, help="columns of the attribute network, NAME or NAME:down"
    )
    parser.add_argument("--change", type=float, default=1.0, help="of the target, in standard deviations (1)")
    parser.add_argument("--encoders", nargs="+", default=[ZOO + name for name in ENCODERS], help="with that generator")
    for role, (model, what) in MODELS.items():
        parser.add_argument(f"--{role}", default=ZOO + model, help=f"{what} ({ZOO}{model})")
    options = parser.parse_args(arguments)
    try:
        return measure(options)
    except (CheckpointError, OutputError) as error:
        parser.exit(1, f"error: {error}\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the options ask for. Raises CheckpointError or OutputError for what cannot be used."""
    targets = _targets(options)
    files = {name: model_in(Path(getattr(options, name))) for name in REQUIRED}
    left_out: dict[str, str] = {}
    files |= _found({role: getattr(options, role) for role in MODELS if role not in REQUIRED}, left_out)
    encoders = _found({name: name for name in options.encoders}, left_out)
    if not encoders:
        raise CheckpointError(f"there is no encoder to measure: {'; '.join(left_out.values())}")
    marks = {name: fingerprint(path) for name, path in encoders.items()}
    settings = {
        **{name: fingerprint(path) for name, path in sorted(files.items())},
        **{name: getattr(options, name) for name in ("pictures", "samples", "change")},
        "targets": " ".join(target.name for target in targets),
    }
    with OutputFolder.claim(options.output, "experiment of editing") as folder:
        if not options.overwrite:
            folder.expect(settings)
        base = checkpoints.load(files["generator"])
        tools = {
            "classifier": _loaded(files, "classifier", lambda file: classifier_for(file, base)),
            "editor": _loaded(files, "editor", lambda file: editor_for(file, base)),
        }
        identity = _loaded(files, "identity", lambda file: Identity.load(file, base))
        if isinstance(identity, str):
            left_out["identity"], identity = identity, None
        done = {name: None if options.overwrite else _kept(folder, name, mark) for name, mark in marks.items()}
        models = {name: _encoder(encoders[name], base) for name, found in done.items() if found is None}
        judge = _judge(files["attributes"], base, targets) if models else None
        if options.overwrite:
            folder.clear(PRODUCTS)
        folder.start(settings)
        if judge is not None:
            instruments = Instruments(judge, identity, _loaded(files, "perceptual", load_own_perceptual))
            samples = _samples(folder, base, judge, options.samples)
            fits = Fits(base, judge, samples)
            fitted = {target: fits.of(target, options.output / "directions") for target in targets}
            pictures = _avatars(options.pictures, base.require_generator()[0].config.resolution)
            with tqdm(total=len(models) * len(targets) * len(METHODS), unit="edit", dynamic_ncols=True) as bar:
                for name, model in models.items():
                    bar.set_description(name)
                    bench = Bench(model, inverted(model, pictures), samples.radius, **tools)
                    strips = options.output / "strips" / _file_name(name)
                    found = _measured(bench, pictures, fitted, instruments, options.change, strips, folder, bar)
                    folder.write_json(_record(folder, name), {"encoder": marks[name], "found": found})
                    done[name] = found
        measured = {name: found for name, found in done.items() if found is not None}
        results = report.results(measured, settings, left_out)
        with folder.writing(options.output / "tables.md") as path:
            path.write_text(report.tables(results), encoding="utf-8")
        with folder.writing(options.output / "editability.svg") as path:
            path.write_text(report.figure(results), encoding="utf-8")
        folder.write_json(options.output / "results.json", results)
    print(report.tables(results))
    return results


def _targets(options: argparse.Namespace) -> list[Target]:
    for name, least in (("pictures", 2), ("samples", 100)):
        if getattr(options, name) < least:
            raise OutputError(f"--{name} is {getattr(options, name)}; expected at least {least}.")
    if not 0 < options.change < float("inf"):
        raise OutputError(f"--change is {options.change}; expected a positive number of standard deviations.")
    try:
        return [Target.parse(text) for text in dict.fromkeys(options.targets)]
    except ValueError as error:
        raise OutputError(f"--targets: found {error}.") from error


def _found(wanted: Mapping[str, str], left_out: dict[str, str]) -> dict[str, Path]:
    """The files of models that are there. Why one of the zoo is not goes into `left_out`; a missing folder is an error later."""
    files = {}
    for role, name in wanted.items():
        try:
            path = model_in(Path(name))
        except CheckpointError as error:
            if not name.startswith(ZOO):
                raise
            left_out[role] = str(error)
            continue
        if name.startswith(ZOO) and not path.exists():
            left_out[role] = f"{name}: there is no such model here"
        else:
            files[role] = path
    return files


def _loaded(files: Mapping[str, Path], role: str, load: Callable[[Path], T]) -> T | None:
    return load(files[role]) if role in files else None


def _judge(file: Path, base: Model, targets: Sequence[Target]) -> Judge:
    """Raises CheckpointError if the file holds no attribute network, or one that does not know a target."""
    judge = judge_of_pictures(file, base, lambda names: None, batch_size=BATCH)
    for target in targets:
        column(judge.names, target.column, file)
    return judge


def _encoder(path: Path, base: Model) -> Model:
    """Raises CheckpointError if there is no encoder, or one of another generator."""
    model = load_model(path, "float32")
    check_generator(model, base, path)
    return model


def _record(folder: OutputFolder, name: str) -> Path:
    return folder.work / "measured" / f"{_file_name(name)}.json"


def _kept(folder: OutputFolder, name: str, mark: str) -> dict[str, Any] | None:
    """What an earlier run found for an encoder, if the encoder is still the same."""
    file = _record(folder, name)
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return record["found"] if record.get("encoder") == mark else None


def _samples(folder: OutputFolder, model: Model, judge: Judge, count: int) -> Samples:
    """Kept for the next time."""
    file = folder.work / "samples.npz"
    if not file.exists():
        made = Samples.draw(model, judge, count)
        with folder.writing_npz(file) as add:
            add("w", made.w)
            add("readings", made.readings)
    with np.load(file) as arrays:
        return Samples(arrays["w"], arrays["readings"])


def _avatars(count: int, size: int) -> np.ndarray:
    """Held-out avatars, each of another identity: f32[count, size, size, 3]."""
    source = AvatarSource("test", count * PICTURES_PER_IDENTITY, size)
    return to_float(source.drawn(np.arange(0, len(source), PICTURES_PER_IDENTITY)))


def _measured(
    bench: Bench,
    pictures: np.ndarray,
    fitted: Mapping[Target, Mapping[str, Any]],
    instruments: Instruments,
    amount: float,
    strips: Path,
    folder: OutputFolder,
    bar: tqdm,
) -> dict[str, Any]:
    """The numbers of one encoder; its strips are written."""
    before = np.clip(synthesise(bench.model, bench.codes, batch_size=BATCH), -1, 1)
    shown = instruments.readings(before)
    distortion = {"l2": float(np.square(before - pictures).mean()), **instruments.compared(pictures, before)}
    edits: dict[str, Any] = {}
    for target, directions in fitted.items():
        ways = bench.ways(target, directions, shown[:, instruments.judge.names.index(target.column)])
        rows: list[tuple[str, np.ndarray]] = [("input", pictures), ("reconstruction", before)]
        edits[target.name] = {}
        for method in METHODS:
            way = ways[method]
            if isinstance(way, str):
                edits[target.name][method] = {"left_out": way}
            else:
                told, made = instruments.edit(way, target, amount, before)
                edits[target.name][method] = told
                rows.append((f"{method}: {target.sign * told['change']:+.2f} sd", made))
            bar.update(1)
        few: Sequence[tuple[str, np.ndarray]] = [(name, to_bytes(part[: report.STRIP])) for name, part in rows]
        folder.write_png(strips / f"{target.file}.png", report.strip(few))
    return {"reconstruction": distortion, "edits": edits}


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


if __name__ == "__main__":
    main()
