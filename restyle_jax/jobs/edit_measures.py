"""What an edit changed: the attribute that was meant, the others, and the person."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from restyle_jax.checkpoints.attributes import load_attributes
from restyle_jax.checkpoints.auxiliary import load_identity
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit.sampling import random_codes
from restyle_jax.jobs.edit_options import EditOptions
from restyle_jax.jobs.edit_records import Edited
from restyle_jax.jobs.edits import Edit, classifier_for, column, values_in
from restyle_jax.jobs.invert_folder import at_encoder_size
from restyle_jax.losses.similarity import cosine_similarity
from restyle_jax.metrics.attribute_dependency import Dependency, attribute_dependency
from restyle_jax.metrics.generated import pictures_of_generator
from restyle_jax.model import Model
from restyle_jax.nets.attributes import AttributeNetwork, describe, readings
from restyle_jax.nets.face import FaceNetwork
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.latent_classifier import LatentClassifier
from restyle_jax.nets.style_based import broadcast_styles
from restyle_jax.ops.images import resize, to_float

SPREAD_COUNT = 256  # made pictures (or codes), whose attributes give the unit of changes
SPREAD_SEED = 0

DEFINITIONS = {
    "change": "value after the edit minus value before, divided by the standard deviation of the attribute over made pictures: a "
    "scalar as the network gives it, a choice as log-odds; mean over the photos. The target is the change of what is meant: of a "
    "choice taken from a reference, that of the value which the reference shows most",
    "dependency": "mean and maximum over the other attributes of the mean over photos of |change|: the attribute dependency of "
    "StyleSpace (arXiv 2011.12799); compare it at an equal change of the target",
    "identity": "cosine similarity between the reconstruction and the edit of the features of the network that the settings name: "
    "ArcFace IR-SE50 with its fixed face crop (a file), or an identity network of ours (a directory)",
}


@dataclass(frozen=True)
class Judge:
    """Reads attributes off pictures or codes.

    names, attributes: of the columns, as in `AttributeConfig.columns`. target: the column that the edit means, if it is known.
    spread: f32[n], standard deviations. read: codes f32[B, K, D] and pictures f32[B, H, W, 3] -> f32[B, n].
    """

    names: tuple[str, ...]
    attributes: tuple[str, ...]
    target: int | None
    spread: np.ndarray
    read: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def changes(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """f32[..., n] -> the change in standard deviations; 0 for what never varies, not a number where a value is not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            return (after - before) / np.where(self.spread > 0, self.spread, np.inf)

    def summary(self, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
        """What an edit changed, f32[photos, n] each, for the report."""
        with np.errstate(invalid="ignore"):
            means = self.changes(before, after).mean(axis=0)
        found: dict[str, Any] = {}
        if self.target is not None:
            found |= {"meant": self.names[self.target], "target": float(means[self.target])}
            if dependency := self.dependency(before, after):
                found["dependency"] = {"mean": dependency.mean, "max": dependency.maximum}
        return {**found, "changes": dict(zip(self.names, means.tolist(), strict=True))}

    @property
    def others(self) -> list[int]:
        """The columns that vary and belong to other attributes than the one that is meant."""
        assert self.target is not None
        meant = self.attributes[self.target]
        return [i for i, name in enumerate(self.attributes) if name != meant and self.spread[i] > 0]

    def dependency(self, before: np.ndarray, after: np.ndarray) -> Dependency | None:
        """Of the target (the first of its `each`) and `others`; None if there are none, the target never varies, or a value is
        not finite."""
        kept = [self.target, *self.others]
        values = np.stack([before[:, kept], after[:, kept]])
        if len(kept) < 2 or not self.spread[self.target] > 0 or not np.isfinite(values).all():
            return None
        return attribute_dependency(values[0], values[1], self.spread[kept], 0)


def judge_of_pictures(
    file: Path, model: Model, target: Callable[[Sequence[str]], int | None], *, batch_size: int
) -> Judge:
    """An attribute network that looks at the pictures. Raises CheckpointError if the file holds none, or if the pictures of the
    generator are not finite."""
    network = load_attributes(file)
    columns = network.config.columns
    wanted = target([*columns])
    generator, w_avg = model.require_generator()
    made = pictures_of_generator(generator, w_avg, SPREAD_COUNT, seed=SPREAD_SEED, batch_size=batch_size)
    found = []
    try:
        with tqdm(total=SPREAD_COUNT, unit="image", desc="How attributes vary", dynamic_ncols=True) as bar:
            for pixels in made:
                found.append(readings_of(network, cropped(model, to_float(pixels))))
                bar.update(len(pixels))
    except ValueError as error:
        raise CheckpointError.broken(model.name, str(error)) from error
    spread = np.concatenate(found).std(axis=0)
    return Judge((*columns,), (*columns.values(),), wanted, spread, lambda _, pictures: readings_of(network, pictures))


def readings_of(network: AttributeNetwork, pictures: np.ndarray) -> np.ndarray:
    """Pictures f32[B, H, W, 3] of any size -> f32[B, columns]."""
    size = network.config.resolution
    fitted = pictures if pictures.shape[1:3] == (size, size) else resize(pictures, size, size)
    return readings(network.config, describe(network, fitted))


def _judge_of_codes(file: Path, model: Model, target: Callable[[Sequence[str]], int | None], meant: str) -> Judge:
    """A latent classifier that looks at the codes; an attribute's value is its logit. The values of `meant` are one attribute."""
    classifier = classifier_for(file, model)
    generator, w_avg = model.require_generator()
    made = next(random_codes(generator, SPREAD_COUNT, seed=SPREAD_SEED, chunk=SPREAD_COUNT)).w
    spread = logits_of(classifier, np.asarray(broadcast_styles(jnp.asarray(made), len(w_avg)))).std(axis=0)
    names = classifier.config.attributes
    values = values_in(classifier, meant)
    attributes = tuple(meant if i in values else name for i, name in enumerate(names))
    return Judge(names, attributes, target(names), spread, lambda codes, _: logits_of(classifier, codes))


def logits_of(classifier: LatentClassifier, codes: np.ndarray) -> np.ndarray:
    """f32[B, K, D] -> f32[B, attributes], compiled."""
    graph, state = nnx.split(classifier)
    return np.asarray(_logits(graph, state, codes))


@functools.partial(jax.jit, static_argnames="graph")
def _logits(graph, state, codes) -> jax.Array:
    return nnx.merge(graph, state, copy=True)(codes).logits


def cropped(model: Model, pictures: np.ndarray) -> np.ndarray:
    """The content of square pictures [B, R, R, 3], without the bars of cars."""
    return np.asarray(model.geometry.crop(jnp.asarray(pictures)))


@dataclass(frozen=True)
class Identity:
    """The network that tells people apart, compiled."""

    network: FaceNetwork | IdentityNetwork

    @classmethod
    def load(cls, file: Path, model: Model) -> "Identity | str":
        """The reason, if pictures of this model are none that the network can see. Raises CheckpointError as `load_identity`."""
        network = load_identity(file)
        square = model.geometry.height == model.geometry.width
        if square and model.require_generator()[0].config.resolution % network.size == 0:
            return cls(network)
        return f"its network takes square pictures of {network.size} px, or a multiple"

    def similarity(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures f32[n, B, H, W, 3] -> f32[n, B], each compared with the first of the n."""
        size = self.network.size
        small = [at_encoder_size(picture, size, size) for picture in pictures.reshape(-1, *pictures.shape[2:])]
        graph, state = nnx.split(self.network)
        rows = np.stack(small).reshape(*pictures.shape[:2], size, size, 3)
        features = jnp.stack([_embedded(graph, state, row) for row in rows])
        return np.asarray(cosine_similarity(features, features[:1]))


@functools.partial(jax.jit, static_argnames="graph")
def _embedded(graph, state, pictures) -> jax.Array:
    return nnx.merge(graph, state, copy=True)(pictures)


@dataclass(frozen=True)
class Measures:
    """All that is measured of an edit.

    judges: by "attributes" and "classifier". left_out: what is not measured, and why. shown: by judge, for each reference the
    column of what it shows most, where the attribute that is taken from it is a choice of several values.
    """

    judges: Mapping[str, Judge]
    identity: Identity | None
    left_out: Mapping[str, str]
    shown: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, options: EditOptions, model: Model, edit: Edit, batch_size: int) -> "Measures":
        """The measures whose files are given.

        Raises CheckpointError if a file is not what it should be, or the target that was named is not known.
        """
        judges: dict[str, Judge] = {}
        left_out = {}

        def target(file: Path, wanted: str | None, required: bool) -> Callable[[Sequence[str]], int | None]:
            def find(names: Sequence[str]) -> int | None:
                return column(names, wanted, file) if wanted and (required or wanted in names) else None

            return find

        if options.attributes:
            wanted = target(options.attributes, options.target or edit.target, options.target is not None)
            judges["attributes"] = judge_of_pictures(options.attributes, model, wanted, batch_size=batch_size)
        else:
            left_out["attributes"] = "no network that reads them off pictures was given (--attributes)"
        named = options.target or edit.target
        if options.classifier and edit.in_w:
            required = options.target is not None and not options.attributes
            # Of a label edit, the classifier's own name counts here if --attribute is how the other network calls it.
            wanted = target(options.classifier, named if required else edit.target or named, required)
            judges["classifier"] = _judge_of_codes(options.classifier, model, wanted, edit.target or "")
        elif options.classifier:
            left_out["classifier"] = "it reads codes of W+, and this edit takes place in S"
        identity = Identity.load(options.identity_weights, model) if options.identity_weights else None
        if identity is None:
            left_out["identity"] = "no network that compares faces was given (--identity-weights)"
        elif isinstance(identity, str):
            left_out["identity"], identity = identity, None
        shown = _shown(judges, edit, model)
        for name, judge in judges.items():
            if judge.target is None and name not in shown:
                known = ", ".join(judge.names)
                left_out[f"dependency in {name}"] = (
                    f"none of its attributes is called {named} (known: {known})"
                    if named
                    else f"which of its attributes is meant was not said (--attribute, one of {known})"
                )
        return cls(judges, identity, left_out, shown)

    def judges_of(self, way: int) -> dict[str, Judge]:
        """The judges, with the target of that one of the edit's ways."""
        return {
            name: dataclasses.replace(judge, target=self.shown[name][way]) if name in self.shown else judge
            for name, judge in self.judges.items()
        }

    def values(self, codes: np.ndarray, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """What the judges read off n results for B photos: {judge: f32[n, B, attributes]}."""
        return {
            name: np.stack([judge.read(*result) for result in zip(codes, pictures, strict=True)])
            for name, judge in self.judges.items()
        }

    def similarity(self, pictures: np.ndarray) -> np.ndarray | None:
        """f32[n, B], each compared with the first of the n."""
        return None if self.identity is None else self.identity.similarity(pictures)

    def notes(self, edited: Edited, way: int, part: slice) -> list[str]:
        """By how much each edit of a photo in one way, the `part` of all its edits, changed what was meant, as text for a picture;
        nothing where it was not measured."""
        for name, judge in self.judges_of(way).items():
            if judge.target is not None:
                values = np.asarray(edited.values[name], np.float32)
                changes = judge.changes(values[0], values[1:][part])[:, judge.target]
                return [f"{change:+.2f} sd" if np.isfinite(change) else "" for change in changes]
        return []


def _shown(judges: Mapping[str, Judge], edit: Edit, model: Model) -> dict[str, Sequence[int]]:
    """`Measures.shown`: where no column is the target, but several are its values."""
    codes = [way.code for way in edit.ways if way.code is not None]
    values = {
        name: [i for i, attribute in enumerate(judge.attributes) if attribute == edit.target]
        for name, judge in judges.items()
        if judge.target is None
    }
    if not codes or not any(values.values()):
        return {}
    pictures = cropped(model, edit.pictures(np.stack(codes)))
    return {
        name: np.take(columns, judges[name].read(np.stack(codes), pictures)[:, columns].argmax(axis=1)).tolist()
        for name, columns in values.items()
        if columns
    }
