"""The pictures and files that a training run needs: looked for together, so that one message names all that is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_pipelines.folder import ImageError
from data_pipelines.preparation import NEEDS_PAIRS, Preparation
from data_pipelines.source import Source, open_split
from restyle_jax import zoo
from restyle_jax.checkpoints.networks import FACE, LINEAR, MOCO, TRUNKS, Published, from_zoo, located
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError

GENERATOR = Published(
    "stylegan2-<data set>-config-f.pt",
    "the StyleGAN2 generator whose pictures are inverted (rosinality .pt or NVlabs .pkl)",
    f"{FACE.where} (ffhq_cartoon_blended.pt: the README of yuval-alaluf/hyperstyle)",
)
RESNETS = {trunk: from_zoo(f"official/{trunk}") for trunk in ("resnet18", "resnet34", "resnet50")}
# What may also be a directory that we wrote.
DIRECTORIES = ("generator", "identity_weights", "lpips_trunk_weights")


@dataclass(frozen=True)
class Data:
    """The pictures of a run, and how they become arrays."""

    train: Source
    test: Source
    preparation: Preparation


def require(config: EncoderTraining) -> Data:
    """Look for everything that a run needs. Raises TrainingError, which names all that is missing and where to get it."""
    missing = [f"--{name.replace('_', '-')}: {reason}" for name, reason in _missing_files(config)]
    found: dict[str, Source] = {}

    def look(folder: Path, split: Literal["train", "test"], option: str) -> None:
        try:
            found[split] = open_split(folder, split, test_path=config.test_data)
        except ImageError as error:
            missing.append(f"{option}: {error}")
        if split in found and config.task in NEEDS_PAIRS and not found[split].paired:
            missing.append(
                f"{option}: {folder}: holds single pictures, but task {config.task} needs pairs. Expected source/ and target/ "
                "with equal file names, inside train/ and inside test/."
            )

    if config.data:
        look(config.data, "train", "--data")
    if config.test_data:
        look(config.test_data, "test", "--test-data")
    elif config.data and "train" in found:
        look(config.data, "test", "--data")
    if config.data is None:
        missing.append("--data: expected a folder of pictures, or one made by `restyle data prepare`.")
    _refuse(missing)
    try:
        return Data(found["train"], found["test"], preparation(config))
    except ValueError as error:
        raise TrainingError(f"{error}.") from error


def require_paths(config: Any, expected: Mapping[str, str], others: Sequence[str] = ()) -> None:
    """Look for the files and folders of a configuration without losses. expected: what each field should name, and where it comes
    from. others: sentences on what else is missing. Raises TrainingError, which names all that is not there."""
    missing = [*others]
    for name, what in expected.items():
        path: Path | None = getattr(config, name)
        try:
            if path is None or zoo.resolve(path).exists():
                continue
            missing.append(f"--{name}: {path}: there is no such file or folder. Expected {what}.")
        except CheckpointError as error:
            missing.append(f"--{name}: {error}")
    _refuse(missing)


def preparation(config: EncoderTraining) -> Preparation:
    """How pictures become arrays. Raises ValueError if the settings do not make sense."""
    labels = config.in_channels if config.task == "segmentation" else 0
    return Preparation(
        config.task, config.height, config.width, config.flip, labels, config.resize_factors, config.label_resize
    )


def _refuse(missing: Sequence[str]) -> None:
    """Raises TrainingError if anything is missing."""
    if missing:
        raise TrainingError(
            "\n  ".join(["some of what this run needs is missing; nothing was started.", *dict.fromkeys(missing)])
        )


def _missing_files(config: EncoderTraining) -> Iterator[tuple[str, str]]:
    if config.checkpoint:
        try:
            if not zoo.resolve(config.checkpoint).exists():
                yield "checkpoint", f"{config.checkpoint}: there is no such file or folder. Check the path."
        except CheckpointError as error:
            yield "checkpoint", str(error)
    for name, published in _needed(config):
        path: Path | None = getattr(config, name)
        if name in DIRECTORIES and path is not None and zoo.is_directory(path):
            continue  # of our format, or the folder of a training run
        try:
            located(path, published)
        except CheckpointError as error:
            yield name, str(error)


def _needed(config: EncoderTraining) -> Iterator[tuple[str, Published]]:
    """Fields whose files must be there."""
    if config.generator or not config.checkpoint:
        yield "generator", GENERATOR
    if config.trunk_weights and not config.checkpoint:
        unknown = Published(f"{config.trunk}.pth", f"a published {config.trunk}", "get such a file")
        yield "trunk_weights", FACE if config.trunk == "irse50" else RESNETS.get(config.trunk, unknown)
    if config.lpips or config.lpips_crop:
        yield "lpips_trunk_weights", TRUNKS[config.lpips_net]
        if not (config.lpips_trunk_weights and zoo.is_directory(config.lpips_trunk_weights)):
            yield "lpips_linear_weights", LINEAR[config.lpips_net]
    if config.identity:
        yield "identity_weights", FACE
    if config.moco:
        yield "moco_weights", MOCO
