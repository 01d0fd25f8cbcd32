"""`restyle edit`."""

import argparse
import math
from typing import Any

import numpy as np

from restyle_jax import zoo
from restyle_jax.commands.arguments import (
    MAX_STEPS,
    Once,
    add_checkpoint,
    add_command,
    add_computing,
    add_output,
    failed,
    finite,
    integer,
    path,
    prepare_jax,
    say,
)
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.jobs.workdir import model_in

EDIT = """\
three kinds of edit:
  --direction FILE|NAME
                       along one direction for all photos. FILE: what `restyle directions fit`
                       writes, or a published file of InterFaceGAN (.npy), GANSpace (.npz, .pt),
                       SeFa or ReStyle (.pt); NAME: of `restyle zoo`. A direction belongs to the
                       generator for which it was made. Strengths are in its units: standard
                       deviations (GANSpace, StyleSpace, avatars64/...), or lengths in the space
                       of codes
  --label smile=1      towards an attribute (=0: away from it), for each photo in a direction of
                       its own, the gradient of --classifier. A strength is a length; styles are
                       normalised one by one, or all together with --normalise global
  --reference PHOTO    the --attribute of that photo, with --editor, which was trained for it.
                       Strength 1 is what the editor makes, 0.5 half way there. A photo in which
                       --classifier does not see the attribute is refused

what it writes into DIR:
  strength_-3/ ... strength_3/   the edited pictures: <photo name>.png (of references in a folder
                                 for each)
  strips/                        for each photo: input, reconstruction, all strengths
  morphs/                        with --morph, for each photo a GIF, there and back
  latents.npz                    key: photo name; value: the edited codes, float32
                                 [strengths, K, D], or [strengths, channels] in S space;
                                 references follow one another
  metrics.json                   how much the edit changed, see below; settings, versions

Photos are inverted first, as `restyle invert` does. A latents.npz of `restyle invert` saves
that; the last step of each photo is taken (of a latents.npz of `restyle edit`, the last
strength).

Changes are measured by the networks that are given: --attributes reads them off pictures,
--classifier off codes, --identity-weights compares faces. --attribute names the one that is
meant (of a choice that is taken from a reference, the value which that shows most); the
dependency is the mean change of all others. The unit of a change is the standard deviation of
the attribute over made pictures.

If it is stopped, the same command continues with the photos that are not done; photos whose
pictures were removed are done again. The exit status is 0 if all photos were edited, 1 if some
could not be read or inverted or nothing could be done.

examples:
  restyle edit --checkpoint restyle_e4e_ffhq_encode.pt --input photos --output smiles \\
    --direction smile.pt --strengths -3,-1.5,0,1.5,3 --layers 4-8 --morph -3,3
  restyle edit --checkpoint runs/avatars --input inverted/latents.npz --output glasses \\
    --label glasses_tinted=1 --classifier runs/classifier --order 2 --attributes runs/attributes
"""

STRENGTHS = {"direction": (-3.0, -1.5, 0.0, 1.5, 3.0), "label": (1.0, 2.0, 3.0), "reference": (1.0,)}


def add_edit(commands: Any) -> None:
    """Declare `restyle edit`."""
    edit = add_command(commands, "edit", "change attributes of photos", EDIT, _edit)
    add_checkpoint(
        edit, "a ReStyle, pSp, e4e or Style Transformer checkpoint; for a latents.npz any with that generator"
    )
    edit.add_argument(
        "--input",
        required=True,
        nargs="+",
        type=path,
        metavar="FILE_OR_DIR",
        help="photos and folders of photos, or one latents.npz",
    )
    add_output(edit)
    kind = edit.add_mutually_exclusive_group(required=True)
    kind.add_argument(
        "--direction",
        action=Once,
        type=path,
        metavar="FILE|NAME",
        help="a file with directions, or a name of the zoo",
    )
    kind.add_argument(
        "--label",
        action=Once,
        type=_label,
        metavar="NAME=0|1",
        help="an attribute of the classifier, absent or present",
    )
    kind.add_argument(
        "--reference", action=Once, nargs="+", type=path, metavar="PHOTO", help="photos to take an attribute from"
    )
    edit.add_argument(
        "--strengths",
        type=_numbers,
        metavar="LIST",
        help="such as -3,0,3 (default: -3,-1.5,0,1.5,3; labels 1,2,3; references 1)",
    )
    edit.add_argument(
        "--layers",
        metavar="LIST",
        help="styles that change, such as 4-8 or 0-3,7 (default: as the direction says; all)",
    )
    edit.add_argument(
        "--component", metavar="N|NAME", help="which direction of a file with several, from 0 (default: 0)"
    )
    edit.add_argument("--classifier", type=path, metavar="FILE", help="a latent classifier, for --label and measures")
    edit.add_argument("--order", type=int, choices=(1, 2), help="--label: first or second order (default: 1)")
    edit.add_argument(
        "--normalise", choices=("token", "global"), help="--label: lengths of each style, or of all (default: token)"
    )
    edit.add_argument(
        "--updates", type=integer(1), metavar="N", help="--label: find the direction N times on the way (default: 1)"
    )
    edit.add_argument("--editor", type=path, metavar="FILE", help="a trained editor, for --reference")
    edit.add_argument("--attribute", metavar="NAME", help="the attribute that is meant")
    edit.add_argument("--attributes", type=path, metavar="NETWORK", help="a network that reads attributes off pictures")
    edit.add_argument(
        "--identity-weights", type=path, metavar="FILE", help="model_ir_se50.pth, or an identity network of ours"
    )
    edit.add_argument("--morph", type=_numbers, metavar="A,B", help="an animation from strength A to B and back")
    edit.add_argument(
        "--steps",
        type=integer(1, MAX_STEPS),
        default=5,
        metavar="N",
        help="refinement steps of the inversion (default: 5)",
    )
    add_computing(edit)


