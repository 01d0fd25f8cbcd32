"""A training run of a generator, from its configuration to its end."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax
from flax import nnx

from data_pipelines.avatars import AvatarSource, KeptAvatars
from data_pipelines.drawing.processes import DrawingError
from data_pipelines.folder import ImageError
from data_pipelines.loader import training_batches
from data_pipelines.preparation import Preparation
from data_pipelines.source import Source, open_split
from restyle_jax.checkpoints.feature_networks import load_features
from restyle_jax.jobs.requirements import require_paths
from restyle_jax.jobs.snapshots import Snapshots
from restyle_jax.jobs.training_data import SHOWN, fingerprint, read_labels
from restyle_jax.jobs.workdir import model_in
from restyle_jax.metrics.sets import SMALLEST
from restyle_jax.train import distributed
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.loop import Outcome, fit
from restyle_jax.train.stylegan_config import StyleGANTraining
from restyle_jax.train.stylegan_task import stylegan_task

NEEDED = {
    "data": "a folder of pictures, or one made by `restyle data prepare`",
    "checkpoint": "a StyleGAN2 to train further: rosinality's .pt, NVlabs' .pkl, one of ours, or the folder of its training",
    "features": "a feature network of snapshots, see `restyle eval-generator --help`",
    "labels": "a dataset.json as stylegan2-ada-pytorch has it",
}


def train_stylegan(
    config: StyleGANTraining,
    workdir: Path,
    *,
    connect: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, or continue there; see `train.loop.fit`.

    connect: how this process finds the others of the run, see `train.distributed.connect`; None: there are none.

    Raises:
      TrainingError: pictures are missing, too few or of other sizes, labels that do not belong to them, and what `fit` raises.
      CheckpointError: a file is not what it should be.
    """
    others = []
    if (config.data is None) == (config.avatars is None):
        others.append(
            f"--data and --avatars: found {'neither' if config.data is None else 'both'}, expected one of them: a folder of "
            f"pictures of {config.resolution} x {config.resolution} (or one made by `restyle data prepare`), or the number of "
            "avatars to draw."
        )
    require_paths(config, NEEDED, others)
    models = {name: model_in(path) for name in ("checkpoint", "features") if (path := getattr(config, name))}
    config = dataclasses.replace(config, **models)
    if connect is not None:
        distributed.connect(connect)
    tell = say if distributed.is_first() else lambda _: None
    source = _pictures(config, keep=not dry_run, say=tell)
    if len(source) < config.batch_size:
        raise TrainingError(
            f"{config.data or 'avatars'}: found {len(source)} pictures, expected at least the {config.batch_size} of a batch. Give "
            "more pictures or a smaller --batch-size."
        )
    if config.features and len(source) < SMALLEST:
        raise TrainingError(
            f"{config.data or 'avatars'}: found {len(source)} pictures, expected at least {SMALLEST}, with which snapshots can be "
            "compared. Give more pictures, or no --features."
        )
    labels = read_labels(config.labels, source) if config.labels else None
    score, best, scorer = None, "", None
    if config.features:
        network = load_features(config.features)
        snapshots = Snapshots(network, source, config.resolution, config.snapshot_pictures, labels)
        score, best, scorer = snapshots.score, f"fid/{network.name}", nnx.state(network.network)
    task = stylegan_task(config, labels, score, best, scorer)
    preparation = Preparation(height=config.resolution, width=config.resolution, flip=config.flip)
    outcome = fit(
        task,
        config,
        config,
        lambda start: training_batches(
            source,
            preparation,
            batch_size=config.batch_size,
            seed=config.seed,
            start=start,
            process=jax.process_index(),
            processes=jax.process_count(),
            workers=config.workers,
            max_unreadable=config.max_unreadable,
        ),
        None,
        workdir,
        name=source.name,
        fingerprint=fingerprint(config.data, source),
        dry_run=dry_run,
        resume=resume,
        say=say,
    )
    if not outcome.signal and not dry_run:
        best = f"; the best generator, of step {outcome.best[1]}, is in {workdir / 'best'}" if outcome.best else ""
        tell(f"Trained {outcome.step} steps, {outcome.step * config.batch_size / 1000:g} thousand pictures{best}")
    return outcome


def _pictures(config: StyleGANTraining, *, keep: bool, say: Callable[[str], None]) -> Source:
    if config.avatars is not None:
        if keep:
            say(f"drawing {config.avatars} avatars")
        try:
            kind = KeptAvatars if keep else AvatarSource
            return kind("train", config.avatars, config.resolution, config.avatar_style)
        except (ValueError, DrawingError) as error:
            raise TrainingError(f"{error}.") from error
    assert config.data
    try:
        source = open_split(config.data, "train")
    except ImageError as error:
        raise TrainingError(f"--data: {error}") from error
    check_pictures(source, config.resolution, say)
    return source


def check_pictures(source: Source, resolution: int, say: Callable[[str], None]) -> None:
    """Look at the size and the colours of every picture, of which only the head is read. Damaged ones are left to training.

    Says how many are not RGB, which they become. Raises TrainingError if one has another size, with the sizes that were found.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    wrong: list[str] = []
    for index in range(len(source)):
        try:
            size, mode = source.head(index)
        except ImageError:
            continue
        sizes[size] += 1
        modes[mode] += 1
        if size != (resolution, resolution) and len(wrong) < SHOWN:
            wrong.append(source.name(index))
    if wrong:
        found = ", ".join(f"{count} of {w} x {h}" for (w, h), count in sizes.most_common(SHOWN))
        raise TrainingError(
            f"pictures: found {found}{' and others' if len(sizes) > SHOWN else ''}, expected all of {resolution} x {resolution}. "
            f"The first that differ: {', '.join(wrong)}. Resize or crop them first, or set --resolution."
        )
    other = {mode: count for mode, count in modes.items() if mode != "RGB"}
    if other:
        listed = ", ".join(f"{count} of mode {mode}" for mode, count in sorted(other.items()))
        say(
            f"{sum(other.values())} of {len(source)} pictures are not RGB ({listed}): they are converted when they are read"
        )
