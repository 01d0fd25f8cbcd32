"""Encoder bootstrapping between two related generators, as in the paper's toonification: painted avatars become comic ones.

    restyle data prepare avatars --to data/avatars64 --resolution 64 --count 20000
    python -m experiments.avatars.bootstrapping --output runs/bootstrapping --data data/avatars64

Fine-tunes the generator of avatars on the comic style (`comic_generator.py`), and the encoder of painted avatars so that it makes
comic ones of them (`comic_encoder.py`), each in a folder of its own, where it continues if it was stopped and is not repeated.
Then held-out avatars are inverted in N = 5 steps: by the new encoder from the average of its generator; and bootstrapped, where the
first step is that of the encoder of painted avatars and the new encoder goes on from its code and its picture. Beside them, the
codes of the first encoder alone, drawn by the new generator. What the paper cannot know is known here: how the same factors look in
the second style, the truth. Writes into the folder report.md, results.json, people.png and error_by_step.svg.

Hardware: 2 CPU cores, about 20 minutes when nothing else runs. Expected result: experiments/RESULTS.md.
"""

import argparse
import dataclasses
import functools
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import restyle_jax  # noqa: F401 - before jax: it chooses the convolutions of the CPU backend

# isort: split
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data_pipelines.avatars import PICTURES_PER_IDENTITY
from data_pipelines.drawing.styles import comic
from experiments.avatars import bootstrapping_report, comic_encoder, comic_generator
from experiments.avatars.bootstrapping_report import ALONE, AVERAGE, BOOTSTRAPPED, PEOPLE, STEPS, Values
from experiments.avatars.measure import DEFINITIONS, Judges, held_out, likeness, load_encoder, seconds
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import environment
from restyle_jax.jobs.requirements import require
from restyle_jax.jobs.train_encoder import train_encoder
from restyle_jax.jobs.train_stylegan import train_stylegan
from restyle_jax.model import Model, invert, sample, synthesise
from restyle_jax.train.config import EncoderTraining
from restyle_jax.train.errors import TrainingError

SAMPLES = 200  # random codes that both generators draw


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Command line; returns what results.json says."""
    options = parse(arguments)
    try:
        results = run(options)
    except (CheckpointError, TrainingError, ValueError) as error:
        raise SystemExit(f"bootstrapping: error: {error}") from error
    print(bootstrapping_report.markdown(results))
    return results


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder, also one to continue in")
    parser.add_argument("--data", type=Path, required=True, help="prepared avatars, or a folder with train/ and test/")
    for name, what in (
        ("restyle-psp", "the encoder of painted avatars: makes the first step, and is where the second begins"),
        ("perceptual", "the network that compares pictures"),
        ("identity", "the network that compares people"),
    ):
        default = Path(f"avatars64/{name}")
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"{what} ({default})")
    parser.add_argument("--pictures", type=int, default=1000, help="held-out avatars to invert (1000)")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures at once, also when time is measured (16)")
    parser.add_argument("--repeats", type=int, default=5, help="of which the median time is taken (5)")
    options = parser.parse_args(arguments)
    for name, least in (("pictures", 2), ("batch_size", 1), ("repeats", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected {least} or more")
    options.command = shlex.join(["python", "-m", "experiments.avatars.bootstrapping", *(arguments or sys.argv[1:])])
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both trainings and the comparison. Raises KeyboardInterrupt if a training was asked to stop."""
    config = configuration(options)
    require(dataclasses.replace(config, generator=options.restyle_psp))  # the generator comes later
    first, judges = load_encoder(options.restyle_psp), Judges.load(options.perceptual, options.identity)
    judges.check(config.height)

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    generator, encoder = options.output / "generator", options.output / "encoder"
    for outcome in (
        train_stylegan(comic_generator.config, generator, say=say),
        train_encoder(dataclasses.replace(config, generator=generator), encoder, say=say),
    ):
        if outcome.signal:
            raise KeyboardInterrupt
    second = load_encoder(encoder / "latest")

    inputs, truths, images = invert_all(first, second, options)
    batch = options.batch_size
    values = {
        start: {"input": compared(judges, inputs, made, batch), "truth": compared(judges, truths, made, batch)}
        for start, made in images.items()
    }
    average = np.broadcast_to(np.asarray(second.average.y), inputs.shape)
    scale = {
        "the truth": {"input": means(compared(judges, inputs, truths[None], batch))},
        "the average picture": {
            "input": means(compared(judges, inputs, average[None], batch)),
            "truth": means(compared(judges, truths, average[None], batch)),
        },
    }
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    results = {
        "settings": settings,
        "trained": {
            "generator": comic_generator.config.max_steps * comic_generator.config.batch_size,
            "encoder": [config.max_steps, config.batch_size],
        },
        "definitions": {name: DEFINITIONS[name] for name in bootstrapping_report.MEASURES},
        "versions": environment.versions(),
        "device": environment.device(),
        "generators": related(first, second, batch),
        "means": {start: {name: means(part) for name, part in found.items()} for start, found in values.items()},
        "scale": scale,
        "seconds": times(first, second, inputs, options),
        "claims": [dataclasses.asdict(claim) for claim in bootstrapping_report.claims(values)],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "report.md").write_text(bootstrapping_report.markdown(results) + "\n")
    bootstrapping_report.figure(options.output / "error_by_step.svg", results)
    shown = slice(None, PEOPLE * PICTURES_PER_IDENTITY, PICTURES_PER_IDENTITY)
    bootstrapping_report.people(
        options.output / "people.png", inputs[shown], truths[shown], {start: y[:, shown] for start, y in images.items()}
    )
    return results