def _numbers(text: str) -> tuple[float, ...]:
    """ "-3,0,3" -> (-3.0, 0.0, 3.0), without those that are repetitions in float32."""
    try:
        numbers = [finite(part) for part in text.split(",")]
    except argparse.ArgumentTypeError as error:
        message = f"got {text!r}, expected finite numbers such as -3,0,3 (in float32)"
        raise argparse.ArgumentTypeError(message) from error
    return tuple({np.float32(number): number + 0.0 for number in numbers}.values())  # -0 becomes 0


def _label(text: str) -> tuple[str, int]:
    """ "smile=1" -> ("smile", 1)."""
    name, _, value = text.rpartition("=")
    if not name or value not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an attribute and 0 or 1, such as smile=1")
    return name, int(value)


def _edit(parsed: argparse.Namespace) -> int:
    kind = next(kind for kind in STRENGTHS if getattr(parsed, kind) is not None)
    _check(parsed, kind)
    prepare_jax(parsed)
    from restyle_jax.jobs.edit_folder import edit_folder
    from restyle_jax.jobs.edit_options import Along, EditOptions, Like, Towards

    if kind == "direction":
        request = Along(zoo.resolve(parsed.direction), parsed.component, parsed.layers)
    elif kind == "label":
        name, value = parsed.label
        request = Towards(
            attribute=name,
            value=value,
            classifier=model_in(parsed.classifier),
            order=parsed.order or 1,
            normalise=parsed.normalise or "token",
            updates=parsed.updates or 1,
            layers=parsed.layers,
        )
    else:
        request = Like(tuple(parsed.reference), parsed.attribute, model_in(parsed.editor))
    options = EditOptions(
        checkpoint=model_in(parsed.checkpoint),
        request=request,
        strengths=parsed.strengths or STRENGTHS[kind],
        morph=parsed.morph,
        target=None if kind == "reference" else parsed.attribute,
        attributes=parsed.attributes and model_in(parsed.attributes),
        classifier=parsed.classifier and model_in(parsed.classifier),
        identity_weights=parsed.identity_weights and model_in(parsed.identity_weights),
        steps=parsed.steps,
        batch_size=parsed.batch_size,
        dtype=parsed.dtype,
        overwrite=parsed.overwrite,
    )
    outcome = edit_folder(parsed.input, parsed.output, options, say)
    _print(outcome.report)
    if outcome.edited:
        print(f"{outcome.edited} photo(s) edited, results in {parsed.output}")
    if outcome.skipped:
        return failed(
            f"{len(outcome.skipped)} photo(s) could not be read or inverted and were skipped, see above; all others are done."
        )
    return 0


def _check(parsed: argparse.Namespace, kind: str) -> None:
    """Raise OutputError for options that do not go together."""
    belongs = {
        "component": ("direction",),
        "layers": ("direction", "label"),
        "order": ("label",),
        "normalise": ("label",),
        "updates": ("label",),
        "editor": ("reference",),
    }
    for option, kinds in belongs.items():
        if getattr(parsed, option) is not None and kind not in kinds:
            raise OutputError(
                f"--{option} is for edits with --{' or --'.join(kinds)}, not with --{kind}: leave it out."
            )
    if kind == "label" and not parsed.classifier:
        raise OutputError("--label needs --classifier FILE, the latent classifier whose attribute it is.")
    if kind == "reference" and not (parsed.editor and parsed.attribute):
        raise OutputError(
            "--reference needs --editor FILE and --attribute NAME, the attribute that it was trained for."
        )
    if parsed.attribute and kind != "reference" and not (parsed.attributes or parsed.classifier):
        raise OutputError("--attribute says what is to be measured: add --attributes NETWORK or --classifier FILE.")
    if parsed.morph and len(parsed.morph) != 2:
        raise OutputError("--morph needs two different strengths, such as -3,3.")


def _print(report: Any) -> None:
    """The means as a table: for each strength what was meant, the others, the person."""
    judges = [name for name in report["columns"] if "target" in report["mean"][0][name]]
    if not judges and "identity" not in report["mean"][0]:
        return
    titles = ["strength", *(f"{what} ({name})" for name in judges for what in ("target", "dependency"))]
    titles += ["identity"] * ("identity" in report["mean"][0])
    print("  ".join(titles))
    for entry in report["mean"]:
        values = [entry["strength"]]
        for name in judges:
            values += [entry[name]["target"], entry[name].get("dependency", {}).get("mean", math.nan)]
        values += [entry["identity"]] if "identity" in entry else []
        numbers = [math.nan if value is None else value for value in values]
        cells = [f"{number:{len(title)}.3g}" for title, number in zip(titles, numbers, strict=True)]
        print("  ".join(cells), *([entry["reference"]] if "reference" in entry else []))
