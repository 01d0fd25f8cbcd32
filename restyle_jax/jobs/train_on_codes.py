"""Training runs on codes of inverted photos, from their configuration to their end: latent classifiers, edits by reference."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax

from data_pipelines.codes import CodeBatches, Codes, DataError, PairBatches, read_codes
from data_pipelines.labels import avatar_labels, labels_of, read_labels
from restyle_jax.checkpoints.latent_classifier import load_classifier
from restyle_jax.jobs.requirements import require_paths
from restyle_jax.jobs.workdir import model_in
from restyle_jax.nets.latent_classifier import LatentClassifierConfig
from restyle_jax.train import distributed
from restyle_jax.train.code_config import LatentClassifierTraining, ReferenceEditTraining, problems
from restyle_jax.train.errors import TrainingError
from restyle_jax.train.latent_classifier import latent_classifier_task
from restyle_jax.train.loop import Outcome, fit
from restyle_jax.train.reference_edit import reference_edit_task
from restyle_jax.train.task import Task

CODES = "the latents.npz that `restyle invert` writes"
NEEDED = {
    LatentClassifierTraining: {"data": CODES, "labels": "a list of labels such as CelebA's list_attr_celeba.txt"},
    ReferenceEditTraining: {
        "data": CODES,
        "classifier": "a latent classifier, or the folder of its training (experiments/latent_classifier_ffhq.py)",
    },
}


def train_on_codes(
    config: LatentClassifierTraining | ReferenceEditTraining,
    workdir: Path,
    *,
    connect: str | None = None,
    dry_run: bool = False,
    resume: Literal["auto", "never"] = "auto",
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train in `workdir`, or continue there; see `train.loop.fit`. The best network is in its folder `best`.

    connect: how this process finds the others of the run, see `train.distributed.connect`; None: there are none.

    Raises:
      TrainingError: impossible options, codes and labels or classifier that do not fit each other, and what `fit` raises.
      CheckpointError: the classifier's file is not what it should be.
    """
    if wrong := problems(config):
        raise TrainingError(f"{'; '.join(wrong)}.")
    require_paths(config, NEEDED[type(config)])
    if connect is not None:
        distributed.connect(connect)
    assert config.data is not None
    try:
        codes = read_codes(config.data)
        train, test = codes.split(config.test_share)
        if isinstance(config, LatentClassifierTraining):
            task, paired = _classifier(config, train, test), False
        else:
            task, paired = _editor(config, train), True
    except (DataError, ValueError) as error:
        raise TrainingError(str(error)) from error
    share = {"process": jax.process_index(), "processes": jax.process_count()}
    outcome = fit(
        task,
        config,
        config,
        lambda start: CodeBatches(train, config.batch_size, config.seed, start, **share),
        (lambda: PairBatches(test, config.test_batch_size, **share)) if paired else None,
        workdir,
        name=lambda index: train.names[index],
        fingerprint=_fingerprint(codes),
        dry_run=dry_run,
        resume=resume,
        say=say,
    )
    if distributed.is_first() and not outcome.signal and not dry_run:
        best = f"; the best network, of step {outcome.best[1]}, is in {workdir / 'best'}" if outcome.best else ""
        say(f"Trained {outcome.step} steps{best}")
    return outcome


def _classifier(config: LatentClassifierTraining, train: Codes, test: Codes) -> Task:
    labels = read_labels(config.labels) if config.labels else avatar_labels((*train.names, *test.names))
    known, held_out = (labels_of(codes.names, labels, str(config.labels)) for codes in (train, test))
    sizes = {"attributes": labels.attributes, "widths": config.widths, "embedding": config.embedding}
    network = LatentClassifierConfig(*train.values.shape[1:], **sizes)
    return latent_classifier_task(config, network, known, (test.values, held_out))


def _editor(config: ReferenceEditTraining, train: Codes) -> Task:
    assert config.classifier is not None
    classifier = load_classifier(model_in(config.classifier), style_dim=train.values.shape[2])
    sizes = (classifier.config.num_styles, classifier.config.style_dim)
    if sizes != train.values.shape[1:]:
        raise ValueError(
            f"{config.classifier}: found a classifier for codes of {sizes[0]} x {sizes[1]} numbers, but {config.data} has "
            f"{train.values.shape[1]} x {train.values.shape[2]}. Train one on codes of the same generator."
        )
    return reference_edit_task(config, classifier)


def _fingerprint(codes: Codes) -> str:
    checksum = hashlib.sha256("\n".join(codes.names).encode())
    checksum.update(codes.values.tobytes())
    return f"{len(codes.names)} codes, sha256 {checksum.hexdigest()}"
