"""What the training options of an official checkpoint say, held against what its tensors say."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from restyle_jax.convert.errors import CheckpointError
from restyle_jax.nets.encoders import OFFICIAL
from restyle_jax.nets.tasks import fits_task
from restyle_jax.refine import Geometry

# e4e's file for cars has a head for each style of a 1024-px generator, and a 512-px generator; its own inference script
# drops the codes that are too many (encoder4editing `scripts/inference.py`).
OLD_CARS_HEADS, OLD_CARS_STYLES = 18, 16

CARS = Geometry(height=192, width=256, top=32)

# What pSp calls the data sets of its image-to-image tasks.
DATA_SETS = {
    "sketch": "celebs_sketch_to_face",
    "segmentation": "celebs_seg_to_face",
    "super_resolution": "celebs_super_resolution",
    "frontalise": "ffhq_frontalize",
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the tensors say: see `EncoderConfig`; `heads` are those of the file, `num_styles` those of the generator.

    A Style Transformer has no heads: None.
    """

    trunk: str
    pyramid: bool
    in_channels: int
    heads: int | None
    num_styles: int
    resolution: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the tensors cannot say.

    progressive: whether the heads are offsets from the first one (e4e).
    geometry: how the images are cut. absolute: whether codes are added to nothing, in place of w_avg. task: see `task_of`.
    warnings: one sentence for each option that is missing or contradicts the tensors.
    """

    progressive: bool
    geometry: Geometry
    absolute: bool
    task: str | None
    warnings: tuple[str, ...]


def official_name(trunk: str, pyramid: bool, progressive: bool) -> str | None:
    """The official class with this trunk and head, or None if there is none."""
    head = ("fpn_progressive" if progressive else "fpn") if pyramid else ("progressive" if progressive else "backbone")
    return next((name for name, parts in OFFICIAL.items() if parts == (head, trunk)), None)


def task_of(options: Mapping[str, Any], channels: int) -> str | None:
    """What an encoder with so many input channels was trained for, by our name; None if the options do not say that it was one of
    pSp's image-to-image tasks. Three channels may be those of three classes of labels."""
    classes = options.get("label_nc")
    if channels == 3 == classes:
        return "segmentation"
    named = (task for task, name in DATA_SETS.items() if name == options.get("dataset_type"))
    task = next((task for task in named if fits_task(channels, task)), None)
    return None if channels == 3 and task == "segmentation" and classes is not None else task


def is_progressive(encoder_type: Any) -> bool:
    """Whether the option names one of e4e's encoders."""
    return isinstance(encoder_type, str) and encoder_type in OFFICIAL and "progressive" in OFFICIAL[encoder_type][0]


def reconcile(
    opts: Mapping[str, Any] | None, facts: Facts, *, has_latent_avg: bool, encoder_type: str | None, file: str
) -> Settings:
    """Settings from the options, where they are needed; the tensors win wherever they know better.

    encoder_type: the user's own word on the class of the encoder, in place of the option.
    Raises CheckpointError if the number of heads does not fit the generator, or if the user's word does not fit the tensors.
    """
    warnings: list[str] = []
    if opts is None:
        warnings.append("has no opts (training options); what the tensors cannot say is assumed as follows")
    options = json_able(opts or {})
    progressive = False
    if facts.heads is not None:
        progressive = _progressive(options, facts, encoder_type, warnings, file)
        _check_heads(options, facts.heads, facts, warnings, file)
    elif encoder_type is not None:
        raise not_of_that_type(file, "a Style Transformer", encoder_type)
    _check_sizes(options, facts, warnings)
    data_set = options.get("dataset_type")
    if not isinstance(data_set, str):
        warnings.append("has no opts.dataset_type: square 256 x 256 images are assumed; cars would need 192 x 256")
        data_set = ""
    absolute = without_average(options, facts.in_channels)
    if absolute and has_latent_avg:
        warnings.append("has opts.start_from_latent_avg=False, but also a latent_avg: it is used")
    geometry, task = CARS if "cars" in data_set else Geometry(), task_of(options, facts.in_channels)
    return Settings(progressive, geometry, absolute and not has_latent_avg, task, tuple(warnings))


def without_average(options: Mapping[str, Any], channels: int) -> bool:
    """Whether an encoder with so many input channels was trained without the average, and its file ought to have none; ReStyle
    always adds it."""
    return options.get("start_from_latent_avg") is False and channels != 6


