"""Find directions of a generator and write them to a file."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from restyle_jax import checkpoints, zoo
from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import ganspace, interfacegan, sefa, stylespace
from restyle_jax.edit.direction import Direction
from restyle_jax.edit.files import read_directions, write_directions
from restyle_jax.edit.sampling import Codes, Score, random_codes, scored_codes
from restyle_jax.jobs.edit_measures import cropped, logits_of, readings_of
from restyle_jax.jobs.edits import classifier_for, column
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.model import Model
from restyle_jax.nets.style_based import broadcast_styles, truncate


@dataclass(frozen=True)
class Fit:
    """What all fits have in common: the file with the generator, the .npz to write, the seed of the codes."""

    checkpoint: Path
    output: Path
    seed: int = 0
    batch_size: int = 4
    dtype: str = "float32"
    overwrite: bool = False


@dataclass(frozen=True)
class Scores:
    """Random codes and how much of an attribute they have: pictures looked at by an attribute network, or codes by a classifier.

    Codes are truncated before they are looked at: by `truncation_psi` in the first `truncation_cutoff` styles.
    """

    attribute: str
    samples: int
    attributes: Path | None = None
    classifier: Path | None = None
    truncation_psi: float = 0.7
    truncation_cutoff: int | None = 8


@dataclass(frozen=True)
class InterFaceGAN:
    """See `edit.interfacegan`; conditions: files with directions that must not change."""

    scores: Scores
    space: Literal["Z", "W"] = "W"
    chosen: float = 0.02
    conditions: tuple[Path, ...] = ()

    def find(self, fit: Fit, model: Model) -> list[Direction]:
        """One direction [D] of Z or W. Raises CheckpointError for a condition or network that does not fit the generator,
        ValueError if the scores do not part the codes."""
        conditions = [self._condition(file, model) for file in self.conditions]
        codes, scores = _scored(self.scores, fit, model)
        found = interfacegan.fit(
            codes.w if self.space == "W" else codes.z,
            scores,
            name=self.scores.attribute,
            space=self.space,
            chosen=self.chosen,
            seed=fit.seed,
        )
        return [interfacegan.project(found, conditions) if conditions else found]

    def _condition(self, file: Path, model: Model) -> Direction:
        sizes = model.require_generator()[0].config
        condition = read_directions(file, space=self.space)[0]
        size = sizes.w_dim if self.space == "W" else sizes.z_dim
        if condition.vector.shape != (size,):
            raise CheckpointError.explain(
                file,
                found=f"a direction of {condition.vector.size} numbers",
                expected=f"one of {size} in {self.space}, as the generator of {model.name} has",
                remedy="give a direction that was made for this generator",
            )
        return condition


@dataclass(frozen=True)
class GANSpace:
    """See `edit.ganspace`."""

    samples: int
    components: int = 80

    def find(self, fit: Fit, model: Model) -> list[Direction]:
        """Directions [D] of W, those of most variance first. Raises ValueError if there are fewer codes or dimensions than that."""
        count = self.samples + ganspace.FRESH

        def codes() -> Iterator[np.ndarray]:
            with tqdm(total=count, unit="code", desc="Drawing codes", dynamic_ncols=True) as bar:
                for part in random_codes(model.require_generator()[0], count, seed=fit.seed):
                    yield part.w
                    bar.update(len(part.w))

        found = ganspace.fit(codes(), components=self.components)
        assert found.explained is not None
        shares = found.explained.tolist()
        return [_noted(each, explained=share) for each, share in zip(found.directions(), shares, strict=True)]


@dataclass(frozen=True)
class SeFa:
    """See `edit.sefa`."""

    layers: str = "all"
    components: int | None = None

    def find(self, fit: Fit, model: Model) -> list[Direction]:
        """Directions [D] of W, those that change the styles most first. Raises ValueError for layers that do not exist."""
        return sefa.factorise(model.require_generator()[0], self.layers, count=self.components)


@dataclass(frozen=True)
class StyleSpace:
    """See `edit.stylespace`; positives: how many codes of highest score show the attribute. channels: how many to keep."""

    scores: Scores
    positives: int = 30
    channels: int = 10

    def find(self, fit: Fit, model: Model) -> list[Direction]:
        """Directions [C] of S, each of one channel, the clearest first. Raises CheckpointError for a network that does not fit the
        generator, ValueError for a StyleGAN."""
        generator, w_avg = model.require_generator()
        stylespace.stylegan2_of(generator)
        codes, scores = _scored(self.scores, fit, model)
        # The statistics are over the same codes as the scores, truncated alike.
        latents = _truncated(codes.w, w_avg, self.scores)
        chunks = (latents[start : start + 1000] for start in range(0, len(latents), 1000))
        found = stylespace.statistics(generator, chunks)
        positives = stylespace.styles(generator, latents[np.argsort(-scores)[: self.positives]])
        return stylespace.attribute_channels(found, positives, name=self.scores.attribute, count=self.channels)


Method = InterFaceGAN | GANSpace | SeFa | StyleSpace


def fit_directions(fit: Fit, method: Method) -> list[Direction]:
    """Find directions, write them to `fit.output` and return them; their metadata say how they were found.

    Raises:
      OutputError: the output is no .npz, or exists.
      CheckpointError: a file cannot be read or is not what it should be; the fit is impossible, or cannot be written.
    """
    if fit.output.suffix != ".npz":
        raise OutputError(f"{fit.output}: directions are written as .npz. Choose an --output that ends so.")
    if fit.output.exists() and not fit.overwrite:
        raise OutputError(f"{fit.output}: exists. Choose another --output, or add --overwrite to replace it.")
    model = checkpoints.load(fit.checkpoint, dtype=jnp.dtype(fit.dtype))
    model = dataclasses.replace(model, name=zoo.label(fit.checkpoint))
    try:
        model.require_generator()
        found = method.find(fit, model)
    except ValueError as error:
        raise CheckpointError(f"{fit.checkpoint}: no directions can be found: {error}.") from error
    if not found:
        raise CheckpointError(f"{fit.checkpoint}: no direction changes the attribute.")
    settings = {"checkpoint": zoo.label(fit.checkpoint), "seed": fit.seed, **_settings(method)}
    noted = [_noted(direction, settings=settings) for direction in found]
    write_directions(noted, fit.output)
    return noted


def _settings(method: Method) -> dict[str, object]:
    """The settings of a method, those of its scores among them, as JSON has them."""
    settings = dataclasses.asdict(method)
    settings |= settings.pop("scores", {})
    return {key: _plain(value) for key, value in settings.items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return zoo.label(value) if isinstance(value, Path) else value


def _noted(direction: Direction, **notes: object) -> Direction:
    return dataclasses.replace(direction, metadata={**direction.metadata, **notes})


def _scored(asked: Scores, fit: Fit, model: Model) -> tuple[Codes, np.ndarray]:
    """Random codes and their scores f32[N]. Raises ValueError if some scores are not finite."""
    with tqdm(total=asked.samples, unit="image", desc="Scoring", dynamic_ncols=True) as bar:
        codes, scores = _read(asked, fit, model, bar)
    if broken := np.count_nonzero(~np.isfinite(scores)):
        judge = asked.classifier or asked.attributes
        raise ValueError(
            f"{broken} of {len(scores)} scores by {judge} are not finite; one of the two networks is broken"
        )
    return codes, scores


def _read(asked: Scores, fit: Fit, model: Model, bar: tqdm) -> tuple[Codes, np.ndarray]:
    generator, w_avg = model.require_generator()
    if asked.classifier is not None:
        return _scored_codes(asked, asked.classifier, fit, model, bar)
    assert asked.attributes is not None
    return scored_codes(
        generator,
        w_avg,
        _score_of_pictures(asked.attributes, asked.attribute, model, bar),
        asked.samples,
        seed=fit.seed,
        batch_size=fit.batch_size,
        truncation_psi=asked.truncation_psi,
        truncation_cutoff=asked.truncation_cutoff,
    )


def _score_of_pictures(file: Path, attribute: str, model: Model, bar: tqdm) -> Score:
    network = load_attributes(file)
    wanted = column([*network.config.columns], attribute, file)

    def score(pictures: jax.Array) -> np.ndarray:
        found = readings_of(network, cropped(model, np.asarray(pictures)))
        bar.update(min(len(found), bar.total - bar.n))  # the last batch is filled up
        return found[:, wanted]

    return score


def _scored_codes(asked: Scores, file: Path, fit: Fit, model: Model, bar: tqdm) -> tuple[Codes, np.ndarray]:
    generator, w_avg = model.require_generator()
    classifier = classifier_for(file, model)
    wanted = column(classifier.config.attributes, asked.attribute, file)
    codes, scores = [], []
    for part in random_codes(generator, asked.samples, seed=fit.seed):
        codes.append(part)
        scores.append(logits_of(classifier, _truncated(part.w, w_avg, asked))[:, wanted])
        bar.update(len(part.w))
    z, w = (np.concatenate(parts) for parts in zip(*codes, strict=True))
    radius = np.sqrt(z.shape[1]) / np.linalg.norm(z, axis=1, keepdims=True)  # the sphere of `scored_codes`
    return Codes(z * radius, w), np.concatenate(scores)


def _truncated(w: np.ndarray, w_avg: jax.Array, asked: Scores) -> np.ndarray:
    codes = broadcast_styles(jnp.asarray(w), len(w_avg))
    return np.asarray(truncate(codes, w_avg, asked.truncation_psi, asked.truncation_cutoff))
