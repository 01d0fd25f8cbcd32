"""`restyle train`: an experiment file, every field of its configuration as an option, and how the run is carried out."""

import argparse
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from restyle_jax.commands.arguments import add_command, add_compilation_cache, keep_programs, path, say
from restyle_jax.jobs.experiment import KINDS
from restyle_jax.train import fields
from restyle_jax.train.config import Run

TRAIN = """\
EXPERIMENT is a Python file with a variable config = EncoderTraining(...), StyleGANTraining(...),
AttributeTraining(...), IdentityTraining(...), LatentClassifierTraining(...) or
ReferenceEditTraining(...); the folder experiments/ of the source code has one for every published
setting, and its first lines say what it needs and what comes out. It is executed, as any program
of yours. Every setting in it can be changed for one run by the option of the same name
(--learning-rate 5e-5 for learning_rate).

Before anything is computed, everything that the run needs is looked for, and whatever is missing
is listed with the place where people get it. --dry-run also prints the number of parameters, the
memory that is planned and the pictures per device, and stops there; DIR is looked at, too.

what it writes into DIR:
  config.json        the settings of the run; parameters.txt: what is trained
  metrics.jsonl      losses, evaluations, speed; the same as TensorBoard files in tensorboard/
  images/            input, every refinement step, target; samples and truncations of a generator
  checkpoints/       everything that is needed to continue, saved while training goes on
  best/, latest/     the model, for `restyle invert`, `eval` and `export`

Starting the same command again continues where the last checkpoint was written, also on another
number of devices or hosts. SIGTERM (sent before a machine is taken away) saves and ends with
status 143. Exit status: 0 done, 1 failed, 130 interrupted by Ctrl-C, 143 saved after SIGTERM.

With several hosts, the same command runs on each of them with --distributed, in one DIR that all
share; the batch size is that of all devices together.

examples:
  restyle train experiments/restyle_psp_ffhq.py --workdir runs/ffhq --dry-run
  restyle train experiments/restyle_psp_ffhq.py --workdir runs/ffhq --data faces --batch-size 16
  srun restyle train experiments/restyle_e4e_cars.py --workdir /shared/cars --distributed
  restyle train experiments/stylegan2_avatars64.py --workdir runs/avatars
  restyle train my.py --workdir runs/my --distributed host0:1234,2,0     (on host 0 of 2)

settings (options have hyphens in place of underscores):
"""


def add_train(commands: Any) -> None:
    """Declare `restyle train`."""
    train = add_command(commands, "train", "train an encoder or a generator", TRAIN + _descriptions(), _train)
    train.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=38)
    train.usage = "restyle train EXPERIMENT --workdir DIR [options]"
    train.add_argument("experiment", metavar="EXPERIMENT", type=path, help="a Python file, see below")
    train.add_argument(
        "--workdir", required=True, type=path, metavar="DIR", help="a new folder, or that of a run to continue"
    )
    train.add_argument(
        "--dry-run", action="store_true", help="check everything, print what would run, and stop before the first step"
    )
    train.add_argument(
        "--resume",
        choices=("auto", "never"),
        default="auto",
        help="auto: continue the run that is in DIR; never: refuse a DIR that holds one (default: auto)",
    )
    train.add_argument(
        "--distributed",
        nargs="?",
        const="auto",
        metavar="HOW",
        help="one of several processes that train together: auto finds the others under SLURM, Open MPI, GKE and on TPU pods; "
        "HOST:PORT,N,I names the first of N processes and the number I of this one, from 0 (without HOW: auto; without the option: "
        "one process)",
    )
    add_compilation_cache(train)
    _add_settings(train)


def _add_settings(train: argparse.ArgumentParser) -> None:
    """An option for every field of every configuration, grouped by what it is for."""
    groups: dict[tuple[str, ...], Any] = {}
    for name, kinds in _owners().items():
        if kinds not in groups:
            title = "all runs" if len(kinds) == len(KINDS) else " and ".join(kinds)
            groups[kinds] = train.add_argument_group(
                f"settings of {title}, with their values if the experiment says nothing"
            )
        hint = fields.hints(KINDS[kinds[0]])[name]
        defaults = {kind: _shown(getattr(KINDS[kind](), name), hint) for kind in kinds}
        same = len(set(defaults.values())) == 1
        value = defaults[kinds[0]] if same else "; ".join(f"{shown} for {kind}" for kind, shown in defaults.items())
        flag = "--" + name.replace("_", "-")
        if hint is bool:
            groups[kinds].add_argument(
                flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=value
            )
        else:
            groups[kinds].add_argument(
                flag, type=_field(hint), default=argparse.SUPPRESS, metavar=_placeholder(hint), help=value
            )


def _owners() -> dict[str, tuple[str, ...]]:
    """{field: the kinds of training whose configurations have it}."""
    every = {name for kind in KINDS.values() for name in fields.hints(kind)}
    named = {kind: list(fields.hints(config)) for kind, config in KINDS.items()}
    order = sorted(every, key=lambda name: [names.index(name) if name in names else 999 for names in named.values()])
    return {name: tuple(kind for kind, names in named.items() if name in names) for name in order}


def _descriptions() -> str:
    """What the configurations say about their fields, for the help."""
    text = []
    for title, kind in {"all runs": Run, **KINDS}.items():
        described = (inspect.getdoc(kind) or "").partition("\n\n")[2]
        text += [f"{title}:", *("  " + line for line in textwrap.dedent(described).splitlines()), ""]
    return "\n".join(text)


def _field(hint: Any) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return fields.parse(text, hint)
        except ValueError:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {fields.expected(hint)}") from None

    return parse


def _placeholder(hint: Any) -> str:
    short = {"a path": "PATH", "a number": "NUMBER", "a whole number": "INTEGER", "whole numbers": "INTEGERS"}
    return next((name for start, name in short.items() if fields.expected(hint).startswith(start)), "NAME")


def _shown(value: Any, hint: Any) -> str:
    """A default value, and what else there is to choose from."""
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "on", False: "off"}[value]
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    others = [name for name in fields.choices(hint) if name != value]
    return f"{value} (or {', '.join(others)})" if others else str(value)


def _train(parsed: argparse.Namespace) -> int:
    from restyle_jax.jobs.experiment import read_experiment, train
    from restyle_jax.train.distributed import check_devices

    changes = {name: value for name, value in vars(parsed).items() if name in _owners()}
    config = read_experiment(parsed.experiment, changes)
    if parsed.distributed is None:  # else nothing may touch a device before the processes are connected
        check_devices()
    keep_programs(not parsed.no_compilation_cache)
    outcome = train(
        config,
        parsed.workdir,
        connect=parsed.distributed,
        dry_run=parsed.dry_run,
        resume=parsed.resume,
        say=say,
    )
    return outcome.exit_status
