"""Between official files and our own format: models, latent classifiers and networks for edits by reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from restyle_jax import checkpoints
from restyle_jax.checkpoints.edit_transformer import OFFICIAL_STYLES
from restyle_jax.checkpoints.latent_classifier import STYLE_DIM
from restyle_jax.checkpoints.obstacles import Format
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs.outputs import OutputError

Kind = Literal["model", "classifier", "editor"]


def convert(
    source: Path, target: Path, *, kind: Kind | None = None, attribute: str | None = None, style_dim: int | None = None
) -> Kind:
    """Write what a file holds as the folder `target` of our format; returns what it was.

    kind: of a file with several (a checkpoint of reference editing has all three) the one that is meant; a model first, then an
        editor. attribute: what an editor was trained for. style_dim: D of the codes of a classifier. Official files do not tell
        these; the generator in a file is asked first, then 512 is assumed.

    Raises:
      CheckpointError: see `checkpoints.load`, `load_classifier`, `load_editor` and `save`; or there is no such network.
      OutputError: an option is for another kind.
    """
    report = checkpoints.inspect(source)
    networks, there = report["networks"], _kinds(report["networks"])
    chosen = kind or there[0]
    if chosen not in there:
        raise CheckpointError.explain(
            source,
            found=f"a {report['kind']} with {', '.join(networks)}",
            expected=f"the network of --network {chosen}",
            remedy=f"choose --network {' or '.join(there)}",
        )
    _refuse("attribute", attribute, "editor", chosen)
    _refuse("style-dim", style_dim, "classifier", chosen)
    about = {"source": source.name} | ({} if report["step"] is None else {"step": report["step"]})
    if chosen == "model":
        checkpoints.save(checkpoints.load(source), target)
    elif chosen == "classifier":
        dim = style_dim or networks.get("generator", {}).get("w_dim", STYLE_DIM)
        checkpoints.save_classifier(checkpoints.load_classifier(source, style_dim=dim), about, target)
    else:
        styles = report["num_styles"] or OFFICIAL_STYLES
        editor = checkpoints.load_editor(source, attribute=attribute or "", num_styles=styles)
        checkpoints.save_editor(editor, about, target)
    return chosen


def export(
    source: Path,
    target: Path,
    *,
    format: Format | None = None,
    classifier: Path | None = None,
    generator: Path | None = None,
) -> Kind:
    """Write what a file holds as the official PyTorch file `target`, which must not exist yet; returns what it was.

    format: of a model, see `checkpoints.export_torch`; what fits it unless given. classifier, generator: which the official file of
    an editor contains as well, and nothing else.

    Raises:
      CheckpointError: see `checkpoints.load` and the functions that export; or the parts of an editor's file do not fit together.
      OutputError: an option is for another kind, or a part of an editor's file is not given.
    """
    kind = _kinds(checkpoints.inspect(source)["networks"])[0]
    _refuse("format", format, "model", kind)
    _refuse("classifier", classifier, "editor", kind)
    _refuse("generator", generator, "editor", kind)
    if kind == "model":
        model = checkpoints.load(source)
        checkpoints.export_torch(model, target, format=format or checkpoints.usual_format(model))
    elif kind == "classifier":
        checkpoints.export_classifier(checkpoints.load_classifier(source), target)
    else:
        _export_editor(source, target, classifier, generator)
    return kind


def _export_editor(source: Path, target: Path, classifier: Path | None, generator: Path | None) -> None:
    if classifier is None or generator is None:
        raise OutputError(
            f"{source}: holds a network for edits by reference, whose official file contains a classifier and a generator. Add "
            "--classifier FILE and --generator CKPT."
        )
    editor, model = checkpoints.load_editor(source), checkpoints.load(generator)
    try:
        styles, width = model.require_generator()[1].shape
    except ValueError as error:
        raise CheckpointError(f"{error}.") from error
    judge = checkpoints.load_classifier(classifier, style_dim=width)
    for file, config in ((source, editor.config), (classifier, judge.config)):
        if (config.num_styles, config.style_dim) != (styles, width):
            raise CheckpointError.explain(
                file,
                found=f"a network for codes of {config.num_styles} x {config.style_dim}",
                expected=f"one for codes of {styles} x {width}, as {generator} has them",
                remedy="give networks of one generator",
            )
    checkpoints.export_editor(editor, judge, model, target)


def _kinds(networks: Mapping[str, Any]) -> list[Kind]:
    """What is there, in the order in which it is meant; what is none of these is refused by the function that loads models."""
    alone: list[Kind] = [kind for kind in ("editor", "classifier") if kind in networks]
    return ["model", *alone] if len(networks) > len(alone) or not alone else alone


def _refuse(option: str, value: object, kind: Kind, found: Kind) -> None:
    if value is not None and kind != found:
        raise OutputError(f"--{option} is for {WHAT[kind]}, and this is {WHAT[found]}: leave it out.")


WHAT: dict[Kind, str] = {
    "model": "a model",
    "classifier": "a latent classifier",
    "editor": "a network for edits by reference",
}
