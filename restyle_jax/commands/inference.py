"""`restyle invert` and `restyle generate`."""

import argparse
from typing import Any

from restyle_jax.commands.arguments import (
    MAX_STEPS,
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

INVERT = """\
what it writes into DIR:
  steps/1/ ... steps/N/   the reconstruction after each step, the --bootstrap-steps first:
                          <photo name>.png
  latents.npz             key: photo name with extension; value: float32 [N, K, D], of K
                          styles (D is 512 in all official files)
  metrics.json            L2 to the input per photo and step, at the encoder's size and not
                          clipped to [-1, 1] as saved pictures are; settings, versions,
                          device, seconds;
                          numbers that are not finite are null, and no part of means
  grid.png                one row per photo: input, average image, steps 1 ... N
                          (long folders go on in grid_2.png, ..., up to 8 pages)
  change.png, change.npz  where each step changed the pictures, and how much

Photos are named by their path inside the folder that was given. If several inputs share
names, all are named by their path from the folder that holds every input. Where only the
extension differs (a.jpg, a.png), the results keep it: a.jpg.png, a.png.png.

Photos may have any size, colour mode and EXIF orientation; transparency is laid over
white, colour profiles are ignored. They are resized to the encoder's input (256 x 256;
cars 192 x 256) without keeping the aspect ratio, as the networks were trained: crop or
align them first for good results. pSp's encoders of sketches and label maps take those
instead of photos (label maps: grey, one value for each class), and have no L2.

If it is stopped, the same command continues with the photos that are not done, and
photos added later, or whose pictures were removed, are done alone. The exit status is 0
if all photos were inverted, 1 if some could not be read or diverged (all others are done)
or nothing could be done.

examples:
  restyle invert --checkpoint restyle_psp_ffhq_encode.pt --input photos --output inverted
  restyle invert --checkpoint toonify.pt --bootstrap-from restyle_psp_ffhq_encode.pt \\
                 --input me.jpg --output toons --steps 1
"""

GENERATE = """\
Writes seed0000.png, ... and sheet.png with all of them (the first 64). A seed shows the same
picture as in stylegan2-ada-pytorch's generate.py.

example:
  restyle generate --checkpoint ffhq.pkl --output faces --seeds 0-15,99 --truncation-psi 0.7
"""

MAX_SEEDS = 1_000_000


def add_invert(commands: Any) -> None:
    """Declare `restyle invert`."""
    invert = add_command(commands, "invert", "find the latent codes of photos", INVERT, _invert)
    add_checkpoint(
        invert,
        "a ReStyle, pSp, e4e or Style Transformer checkpoint (.pt, or a folder made by `restyle convert` or `restyle train`)",
    )
    invert.add_argument(
        "--input",
        required=True,
        nargs="+",
        type=path,
        metavar="FILE_OR_DIR",
        help="photos, and folders that are searched for photos",
    )
    add_output(invert)
    invert.add_argument(
        "--steps", type=integer(1, MAX_STEPS), default=5, metavar="N", help="refinement steps (default: 5)"
    )
    invert.add_argument(
        "--resize-outputs",
        action="store_true",
        help="save pictures at the encoder's size (256 px in official checkpoints) instead of the generator's",
    )
    invert.add_argument(
        "--bootstrap-from",
        type=path,
        metavar="CKPT",
        help="let this model make the first steps, and --checkpoint continue from its result (e.g. photo to cartoon)",
    )
    invert.add_argument(
        "--bootstrap-steps",
        type=integer(1, MAX_STEPS),
        metavar="N",
        help="steps of the --bootstrap-from model (default: 1)",
    )
    add_computing(invert)


def add_generate(commands: Any) -> None:
    """Declare `restyle generate`."""
    generate = add_command(commands, "generate", "make new pictures from random seeds", GENERATE, _generate)
    add_checkpoint(generate, "any checkpoint with a generator")
    add_output(generate)
    generate.add_argument(
        "--seeds", required=True, type=_seeds, metavar="LIST", help="seeds and ranges of seeds, such as 0-15 or 0-3,7,9"
    )
    generate.add_argument(
        "--truncation-psi",
        type=finite,
        default=0.7,
        metavar="PSI",
        help="1: as varied as the training pictures; towards 0: more typical, fewer failures (default: 0.7)",
    )
    generate.add_argument(
        "--class", dest="label", type=integer(0), metavar="INDEX", help="the class, for class-conditional generators"
    )
    add_computing(generate)


def _seeds(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7], without repetitions."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or part.strip().endswith("-"):
            raise argparse.ArgumentTypeError(f"{part!r} is neither a seed nor a range of seeds such as 0-15")
        start, stop = int(first), int(last or first) + 1
        if stop <= start or stop > 2**32 or stop - start > MAX_SEEDS:
            raise argparse.ArgumentTypeError(
                f"{part!r}: expected an ascending range of at most {MAX_SEEDS} seeds below 2**32"
            )
        seeds.update(dict.fromkeys(range(start, stop)))
    return list(seeds)


def _invert(parsed: argparse.Namespace) -> int:
    if parsed.bootstrap_steps and not parsed.bootstrap_from:
        raise OutputError("--bootstrap-steps needs --bootstrap-from CKPT, the model that makes those steps.")
    prepare_jax(parsed)
    from restyle_jax.jobs.invert_folder import invert_folder
    from restyle_jax.jobs.options import InvertOptions

    options = InvertOptions(
        checkpoint=model_in(parsed.checkpoint),
        steps=parsed.steps,
        batch_size=parsed.batch_size,
        resize_outputs=parsed.resize_outputs,
        bootstrap_from=parsed.bootstrap_from and model_in(parsed.bootstrap_from),
        bootstrap_steps=parsed.bootstrap_steps or 1,
        dtype=parsed.dtype,
        overwrite=parsed.overwrite,
    )
    outcome = invert_folder(parsed.input, parsed.output, options, say)
    if outcome.inverted:
        print(f"{outcome.inverted} photo(s) inverted, results in {parsed.output}")
    status = 0
    if outcome.diverged:
        status = failed(
            f"the inversion of {len(outcome.diverged)} photo(s) diverged, and not all their results are finite numbers: "
            f"{', '.join(outcome.diverged)}. Fewer --steps may help, or --dtype float32."
        )
    if outcome.skipped:
        status = failed(
            f"{len(outcome.skipped)} photo(s) could not be inverted and were skipped, see above; all others are done."
        )
    return status


def _generate(parsed: argparse.Namespace) -> int:
    prepare_jax(parsed)
    from restyle_jax.jobs.generate_folder import GenerateOptions, generate_folder

    options = GenerateOptions(
        checkpoint=model_in(parsed.checkpoint),
        truncation_psi=parsed.truncation_psi,
        label=parsed.label,
        batch_size=parsed.batch_size,
        dtype=parsed.dtype,
        overwrite=parsed.overwrite,
    )
    generate_folder(parsed.seeds, parsed.output, options)
    print(f"{len(parsed.seeds)} picture(s) in {parsed.output}")
    return 0
