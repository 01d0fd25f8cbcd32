"""Measure how well a model reconstructs a whole test set, after every refinement step."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from tqdm import tqdm

from data_pipelines.folder import ImageError
from data_pipelines.loader import evaluation_batches
from data_pipelines.preparation import Preparation
from data_pipelines.source import open_split
from restyle_jax import refine, zoo
from restyle_jax.checkpoints.auxiliary import load_identity, load_perceptual
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import environment
from restyle_jax.jobs.options import fingerprint, load_model
from restyle_jax.jobs.outputs import OutputError, OutputFolder, Setting
from restyle_jax.losses.reconstruction import l2
from restyle_jax.losses.similarity import cosine_similarity
from restyle_jax.model import Model
from restyle_jax.nets.identity import IdentityNetwork
from restyle_jax.nets.small_perceptual import PerceptualNetwork
from restyle_jax.nets.tasks import fits_task

PRODUCTS = re.compile(r"metrics\.json")
PEAK = 4.0  # square of the range of values, which is 2
FLOOR = 1e-10  # of the squared error, so that the PSNR of equal pictures is a number (106 dB)

DEFINITIONS = {
    "l2": "mean squared error in [-1, 1], of the network's picture as it is",
    "l2_uint8": "the same after rounding the picture to bytes",
    "psnr": "10 log10(4 / l2) in dB: the peak-to-peak range is 2. Tables made with 10 log10(2 / l2) are 3.01 dB lower",
    "psnr_uint8": "the same of l2_uint8",
    "lpips": "LPIPS v0.1 with the network that the settings name; numbers of different networks do not compare",
    "id": "cosine similarity of ArcFace IR-SE50 features of the fixed face crop, the network of the identity loss; published "
    "tables use MTCNN alignment and CurricularFace, and do not compare",
}
# Values of `Preparation` that only one task has.
OF_TASK = {"resize_factors": "super_resolution", "label_resize": "segmentation"}

# With networks of ours, the same names mean something else.
OWN = {
    "lpips": (
        PerceptualNetwork,
        "the distance of the perceptual network in the directory that the settings name; does not compare "
        "with LPIPS v0.1",
    ),
    "id": (
        IdentityNetwork,
        "cosine similarity of the features of the identity network in the directory that the settings name; "
        "does not compare with ArcFace",
    ),
}


@dataclass(frozen=True)
class EvalOptions:
    """What to evaluate, and with which networks. LPIPS and ID are measured if their files are given.

    data: a prepared data set, a folder with `test/` inside, or a plain folder, all of whose pictures are test pictures.
    lpips_trunk_weights, identity_weights: the published files, or directories with networks of ours.
    task: None is the one that the model was trained for here, or else inversion.
    resize_factors, label_resize: of super_resolution and of segmentation, see `Preparation`, whose defaults None stands for.
    """

    checkpoint: Path
    data: Path
    steps: int = 5
    batch_size: int = 4
    task: Any = None
    resize_factors: tuple[int, ...] | None = None
    label_resize: Any = None
    dtype: str = "float32"
    lpips_net: Any = "alex"
    lpips_trunk_weights: Path | None = None
    lpips_linear_weights: Path | None = None
    identity_weights: Path | None = None
    overwrite: bool = False

    def description(self) -> dict[str, Setting]:
        """The settings that results depend on, for people to read; None for those of other tasks."""
        kept = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("overwrite", "batch_size")}
        if self.resize_factors:
            kept["resize_factors"] = ",".join(map(str, self.resize_factors))
        return {key: zoo.label(value) if isinstance(value, Path) else value for key, value in kept.items()}


def evaluate_folder(output: Path, options: EvalOptions, say: Callable[[str], None] = tqdm.write) -> dict[str, Any]:
    """Write `metrics.json` about all pictures of a test set into the folder `output`; returns what it says.

    Pictures that cannot be read are left out, counted and named; those whose reconstruction is not finite are named, and have
    no part in the means. `say` receives messages for people.

    Raises:
      ImageError: there are no pictures, or they are not what the task needs.
      OutputError: `output` cannot be used or written.
      CheckpointError: a checkpoint or weight file cannot be read, or is not what it should be.
    """
    source = open_split(options.data, "test", test_path=options.data)
    with OutputFolder.claim(output, "eval") as folder:
        networks, left_out = _networks(options)
        model = load_model(options.checkpoint, options.dtype)
        options = _completed(options, model)
        identity = {**options.description(), "checkpoint": fingerprint(options.checkpoint)}
        if not options.overwrite:
            folder.expect(identity)
        preparation = _preparation(options, model)
        definitions = dict(DEFINITIONS)
        for name, network in list(networks.items()):
            if network.size is not None and (preparation.height, preparation.width) != (network.size, network.size):
                networks.pop(name)
                left_out[name] = (
                    f"its network takes pictures of {network.size} x {network.size}, and these pictures have "
                    f"{preparation.height} x {preparation.width}"
                )
            kind, own = OWN[name]
            if isinstance(network, kind):
                definitions[name] = own
        batches = evaluation_batches(source, preparation, batch_size=min(options.batch_size, len(source)))
        for name, reason in left_out.items():
            say(f"{name} is left out: {reason}.")
        if options.overwrite:
            folder.clear(PRODUCTS)
        folder.start(identity)
        images: dict[str, dict[str, list[float]]] = {}
        with tqdm(total=len(source), unit="image", desc="Evaluating", dynamic_ncols=True) as bar:
            for indices, values in _measured(model, batches, options.steps, networks):
                for row, index in enumerate(indices):
                    images[source.name(int(index))] = {name: of[:, row].tolist() for name, of in values.items()}
                bar.update(len(indices))
        unreadable = dict(batches.unreadable)
        if not images:
            raise ImageError(f"{options.data}: none of the {len(source)} test pictures can be read.")
        finite = {name: values for name, values in images.items() if np.isfinite([*values.values()]).all()}
        metrics = {
            "mean": _means(finite or images),
            "count": len(images),
            "unreadable": unreadable,
            "diverged": [name for name in images if name not in finite],
            "left_out": left_out,
            "definitions": {name: definitions[name] for name in next(iter(images.values()))},
            "height": preparation.height,
            "width": preparation.width,
            "settings": {**options.description(), "batch_size": options.batch_size},
            "versions": environment.versions(),
            "device": environment.device(),
            "images": images,
        }
        folder.write_json(folder.root / "metrics.json", metrics)
    return metrics


def _completed(options: EvalOptions, model: Model) -> EvalOptions:
    """With the task, and the values that it needs. Raises OutputError for values that only another task has."""
    task = options.task or model.metadata.get("task", "inversion")
    chosen: dict[str, Any] = {"task": task}
    for name, theirs in OF_TASK.items():
        given = getattr(options, name)
        if task == theirs:
            chosen[name] = given or getattr(Preparation, name)
        elif given:
            option = name.replace("_", "-")
            raise OutputError(f"--{option} is for --task {theirs}, this is {task}: leave it out, or name that task.")
    return dataclasses.replace(options, **chosen)


def _means(images: dict[str, dict[str, list[float]]]) -> dict[str, list[float]]:
    names = next(iter(images.values()))
    return {name: np.mean([image[name] for image in images.values()], axis=0).tolist() for name in names}


def _networks(options: EvalOptions) -> tuple[dict[str, Any], dict[str, str]]:
    """The networks of the metrics whose files are given, and why the other metrics are left out."""
    networks: dict[str, Any] = {}
    left_out = {}
    if options.lpips_trunk_weights or options.lpips_linear_weights:
        files = options.lpips_trunk_weights, options.lpips_linear_weights
        networks["lpips"] = load_perceptual(options.lpips_net, *files)
    else:
        left_out["lpips"] = "its weights were not given (--lpips-trunk-weights and --lpips-linear-weights)"
    if options.identity_weights:
        networks["id"] = load_identity(options.identity_weights)
    else:
        left_out["id"] = "its weights were not given (--identity-weights)"
    return networks, left_out


def _preparation(options: EvalOptions, model: Model) -> Preparation:
    channels, geometry = model.require_encoder().config.in_channels, model.geometry
    if not fits_task(channels, options.task):
        raise CheckpointError.explain(
            options.checkpoint,
            found=f"an encoder for inputs of {channels} channels{' (a photo and its reconstruction)' * (channels == 6)}",
            expected=f"one for task {options.task}",
            remedy="name the task that it was trained for with --task",
        )
    values = {name: getattr(options, name) for name, task in OF_TASK.items() if task == options.task}
    try:
        return Preparation(options.task, geometry.height, geometry.width, label_classes=channels, **values)
    except ValueError as error:
        raise ImageError(f"{options.data}: {error}. --resize-factors names others.") from error


def _measured(
    model: Model, batches: Any, steps: int, networks: dict[str, nnx.Module]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Indices i32[b] of the valid rows of each batch, and {metric: f32[N, b]}."""
    encoder, (generator, w_avg) = model.require_encoder(), model.require_generator()
    graphs, states = zip(*(nnx.split(network) for network in (encoder, generator, *networks.values())), strict=True)
    passes = model.passes(steps)
    for batch in batches:
        valid = batch["valid"]
        values = _measure(
            graphs,
            states,
            batch["source"],
            batch["target"],
            model.average,
            w_avg,
            model.geometry,
            passes,
            tuple(networks),
        )
        if valid.any():
            yield batch["index"][valid], {name: np.asarray(of)[:, valid] for name, of in values.items()}


