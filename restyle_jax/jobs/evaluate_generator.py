"""Measure how good the pictures of a generator are: against a data set, and along the paths between its codes."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data_pipelines.folder import ImageError
from data_pipelines.source import Source, open_split
from restyle_jax import checkpoints
from restyle_jax.checkpoints.feature_networks import load_features, origin
from restyle_jax.checkpoints.networks import INCEPTION, LINEAR, TRUNKS, load_lpips
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import environment
from restyle_jax.jobs.generator_options import GeneratorEvalOptions, PathName
from restyle_jax.jobs.options import fingerprint
from restyle_jax.jobs.outputs import OutputFolder
from restyle_jax.jobs.real_pictures import real_pictures
from restyle_jax.jobs.training_data import read_labels
from restyle_jax.metrics import generated, sets
from restyle_jax.metrics.path_length import EPSILON, Space, compared, perceptual_path_length
from restyle_jax.nets.feature_networks import FeatureNetwork
from restyle_jax.nets.generators import Generator
from restyle_jax.nets.perceptual import LPIPS, SMALLEST
from restyle_jax.viz import GridRow, picture_grid

PRODUCTS = re.compile(r"metrics\.json|samples\.png")
SHEET_SIDE = 8
SHEET_CELL = 256
SHEET_SEED = 0  # whatever the seed of the metrics, so that sheets of different generators compare


def evaluate_generator(
    output: Path, options: GeneratorEvalOptions, say: Callable[[str], None] = tqdm.write
) -> dict[str, Any]:
    """Write `metrics.json` and `samples.png` about a generator into the folder `output`; returns what the former says.

    Real pictures that cannot be read are left out, counted and named. `say` receives messages for people.

    Raises:
      ImageError: no real pictures, too few, or of another size than those of the generator.
      OutputError: `output` cannot be used or written.
      CheckpointError: a checkpoint or weight file is missing, cannot be read, or is not what it should be; what it computes is not
        finite.
      TrainingError: labels that do not belong to the real pictures.
    """
    source = _source(options)
    unreadable: dict[str, str] = {}
    with OutputFolder.claim(output, "eval-generator") as folder:
        network = load_features(options.features) if options.features else None
        lpips = load_lpips("vgg", options.lpips_trunk_weights, options.lpips_linear_weights) if options.ppl else None
        features = origin(network.name, options.features) if network and options.features else None
        weights = _lpips_origins(options) if lpips else {}
        identity = {
            **options.description(),
            "checkpoint": fingerprint(options.checkpoint),
            "features": features and features["sha256"],
            **{name: file["sha256"] for name, file in weights.items()},
        }
        if not options.overwrite:
            folder.expect(identity)
        generator, w_avg = _generator(options)
        labels = _labels(options, source, generator.config.label_dim)
        real = None
        if network and source:  # pictures that do not fit show here, before earlier results are replaced
            real = _features_of_data(network, source, options, generator.config.resolution, unreadable)
        sheet = _sample_sheet(generator, w_avg, options)  # a broken generator likewise
        if options.overwrite:
            folder.clear(PRODUCTS)
        folder.start(identity)
        values: dict[str, float] = {}
        definitions: dict[str, str] = {}
        counts: dict[str, int] = {}
        if network and real is not None:
            fake = _features_of_generator(network, generator, w_avg, labels, options)
            say("Comparing the features ...")
            values |= sets.compare_sets(real, fake, seed=options.seed)
            definitions |= sets.DEFINITIONS
            counts |= {"real": len(real), "made": len(fake)}
        if lpips:
            for path in options.ppl:
                name = f"ppl_{path.replace('-', '_')}"
                values[name] = _path_length(generator, lpips, path, labels, options)
                definitions[name] = generated.definition_of_lengths(
                    *_kind(path), crop=options.ppl_crop, real_labels=options.labels is not None
                )
            counts["paths"] = options.ppl_count
        metrics = {
            "metrics": values,
            "features": features,
            "lpips": weights or None,
            "counts": counts,
            "resolution": generator.config.resolution,
            "unreadable": unreadable,
            "definitions": definitions,
            "made": None if real is None else generated.definition_of_pictures(real_labels=options.labels is not None),
            "settings": {**options.description(), "batch_size": options.batch_size},
            "versions": environment.versions(),
            "device": environment.device(),
        }
        folder.write_png(folder.root / "samples.png", sheet)
        folder.write_json(folder.root / "metrics.json", metrics)
    return metrics


def _source(options: GeneratorEvalOptions) -> Source | None:
    """The real pictures, or None if only path lengths are asked for. Raises an error if the options do not go together."""
    if options.ppl and options.dtype != "float32":
        raise CheckpointError.explain(
            "--dtype",
            found=options.dtype,
            expected=f"float32 for --ppl, which compares pictures {EPSILON} apart",
            remedy="measure path lengths in a run of their own",
        )
    of_paths = ("ppl_crop", "lpips_trunk_weights", "lpips_linear_weights")
    if not options.ppl and (given := [name for name in of_paths if getattr(options, name)]):
        raise CheckpointError.explain(
            f"--{given[0].replace('_', '-')}",
            found="no --ppl",
            expected="both: it concerns perceptual path lengths",
            remedy="say which lengths with --ppl, or leave it out",
        )
    if options.labels and options.data is None:
        raise CheckpointError.explain(
            "--labels",
            found=f"{options.labels} without --data",
            expected="both: labels belong to real pictures",
            remedy="give the pictures, too, or leave the labels out",
        )
    if options.features is None and options.data is None and options.ppl:
        return None
    if options.features is None:
        raise CheckpointError.explain(
            "--features",
            found="no file",
            expected=f"{INCEPTION.what}, usually named {INCEPTION.name}, for FID, KID, precision and recall",
            remedy=f"{INCEPTION.where}, and give its path; or ask for path lengths alone (--ppl, without --data)",
        )
    if options.data is None:
        raise ImageError("--data: no real pictures to compare with. Give a folder of them, or a prepared data set.")
    return open_split(options.data, "train")


def _generator(options: GeneratorEvalOptions) -> tuple[Generator, jax.Array]:
    """The generator and w_avg. Raises CheckpointError if there is none, or if its pictures are too small for LPIPS."""
    model = checkpoints.load(options.checkpoint, dtype=jnp.dtype(options.dtype))
    try:
        generator, w_avg = model.require_generator()
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    size = generator.config.resolution
    seen = jax.eval_shape(lambda: compared(jnp.zeros((1, size, size, 3)), crop=options.ppl_crop)).shape[1]
    if options.ppl and seen < SMALLEST:
        raise CheckpointError.explain(
            options.checkpoint,
            found=f"pictures of {size} px, of which path lengths compare {seen} px",
            expected=f"at least {SMALLEST} px, which LPIPS needs",
            remedy="leave --ppl-crop out" if options.ppl_crop and size >= SMALLEST else "leave --ppl out",
        )
    return generator, w_avg


def _labels(options: GeneratorEvalOptions, source: Source | None, classes: int) -> np.ndarray | None:
    """The class of each real picture, int32[N], if asked for. Raises CheckpointError if the generator has not all these classes."""
    if options.labels is None or source is None:
        return None
    labels = read_labels(options.labels, source)
    if labels.max() >= classes:
        raise CheckpointError.explain(
            options.labels,
            found=f"class {labels.max()}",
            expected=f"a class of {options.checkpoint}, which has {classes}",
            remedy="give the labels that it was trained with, or none",
        )
    return labels


def _lpips_origins(options: GeneratorEvalOptions) -> dict[str, dict[str, str]]:
    """What the two files of LPIPS are, by the name of their option."""
    kinds = {"lpips_trunk_weights": TRUNKS["vgg"], "lpips_linear_weights": LINEAR["vgg"]}
    return {name: origin(kind.what, getattr(options, name)) for name, kind in kinds.items()}


def _features_of_data(
    network: FeatureNetwork, source: Source, options: GeneratorEvalOptions, size: int, unreadable: dict[str, str]
) -> np.ndarray:
    indices = range(len(source))
    batches = real_pictures(source, indices, size=size, batch_size=options.batch_size, unreadable=unreadable)
    chunks = _features(network, batches, len(source), "Real pictures", options)
    count = sum(map(len, chunks))
    if count < sets.SMALLEST:
        raise ImageError(
            f"{options.data}: {count} of {len(source)} pictures can be read, expected at least {sets.SMALLEST}; good numbers need "
            "tens of thousands."
        )
    return np.concatenate(chunks)


def _features_of_generator(
    network: FeatureNetwork,
    generator: Generator,
    w_avg: jax.Array,
    labels: np.ndarray | None,
    options: GeneratorEvalOptions,
) -> np.ndarray:
    pictures = _pictures(generator, w_avg, options.count, options.seed, labels, options)
    return np.concatenate(_features(network, pictures, options.count, "Made pictures", options))


def _features(
    network: FeatureNetwork, batches: Iterable[np.ndarray], count: int, title: str, options: GeneratorEvalOptions
) -> list[np.ndarray]:
    """The features f32[b, F] of batches of `count` pictures in all. Raises CheckpointError if some are not finite."""
    assert options.features
    found = []
    with tqdm(total=count, unit="image", desc=title, dynamic_ncols=True) as bar:
        for features in sets.features_of_pictures(network, batches):
            if not np.isfinite(features).all():
                raise CheckpointError.broken(options.features, "features that are not finite")
            found.append(features)
            bar.update(len(features))
    return found


def _pictures(
    generator: Generator,
    w_avg: jax.Array,
    count: int,
    seed: int,
    labels: np.ndarray | None,
    options: GeneratorEvalOptions,
) -> Iterator[np.ndarray]:
    """See `pictures_of_generator`. Raises CheckpointError if some are not finite."""
    try:
        yield from generated.pictures_of_generator(
            generator,
            w_avg,
            count,
            seed=seed,
            batch_size=min(options.batch_size, count),
            truncation_psi=options.truncation_psi,
            labels=labels,
        )
    except ValueError as error:
        raise CheckpointError.broken(options.checkpoint, str(error)) from error


def _path_length(
    generator: Generator, lpips: LPIPS, path: PathName, labels: np.ndarray | None, options: GeneratorEvalOptions
) -> float:
    space, full = _kind(path)
    lengths = generated.lengths_of_generator(
        generator,
        lpips,
        options.ppl_count,
        space=space,
        full=full,
        crop=options.ppl_crop,
        seed=options.seed,
        batch_size=min(options.batch_size, options.ppl_count),
        labels=labels,
    )
    found = []
    with tqdm(total=options.ppl_count, unit="path", desc=f"Path length {path}", dynamic_ncols=True) as bar:
        for chunk in lengths:
            found.append(chunk)
            bar.update(len(chunk))
    try:
        return perceptual_path_length(np.concatenate(found))
    except ValueError as error:
        judges = f"{options.lpips_trunk_weights} and {options.lpips_linear_weights}"
        raise CheckpointError.broken(options.checkpoint, f"{error} by {judges}") from error


def _kind(path: PathName) -> tuple[Space, bool]:
    """The space of the paths, and whether they are measured everywhere."""
    return "z" if path.startswith("z") else "w", path.endswith("full")


def _sample_sheet(generator: Generator, w_avg: jax.Array, options: GeneratorEvalOptions) -> np.ndarray:
    """u8[H, W, 3]: 8 x 8 pictures, always of the same codes and noise."""
    pictures = np.concatenate(list(_pictures(generator, w_avg, SHEET_SIDE**2, SHEET_SEED, None, options)))
    cell = min(generator.config.resolution, SHEET_CELL)
    rows = [GridRow("", list(pictures[start : start + SHEET_SIDE])) for start in range(0, len(pictures), SHEET_SIDE)]
    return picture_grid([""] * SHEET_SIDE, rows, cell, cell)
