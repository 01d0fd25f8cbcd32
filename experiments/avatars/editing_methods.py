"""Every method of editing in one form: from the strength of an edit to the edited pictures of all codes."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import ganspace, interfacegan, label, reference, sefa, stylespace
from restyle_jax.edit.direction import Direction, apply, layer_numbers
from restyle_jax.edit.files import read_directions, write_directions
from restyle_jax.edit.sampling import scored_codes
from restyle_jax.jobs.edit_measures import Judge
from restyle_jax.model import Model, synthesise
from restyle_jax.nets.edit_transformer import EditTransformer
from restyle_jax.nets.latent_classifier import LatentClassifier
from restyle_jax.nets.style_based import broadcast_styles, truncate
from restyle_jax.ops.batches import in_batches

SEED, BATCH = 0, 50
PSI = 0.7  # of the samples that directions are fitted to, in all styles
COMPONENTS, PROBES = 20, 16  # of each range of layers; codes that they are tried on
TRIED = 0.5  # the length at which components are tried, and over which the second order looks, in radii of W
POSITIVES = 30  # codes that show the attribute, for StyleSpace
REFERENCES = 4  # pictures that show it most
REACH, REACH_OF_CHANNELS, REACH_OF_REFERENCES = 3.0, 20.0, 2.0
"""Largest strengths: lengths in radii of W, standard deviations of a channel, and times what the editor makes."""

FITTED = ("InterFaceGAN", "GANSpace", "SeFa", "StyleSpace")
OWN, SECOND, SHARED, REFERENCE = "label, 1st order", "label, 2nd order", "label, mean direction", "reference"
METHODS = (*FITTED, OWN, SECOND, SHARED, REFERENCE)


@dataclass(frozen=True)
class Target:
    """An attribute to edit: a column of the attribute network, which is to rise (sign 1) or to fall (-1)."""

    column: str
    sign: int

    @classmethod
    def parse(cls, text: str) -> "Target":
        """ "smile", or "glasses=none:down"."""
        column, down, rest = text.partition(":down")
        if not column or rest:
            raise ValueError(f"{text!r}; expected a name such as smile, hair_colour=blond or glasses=none:down")
        return cls(column, -1 if down else 1)

    @property
    def name(self) -> str:
        return self.column + (":down" if self.sign < 0 else "")

    @property
    def label(self) -> str:
        """Its name in latent classifiers of avatars (`data_pipelines.labels`)."""
        return self.column.replace("=", "_")

    @property
    def file(self) -> str:
        return self.name.replace("=", "-").replace(":", "-").replace(" ", "-")


@dataclass(frozen=True)
class Way:
    """A method at work: strength -> pictures f32[n, R, R, 3] in [-1, 1]. largest: strength to try."""

    pictures: Callable[[float], np.ndarray]
    largest: float


@dataclass(frozen=True)
class Samples:
    """Random codes f32[N, D] of W, and what the attribute network reads off their (truncated) pictures, f32[N, columns]."""

    w: np.ndarray
    readings: np.ndarray

    @functools.cached_property
    def radius(self) -> float:
        """Root mean square of the distance to the mean, by which lengths are measured."""
        return float(np.sqrt(np.square(self.w - self.w.mean(0)).sum(1).mean()))

    @classmethod
    def draw(cls, model: Model, judge: Judge, count: int) -> "Samples":
        generator, w_avg = model.require_generator()
        with tqdm(total=count, unit="image", desc="Scoring samples", dynamic_ncols=True) as bar:

            def score(pictures):
                bar.update(min(len(pictures), count - bar.n))  # the last batch is filled up
                return judge.read(np.empty(0), _seen(np.asarray(pictures)))

            settings = {"batch_size": BATCH, "truncation_psi": PSI, "truncation_cutoff": None}
            codes, readings = scored_codes(generator, w_avg, score, count, seed=SEED, **settings)
        return cls(codes.w, readings)


@dataclass(frozen=True)
class Fits:
    """Directions of a generator, fitted to samples. judge: says what changes."""

    model: Model
    judge: Judge
    samples: Samples

    def of(self, target: Target, folder: Path) -> dict[str, Direction | str]:
        """One direction for each of FITTED, or why there is none; kept in the folder, where `restyle edit` can read them."""
        made: dict[str, Direction | str] = {}
        for method in FITTED:
            file = folder / f"{target.file}-{method.lower()}.npz"
            try:
                if not file.exists():
                    write_directions([self._fit(method, target)], file)
                made[method] = read_directions(file)[0]
            except ValueError as error:
                made[method] = str(error)
        return made

    def _fit(self, method: str, target: Target) -> Direction:
        column = self.judge.names.index(target.column)
        scores = target.sign * self.samples.readings[:, column]
        match method:
            case "InterFaceGAN":
                return interfacegan.fit(self.samples.w, scores, name=target.name, space="W", seed=SEED)
            case "StyleSpace":
                return self._channel(scores, target.name)
            case "GANSpace":
                return self._matching(*self._ganspace, target)
            case _:
                return self._matching(*self._sefa, target)

    def _channel(self, scores: np.ndarray, name: str) -> Direction:
        """The first channel by the paper's score."""
        generator = self.model.require_generator()[0]
        points = stylespace.styles(generator, self._shown(self.samples.w), batch_size=BATCH)
        widths = stylespace.stylegan2_of(generator).config.style_widths
        found = stylespace.Statistics(points.mean(0), points.std(0), widths)
        chosen = stylespace.attribute_channels(found, points[np.argsort(-scores)[:POSITIVES]], name=name, count=1)
        if not chosen:
            raise ValueError("no channel goes with the attribute")
        return chosen[0]

    @functools.cached_property
    def _ranges(self) -> list[tuple[int, ...] | None]:
        """All layers, and the coarse, middle and fine third of them."""
        styles = layer_numbers("all", len(self.model.require_generator()[1]))
        return [None, *(tuple(part.tolist()) for part in np.array_split(styles, 3))]

    @functools.cached_property
    def _ganspace(self) -> tuple[list[Direction], np.ndarray]:
        w = self.samples.w
        found = ganspace.fit([w], components=min(COMPONENTS, w.shape[1]), fresh=len(w) // 4)
        return self._tried([direction for layers in self._ranges for direction in found.directions(layers)])

    @functools.cached_property
    def _sefa(self) -> tuple[list[Direction], np.ndarray]:
        generator = self.model.require_generator()[0]
        layers = ["all" if layers is None else layers for layers in self._ranges]
        return self._tried([each for part in layers for each in sefa.factorise(generator, part, count=COMPONENTS)])

    def _tried(self, components: Sequence[Direction]) -> tuple[list[Direction], np.ndarray]:
        """All components of either sign, and how they change the first samples: f32[components, PROBES, columns]."""
        codes = self._shown(self.samples.w[:PROBES])
        candidates = [signed for direction in components for signed in (direction, _reversed(direction))]
        lengths = [TRIED * self.samples.radius / _length(direction) for direction in candidates]
        moved = [np.asarray(apply(*each)) for each in zip(candidates, [codes] * len(candidates), lengths, strict=True)]
        rows = np.concatenate([codes, *moved])
        with tqdm(total=len(rows), unit="image", desc="Trying components", dynamic_ncols=True) as bar:

            def read(w: np.ndarray) -> np.ndarray:
                bar.update(min(BATCH, len(rows) - bar.n))
                return self.judge.read(w, _seen(synthesise(self.model, w, batch_size=BATCH)))

            every = in_batches(read, rows, BATCH).reshape(-1, len(codes), len(self.judge.names))
        return candidates, self.judge.changes(every[0], every[1:])

    def _shown(self, w: np.ndarray) -> np.ndarray:
        """The codes f32[n, K, D] of which the attribute network saw the pictures."""
        w_avg = self.model.require_generator()[1]
        return np.asarray(truncate(broadcast_styles(jnp.asarray(w), len(w_avg)), w_avg, PSI))

    def _matching(self, candidates: Sequence[Direction], changes: np.ndarray, target: Target) -> Direction:
        """Of those that change the target at least half as much as the strongest, the one that changes others least for it."""
        aimed = self.judge.names.index(target.column)
        meant = target.sign * changes[..., aimed].mean(1)
        others = [i for i, name in enumerate(self.judge.attributes) if name != self.judge.attributes[aimed]]
        if not meant.max() > 0:
            raise ValueError("no component changes the attribute")
        cost = np.abs(changes[..., others]).mean((1, 2)) / np.where(meant > 0, meant, np.inf)
        return candidates[int(np.where(meant >= meant.max() / 2, cost, np.inf).argmin())]


@dataclass(frozen=True)
class Bench:
    """The codes of one encoder f32[n, K, D], and what edits them. radius: of W, by which lengths are measured."""

    model: Model
    codes: np.ndarray
    radius: float
    classifier: LatentClassifier | None
    editor: EditTransformer | None

    def ways(self, target: Target, fitted: Mapping[str, Direction | str], shown: np.ndarray) -> dict[str, Way | str]:
        """All METHODS, or why one is left out. shown: f32[n], how much of the target the reconstructions have."""
        made: dict[str, Way | str] = {
            method: found if isinstance(found, str) else self._along(found) for method, found in fitted.items()
        }
        return made | self._labels(target) | {REFERENCE: self._reference(target, shown)}

    def _along(self, direction: Direction) -> Way:
        if direction.space == "S":
            generator = self.model.require_generator()[0]
            start = stylespace.styles(generator, self.codes, batch_size=BATCH)

            def pictures(strength: float) -> np.ndarray:
                return _seen(stylespace.pictures(generator, apply(direction, start, strength), batch_size=BATCH))

            return Way(pictures, REACH_OF_CHANNELS)
        return self._through(lambda strength: apply(direction, self.codes, strength), self._reach / _length(direction))

    def _labels(self, target: Target) -> dict[str, Way | str]:
        methods = (OWN, SECOND, SHARED)
        if self.classifier is None:
            return dict.fromkeys(methods, "there is no latent classifier")
        if target.label not in self.classifier.config.attributes:
            return dict.fromkeys(methods, f"the latent classifier does not know {target.label}")
        asked = (self.classifier, self.codes, target.label, 1 if target.sign > 0 else 0)
        first = np.asarray(label.directions(*asked))
        second = np.asarray(label.directions(*asked, method=label.Method(2, xi=TRIED * self.radius)))
        mean = first.mean(0)
        lengths = np.linalg.norm(mean, axis=-1, keepdims=True)
        shared = Direction(target.name, mean / np.where(lengths > 0, lengths, 1), "W+")
        own = {
            name: self._through(lambda strength, n=n: label.along(self.codes, n, [strength])[0], self._reach)
            for name, n in ((OWN, first), (SECOND, second))
        }
        return {**own, SHARED: self._through(lambda strength: apply(shared, self.codes, strength), self._reach)}

    def _reference(self, target: Target, shown: np.ndarray) -> Way | str:
        if self.editor is None:
            return "there is no network for edits by reference"
        editor, attribute = self.editor, self.editor.config.attribute
        if target.label != attribute and not target.label.startswith(f"{attribute}_"):
            return f"the network for edits by reference was trained for {attribute}"
        best = np.argsort(-target.sign * shown)[:REFERENCES]
        rows = np.arange(len(self.codes))

        def codes(strength: float) -> np.ndarray:
            every = np.asarray(reference.edit(editor, self.codes, self.codes[best], strength))
            return every[rows, rows % len(best)]

        return self._through(codes, REACH_OF_REFERENCES)

    def _through(self, codes: Callable[[float], object], largest: float) -> Way:
        return Way(
            lambda strength: _seen(synthesise(self.model, np.asarray(codes(strength)), batch_size=BATCH)), largest
        )

    @property
    def _reach(self) -> float:
        return REACH * self.radius


def _seen(pictures: np.ndarray) -> np.ndarray:
    return np.clip(pictures, -1, 1)


def _length(direction: Direction) -> float:
    """How far strength 1 moves a style."""
    return direction.unit * float(np.linalg.norm(direction.vector, axis=-1).max())


def _reversed(direction: Direction) -> Direction:
    return dataclasses.replace(
        direction, name=f"{direction.name} reversed", vector=-direction.vector, zero=-direction.zero
    )


def check_generator(model: Model, base: Model, path: Path) -> None:
    """Raise CheckpointError unless a model has the generator that directions are fitted for."""
    w_avg = np.asarray(base.require_generator()[1])
    fits = model.require_generator()[1].shape == w_avg.shape
    if fits:
        pictures = [synthesise(each, w_avg[None], batch_size=BATCH) for each in (model, base)]
        fits = np.abs(pictures[0] - pictures[1]).max() < 1e-2
    if not fits:
        raise CheckpointError.explain(
            path,
            found="a generator that makes other pictures",
            expected=f"that of {base.name}, for which directions are fitted",
            remedy="give encoders of this generator, or another --generator",
        )