def configuration(options: argparse.Namespace) -> EncoderTraining:
    """The settings of the second encoder with the options, but for its generator."""
    return dataclasses.replace(
        comic_encoder.config,
        data=options.data,
        checkpoint=options.restyle_psp,
        lpips_trunk_weights=options.perceptual,
        identity_weights=options.identity,
    )


def invert_all(
    first: Model, second: Model, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Held-out avatars f32[B, R, R, 3], painted and in the second style, and what they become: {start: f32[STEPS, B, R, R, 3]}."""
    size, batch = second.geometry.height, options.batch_size
    inputs, truths = [], []
    images: dict[str, list[np.ndarray]] = {AVERAGE: [], BOOTSTRAPPED: [], ALONE: []}
    with tqdm(total=options.pictures, unit="image", desc="inverting", dynamic_ncols=True) as bar:
        for (x, kept), (truth, _) in zip(
            held_out(options.pictures, size, batch), held_out(options.pictures, size, batch, "comic"), strict=True
        ):
            alone = invert(first, x, STEPS, resize_outputs=True).latents
            drawn = synthesise(second, np.asarray(alone).reshape(-1, *alone.shape[2:]), batch_size=batch)
            made = {
                AVERAGE: invert(second, x, STEPS, resize_outputs=True).images,
                BOOTSTRAPPED: invert(second, x, STEPS - 1, resize_outputs=True, bootstrap_from=first).images,
                ALONE: pooled(second, drawn).reshape(STEPS, batch, *x.shape[1:]),
            }
            inputs.append(x[:kept])
            truths.append(truth[:kept])
            for start, y in made.items():
                images[start].append(np.asarray(y)[:, :kept])
            bar.update(kept)
    return (
        np.concatenate(inputs),
        np.concatenate(truths),
        {start: np.concatenate(parts, axis=1) for start, parts in images.items()},
    )


def pooled(model: Model, images: np.ndarray) -> np.ndarray:
    """Pictures of the generator at the size that the encoder sees."""
    return np.asarray(model.geometry.pool(jnp.asarray(images)))


def compared(judges: Judges, target: np.ndarray, images: np.ndarray, batch: int) -> Values:
    """{measure: f32[N, pictures]} of f32[N, B, R, R, 3] beside f32[B, R, R, 3], so many pictures at a time."""
    parts = []
    for begin in range(0, len(target), batch):
        rows = np.arange(begin, begin + batch) % len(target)  # the last batch is filled up, as all have one shape
        found = likeness(judges, target[rows], images[:, rows])
        parts.append({name: value[:, : len(target) - begin] for name, value in found.items()})
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in bootstrapping_report.MEASURES}


def means(values: Values) -> dict[str, list[float]]:
    return {name: rows.mean(axis=1, dtype=np.float64).tolist() for name, rows in values.items()}


def related(first: Model, second: Model, batch: int) -> dict[str, float]:
    """Mean squared error between what the second generator draws of random codes of the first, and the first one's pictures of
    the same codes redrawn in the second style, or not redrawn; and of other codes, redrawn."""
    codes = np.asarray(sample(first, range(SAMPLES)))
    painted, drawn = (synthesise(model, codes, batch_size=batch) for model in (first, second))
    redrawn = comic(np.clip(0.5 + 0.5 * painted, 0, 1).transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    redrawn = 2 * np.clip(redrawn, 0, 1) - 1
    pairs = {
        "the same code, redrawn": redrawn,
        "the same code, as painted": painted,
        "another code, redrawn": np.roll(redrawn, 1, 0),
    }
    return {name: float(np.square(other - drawn).mean()) for name, other in pairs.items()}


def times(first: Model, second: Model, inputs: np.ndarray, options: argparse.Namespace) -> dict[str, list[float]]:
    """{start: seconds for each picture with 1 ... STEPS steps}, compiled."""
    x = np.resize(inputs, (options.batch_size, *inputs.shape[1:]))

    def timed(model: Model, steps: int, before: Model | None = None) -> float:
        call = functools.partial(invert, model, x, steps, resize_outputs=True, bootstrap_from=before)
        return seconds(call, options.repeats) / len(x)

    alone = timed(first, 1)
    return {
        AVERAGE: [timed(second, steps + 1) for steps in range(STEPS)],
        BOOTSTRAPPED: [alone, *(timed(second, steps, first) for steps in range(1, STEPS))],
    }


if __name__ == "__main__":
    main()
