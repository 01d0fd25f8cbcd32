"""`restyle eval`."""

import argparse
from typing import Any

from restyle_jax.commands.arguments import (
    MAX_STEPS,
    add_checkpoint,
    add_command,
    add_computing,
    add_output,
    failed,
    integer,
    path,
    prepare_jax,
    say,
)
from restyle_jax.jobs.workdir import model_in

EVAL = """\
Writes DIR/metrics.json: after every refinement step, the means over all test pictures and the
values of each, of
  l2, l2_uint8      mean squared error in [-1, 1], before and after rounding to bytes
  psnr, psnr_uint8  10 log10(4 / l2); tables made with 10 log10(2 / l2) are 3.01 dB lower
  lpips             LPIPS v0.1, if both of its files are given; or the distance of a network
                    made by experiments/avatars/perceptual.py, if its folder is given for the trunk
  id                similarity of IR-SE50 face features, if their file is given; or of a network
                    trained by experiments/avatars/identity.py, if its folder is given instead
with the number of pictures, the settings and versions, and what was left out for which reason.
Pictures are compared at the size of the encoder's input. The test split of --data is used, or all
pictures of a plain folder. Without pairs, frontalise is compared with the photo itself, which is not
turned to the front: these numbers are no measure of that task. The exit status is 1 if some pictures
could not be read, or if numbers of some are not finite (these have no part in the means).

CKPT may be the folder of a training run; its best model is taken.

example:
  restyle eval --checkpoint runs/ffhq --data data/celeba_hq --output eval \\
    --lpips-trunk-weights pretrained_models/alexnet-owt-7be5be79.pth \\
    --lpips-linear-weights pretrained_models/alex.pth \\
    --identity-weights pretrained_models/model_ir_se50.pth
"""

TASKS = ("inversion", "frontalise", "sketch", "segmentation", "super_resolution")


def add_eval(commands: Any) -> None:
    """Declare `restyle eval`."""
    evaluate = add_command(commands, "eval", "measure how well a model reconstructs a test set", EVAL, _eval)
    add_checkpoint(evaluate, "a ReStyle, pSp, e4e or Style Transformer checkpoint, or the folder of a training run")
    evaluate.add_argument(
        "--data", required=True, type=path, metavar="DIR", help="a prepared data set, or a folder of pictures"
    )
    add_output(evaluate)
    evaluate.add_argument(
        "--steps", type=integer(1, MAX_STEPS), default=5, metavar="N", help="refinement steps (default: 5)"
    )
    evaluate.add_argument(
        "--task", choices=TASKS, help="what the model was trained for (default: what it says itself, or else inversion)"
    )
    evaluate.add_argument(
        "--resize-factors",
        type=_factors,
        metavar="LIST",
        help="--task super_resolution: how small the sources are, such as 8; of several, each picture draws one "
        "(default: 1,2,4,8,16,32)",
    )
    evaluate.add_argument(
        "--label-resize",
        choices=("nearest", "bilinear"),
        help="--task segmentation: filter that brings label maps to size; bilinear, as in pSp's own code, makes up labels along "
        "borders (default: nearest)",
    )
    evaluate.add_argument(
        "--lpips-net", choices=("alex", "vgg", "squeeze"), default="alex", help="network of LPIPS (default: alex)"
    )
    for flag, what in (
        ("--lpips-trunk-weights", "torchvision's file of that network, or the folder of one of ours"),
        ("--lpips-linear-weights", "linear layers of LPIPS v0.1 for it"),
        ("--identity-weights", "model_ir_se50.pth, or the folder of a network of ours"),
    ):
        evaluate.add_argument(flag, type=path, metavar="FILE", help=what)
    add_computing(evaluate)


def _factors(text: str) -> tuple[int, ...]:
    """ "2,4" -> (2, 4)."""
    return tuple(map(integer(1), text.split(",")))


def _eval(parsed: argparse.Namespace) -> int:
    prepare_jax(parsed)
    from restyle_jax.jobs.evaluate_folder import EvalOptions, evaluate_folder

    options = EvalOptions(
        checkpoint=model_in(parsed.checkpoint),
        data=parsed.data,
        steps=parsed.steps,
        batch_size=parsed.batch_size,
        task=parsed.task,
        resize_factors=parsed.resize_factors,
        label_resize=parsed.label_resize,
        dtype=parsed.dtype,
        lpips_net=parsed.lpips_net,
        lpips_trunk_weights=parsed.lpips_trunk_weights and model_in(parsed.lpips_trunk_weights),
        lpips_linear_weights=parsed.lpips_linear_weights,
        identity_weights=parsed.identity_weights and model_in(parsed.identity_weights),
        overwrite=parsed.overwrite,
    )
    metrics = evaluate_folder(parsed.output, options, say)
    means = metrics["mean"]
    print("  ".join(["step", *(f"{name:>10}" for name in means)]))
    for step, values in enumerate(zip(*means.values(), strict=True), start=1):
        print("  ".join([f"{step:>4}", *(f"{value:10.4f}" for value in values)]))
    measured, unreadable, diverged = (len(metrics[key]) for key in ("images", "unreadable", "diverged"))
    print(f"Means over {measured - diverged} picture(s); everything is in {parsed.output / 'metrics.json'}")
    problems = [f"{unreadable} picture(s) could not be read"] * (unreadable > 0)
    problems += [f"the reconstruction of {diverged} diverged (fewer --steps may help)"] * (diverged > 0)
    return failed(f"{' and '.join(problems)}, metrics.json names them.") if problems else 0