def not_of_that_type(file: str, found: str, encoder_type: str) -> CheckpointError:
    """The error for something that can be of no official class but its own, or has no encoder, where one was asked for."""
    return CheckpointError.explain(
        file, found=found, expected=f"encoder_type={encoder_type!r}, as was asked for", remedy="leave encoder_type out"
    )


def _progressive(
    options: Mapping[str, Any], facts: Facts, override: str | None, warnings: list[str], file: str
) -> bool:
    plain, e4e = (official_name(facts.trunk, facts.pyramid, progressive) for progressive in (False, True))
    if override is not None:
        if override not in (plain, e4e):
            raise CheckpointError.explain(
                file,
                found=f"the tensors of {plain or 'no official encoder'}"
                + (f" or {e4e}, which are alike" if e4e else ""),
                expected=f"encoder_type={override!r}, as was asked for",
                remedy="leave encoder_type out, or name the class that the checkpoint was trained with",
            )
        return override == e4e
    stated = options.get("encoder_type")
    if stated is None:
        doubt = (
            f"; if it was trained as {e4e}, which has the same tensors, say so in Python: "
            f"restyle_jax.load(path, encoder_type={e4e!r}), and restyle_jax.save to keep it"
            if e4e
            else ""
        )
        warnings.append(f"has no opts.encoder_type: {plain or facts.trunk} is assumed{doubt}")
        return False
    if not isinstance(stated, str) or stated not in OFFICIAL:
        warnings.append(
            f"has the unknown opts.encoder_type={stated!r}: the tensors are those of {plain or facts.trunk}"
        )
        return False
    head, trunk = OFFICIAL[stated]
    progressive = is_progressive(stated)
    if trunk != facts.trunk or head.startswith("fpn") != facts.pyramid:
        actual = official_name(facts.trunk, facts.pyramid, progressive)
        shape = f"a {facts.trunk} trunk {'with' if facts.pyramid else 'without'} a feature pyramid"
        warnings.append(
            f"has opts.encoder_type={stated!r}, but the tensors of {shape} ({actual or 'no official class'})"
        )
    return progressive


def _check_sizes(options: Mapping[str, Any], facts: Facts, warnings: list[str]) -> None:
    if "output_size" not in options and "stylegan_size" not in options:
        warnings.append(f"has no opts.output_size: its generator makes {facts.resolution}-px images")
    known = {
        "output_size": facts.resolution,
        "stylegan_size": facts.resolution,
        "input_nc": facts.in_channels,
        "n_styles": facts.heads,
    }
    for name, actual in known.items():
        stated = options.get(name)
        if stated is not None and actual is not None and stated != actual:
            warnings.append(f"has opts.{name}={stated!r}, but its tensors say {actual}")
    channels, classes = facts.in_channels, options.get("label_nc")
    if classes is not None and classes not in {3: (0, 3), 6: (0,)}.get(channels, (channels,)):
        taken = "photos" if channels in (3, 6) else "sketches" if channels == 1 else f"label maps of {channels} classes"
        warnings.append(
            f"has opts.label_nc={classes!r}, but an encoder with {channels} input channels: it is taken for one of {taken}"
        )


def _check_heads(options: Mapping[str, Any], heads: int, facts: Facts, warnings: list[str], file: str) -> None:
    if heads == facts.num_styles:
        return
    old_cars = "cars" in str(options.get("dataset_type", "cars"))
    if old_cars and (heads, facts.num_styles) == (OLD_CARS_HEADS, OLD_CARS_STYLES):
        warnings.append(
            f"has {heads} style heads for a generator with {facts.num_styles} styles, like e4e's first cars model: "
            f"the first {facts.num_styles} are used"
        )
        return
    raise CheckpointError.explain(
        file,
        found=f"an encoder with {heads} style heads and a {facts.resolution}-px generator with {facts.num_styles} styles",
        expected=f"K = 2 log2(resolution) - 2 = {facts.num_styles} heads",
        remedy="use a checkpoint whose encoder was trained with this generator",
    )


def json_able(value: Any) -> Any:
    """The value with everything that JSON lacks turned into text, such as NaN and infinity, and tuples into lists."""
    if isinstance(value, Mapping):
        return {str(key): json_able(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_able(item) for item in value]
    kept = value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
    return value if kept else str(value)