@functools.partial(jax.jit, static_argnames=("graphs", "geometry", "steps", "names"))
def _measure(graphs, states, source, target, start, w_avg, geometry, steps, names) -> dict[str, jax.Array]:
    merged = (nnx.merge(graph, state, copy=True) for graph, state in zip(graphs, states, strict=True))
    encoder, generator, *networks = merged
    inversion, _ = refine.refine(encoder, generator, source, start, w_avg, steps, geometry, resize_outputs=True)
    measures = dict(zip(names, networks, strict=True))

    def measure(y: jax.Array) -> dict[str, jax.Array]:
        rounded = jnp.clip(jnp.round((y + 1) * 127.5), 0, 255) / 127.5 - 1
        found = {"l2": l2(y, target), "l2_uint8": l2(rounded, target)}
        for name in ("", "_uint8"):
            found["psnr" + name] = 10 * jnp.log10(PEAK / jnp.maximum(found["l2" + name], FLOOR))
        if "lpips" in measures:
            found["lpips"] = measures["lpips"](y, target)
        return found

    found = jax.lax.map(measure, inversion.images)
    if "id" in measures:
        *of_steps, of_target = jax.lax.map(measures["id"], jnp.concatenate([inversion.images, target[None]]))
        found["id"] = cosine_similarity(jnp.stack(of_steps), of_target)
    return found
