"""From what was asked to a function on codes: along a direction, towards a label, like a reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.folder import ImageError, list_photos
from restyle_jax.checkpoints.edit_transformer import load_editor
from restyle_jax.checkpoints.latent_classifier import load_classifier
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit import label, reference, stylespace
from restyle_jax.edit.direction import Direction, apply, layer_numbers
from restyle_jax.edit.files import read_directions
from restyle_jax.jobs.edit_inputs import Photos
from restyle_jax.jobs.edit_options import Along, EditOptions, Like, Towards
from restyle_jax.jobs.records import choose_outputs
from restyle_jax.model import Model, synthesise
from restyle_jax.nets.edit_transformer import EditTransformer
from restyle_jax.nets.latent_classifier import LatentClassifier

Codes = np.ndarray | jax.Array


@dataclass(frozen=True)
class Way:
    """One way to edit a photo: the only one, or one for each reference, with its name for files, its picture and its code."""

    name: str = ""
    picture: np.ndarray | None = None
    code: np.ndarray | None = None


@dataclass(frozen=True)
class Edit:
    """What is done to the codes of photos.

    name: for people. target: the attribute that is meant, if the request says it. ways: see `Way`. codes: f32[B, K, D] and
    strengths f32[n] -> f32[ways, n, B, ...], codes in W+ or in S; strength 0 gives the code as it is. pictures: f32[m, ...],
    codes of the same space -> f32[m, R, R, 3]. in_w: whether they are W+ codes.
    """

    name: str
    target: str | None
    ways: tuple[Way, ...]
    codes: Callable[[np.ndarray, np.ndarray], Codes]
    pictures: Callable[[np.ndarray], np.ndarray]
    in_w: bool = True


def edit_of(options: EditOptions, model: Model, batch_size: int) -> Edit:
    """The edit that the options ask for.

    Raises:
      ImageError: a reference cannot be read, or lacks the attribute by the classifier that is given.
      CheckpointError: a file of the edit cannot be read, lacks what was asked, or belongs to another generator.
    """

    def pictures(codes: np.ndarray) -> np.ndarray:
        return synthesise(model, codes, batch_size=batch_size)

    match options.request:
        case Along() as request:
            return _along(request, model, pictures, batch_size)
        case Towards() as request:
            return _towards(request, model, pictures)
        case Like() as request:
            return _like(request, options, model, pictures, batch_size)


def _along(request: Along, model: Model, pictures: Callable[[np.ndarray], np.ndarray], batch_size: int) -> Edit:
    direction = _chosen(read_directions(request.file), request)
    generator, w_avg = model.require_generator()
    in_w = direction.space != "S"
    layers = _layers(request.layers, len(w_avg) if in_w else len(direction.widths))

    def codes(latents: np.ndarray, strengths: np.ndarray) -> Codes:
        start = latents if in_w else stylespace.styles(generator, latents, batch_size=batch_size)
        return apply(direction, start, strengths, layers=layers)[None]

    def of_styles(styles: np.ndarray) -> np.ndarray:
        return stylespace.pictures(generator, styles, batch_size=batch_size)

    try:
        if direction.space == "Z":
            raise ValueError(
                "a direction in Z, but photos have codes in W+; fit one in W with `restyle directions fit ... --space W`"
            )
        codes(np.asarray(w_avg)[None], np.zeros(1, np.float32))  # whatever does not fit shows here
    except ValueError as error:
        raise _unfit(request.file, model, str(error)) from error
    return Edit(direction.name, None, (Way(),), codes, pictures if in_w else of_styles, in_w)


def _chosen(directions: Sequence[Direction], request: Along) -> Direction:
    """The component that was asked for by number or name, or the first. Raises CheckpointError, which lists all, if none fits."""
    wanted = request.component or "0"
    names = [direction.name for direction in directions]
    if wanted in names:
        return directions[names.index(wanted)]
    if wanted.isdecimal() and int(wanted) < len(names):
        return directions[int(wanted)]
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    raise CheckpointError.explain(
        request.file,
        found=f"no component {wanted!r}",
        expected=f"a number from 0 to {len(names) - 1}, or one of {shown}",
        remedy="choose one of them with --component",
    )


def _towards(request: Towards, model: Model, pictures: Callable[[np.ndarray], np.ndarray]) -> Edit:
    classifier = classifier_for(request.classifier, model)
    column(classifier.config.attributes, request.attribute, request.classifier)
    layers = _layers(request.layers, len(model.require_generator()[1]))
    method = label.Method(request.order, request.normalise, layers)

    def codes(latents: np.ndarray, strengths: np.ndarray) -> Codes:
        asked = (classifier, latents, request.attribute, request.value)
        if request.updates == 1:  # the same way for all strengths
            return label.along(latents, label.directions(*asked, method=method), strengths)[None]
        lengths = np.asarray(strengths, np.float32) / request.updates
        moved = [label.edit(*asked, length, steps=request.updates, method=method) for length in lengths]
        return np.stack([np.asarray(codes) for codes in moved])[None]

    return Edit(f"{request.attribute}={request.value}", request.attribute, (Way(),), codes, pictures)


def _layers(text: str | None, count: int) -> tuple[int, ...] | None:
    """The numbers of layers that were asked for, of `count`. Raises CheckpointError for another text, and others than there are."""
    try:
        return None if text is None else layer_numbers(text, count)
    except ValueError as error:
        raise CheckpointError(f"--layers {text}: {error}.") from error


def _like(
    request: Like, options: EditOptions, model: Model, pictures: Callable[[np.ndarray], np.ndarray], batch_size: int
) -> Edit:
    editor = editor_for(request.editor, model, request.attribute)
    column([editor.config.attribute], request.attribute, request.editor)
    shown, targets = _references(request.references, options, model, batch_size)
    if options.classifier:
        _refuse_references_without(request.attribute, list(shown), targets, options.classifier, model)

    def codes(latents: np.ndarray, strengths: np.ndarray) -> Codes:
        return np.moveaxis(np.asarray(reference.edit(editor, latents, targets, strengths)), 2, 0)

    names = choose_outputs(list(shown), {})
    ways = tuple(
        Way(names[name].removesuffix(".png"), picture, code)
        for (name, picture), code in zip(shown.items(), targets, strict=True)
    )
    return Edit(f"{request.attribute} of the reference", request.attribute, ways, codes, pictures)


def _references(
    paths: Sequence[Path], options: EditOptions, model: Model, batch_size: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{name: u8[H, W, 3]} of the references as the encoder sees them, and their codes f32[R, K, D].

    Raises ImageError if one cannot be read, CheckpointError if the model has no encoder.
    """
    try:
        model.require_photos()
    except ValueError as error:
        raise CheckpointError(f"{error}: the reference is a photo.") from error

    def refuse(name: str, error: ImageError) -> None:
        raise error

    source = Photos(list_photos(paths), options.steps)
    shown: dict[str, np.ndarray] = {}
    latents = []
    for part in source.batches(model, source.names, batch_size, refuse):
        shown |= dict(zip(part.names, part.inputs or (), strict=True))
        latents.append(part.latents[: len(part.names)])
    return shown, np.concatenate(latents)


def _refuse_references_without(
    attribute: str, names: Sequence[str], codes: np.ndarray, file: Path, model: Model
) -> None:
    """Raise ImageError if the classifier sees no such attribute in the codes f32[R, K, D] of references; it may not know it."""
    classifier = classifier_for(file, model)
    values = values_in(classifier, attribute)
    if not values:
        return
    logits = np.asarray(classifier(jnp.asarray(codes)).logits)[:, values].max(axis=1)
    if without := [f"{name} ({logit:.1f})" for name, logit in zip(names, logits, strict=True) if logit < 0]:
        away = f"; --label {attribute}=0 takes it away" if attribute in classifier.config.attributes else ""
        raise ImageError(
            f"{', '.join(without)}: found no {attribute} there by {file} (a logit below 0), expected a photo that has it. Choose "
            f"another reference{away}."
        )


def values_in(classifier: LatentClassifier, attribute: str) -> tuple[int, ...]:
    """The numbers of the logits of an attribute: one, or one for each of its values; none if the classifier does not know it."""
    try:
        return classifier.config.values_of(attribute)
    except ValueError:
        return ()


def classifier_for(file: Path, model: Model) -> LatentClassifier:
    """A latent classifier. Raises CheckpointError if the file holds none, or one for codes of another generator."""
    styles, width = model.require_generator()[1].shape
    classifier = load_classifier(file, style_dim=width)
    config = classifier.config
    if (config.num_styles, config.style_dim) != (styles, width):
        found = f"a latent classifier for codes of {config.num_styles} x {config.style_dim}"
        raise _unfit(file, model, found)
    return classifier


def editor_for(file: Path, model: Model, attribute: str = "") -> EditTransformer:
    """A network for edits by reference; attribute: what an official file was trained for, which it does not tell.

    Raises CheckpointError if the file holds none, or one for codes of another generator.
    """
    styles, width = model.require_generator()[1].shape
    editor = load_editor(file, attribute=attribute, num_styles=styles)
    config = editor.config
    if (config.num_styles, config.style_dim) != (styles, width):
        found = f"a network for codes of {config.num_styles} x {config.style_dim}"
        raise _unfit(file, model, found)
    return editor


def _unfit(file: Path, model: Model, found: str) -> CheckpointError:
    shape = model.require_generator()[1].shape
    return CheckpointError.explain(
        file,
        found=found,
        expected=f"what belongs to the generator of {model.name}, with codes of {shape[0]} x {shape[1]}",
        remedy="give a file that was made for this generator",
    )


def column(names: Sequence[str], wanted: str, file: Path) -> int:
    """Where `wanted` is among the names. Raises CheckpointError, which lists them, if it is not."""
    if wanted not in names:
        raise CheckpointError.explain(
            file,
            found=f"no attribute {wanted!r}",
            expected=f"one of {', '.join(names)}",
            remedy="choose one of them",
        )
    return names.index(wanted)
