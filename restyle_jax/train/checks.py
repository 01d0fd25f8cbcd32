"""What is wrong with a training configuration that can be said without opening a file."""

from restyle_jax import zoo
from restyle_jax.nets.tasks import CHANNELS, fits_task
from restyle_jax.train import fields
from restyle_jax.train.config import EncoderTraining, Run

# Smallest sensible values; where there is none, any number will do.
AT_LEAST = {
    **dict.fromkeys(("batch_size", "test_batch_size", "micro_batches", "max_steps", "keep", "workers"), 1),
    **dict.fromkeys(("log_every", "image_every", "eval_every", "save_every", "progressive_every", "r1_every"), 1),
    **dict.fromkeys(("in_channels", "trunk_width", "head_width", "height", "width", "steps_per_image"), 1),
    **dict.fromkeys(("max_unreadable", "seed", "top", "progressive_start", "r1", "pool_size", "learning_rate"), 0),
    **dict.fromkeys(("l2", "lpips", "identity", "moco", "w_norm", "l2_crop", "lpips_crop", "adversarial", "delta"), 0),
    **dict.fromkeys(("discriminator_learning_rate", "decay_from"), 0),
    **dict.fromkeys(("pictures", "test_pictures", "resolution", "num_features"), 1),
    "warmup": 0,
    **dict.fromkeys(("avatars", "channel_base", "channel_max", "w_dim", "mapping_layers", "path_length_every"), 1),
    **dict.fromkeys(("stddev_group", "stddev_block"), 1),
    "snapshot_pictures": 4,  # `metrics.sets.SMALLEST`, which imports JAX
    **dict.fromkeys(("embedding", "heads", "hidden", "decay_at"), 1),
    **dict.fromkeys(("weight_decay", "dropout", "l2_ref", "l2_src"), 0),
    **dict.fromkeys(("path_length", "style_mixing", "ema_kimg", "ema_ramp", "augment_p"), 0),
}
AT_MOST = {"seed": 2**63 - 1}
LARGEST = 2**31 - 1  # of all other whole numbers, which devices count with 32 bits
LOSSES = ("l2", "lpips", "identity", "moco", "l2_crop", "lpips_crop")
FACE_SIZE = 256


def problems(config: EncoderTraining) -> list[str]:
    """One sentence for each value that is impossible or contradicts another."""
    # The later rules compare values of the right types.
    return mistyped(config) or out_of_range(config) + _ranges(config) + _contradictions(config)


def mistyped(config: Run) -> list[str]:
    """One sentence for each field of any task's configuration that has not the type it should have."""
    return [
        f"{name}: found {value!r}, expected {fields.expected(hint, in_a_file=True)}"
        for name, hint in fields.hints(type(config)).items()
        if not fields.fits(value := getattr(config, name), hint)
    ]


def out_of_range(config: Run) -> list[str]:
    """One sentence for each number in any task's configuration that is below its smallest sensible value or above its largest."""
    values = {name: value for name in fields.hints(type(config)) if (value := getattr(config, name)) is not None}
    at_most = {name: LARGEST for name, value in values.items() if isinstance(value, int)} | AT_MOST
    return [
        f"{name}: found {value}, expected {AT_LEAST[name]} or more"
        for name, value in values.items()
        if name in AT_LEAST and value < AT_LEAST[name]
    ] + [
        f"{name}: found {value}, expected {at_most[name]} or less"
        for name, value in values.items()
        if name in at_most and value > at_most[name]
    ]


def unequal_parts(config: Run) -> list[str]:
    """A sentence if a batch of any task does not divide into its micro-batches; fewer than one are `out_of_range`."""
    if config.micro_batches < 1 or config.batch_size % config.micro_batches == 0:
        return []
    return [
        f"batch_size and micro_batches: {config.batch_size} pictures do not divide into {config.micro_batches} equal parts"
    ]


def _ranges(config: EncoderTraining) -> list[str]:
    wrong = []
    if config.ema is not None and not 0 < config.ema < 1:
        wrong.append(f"ema: found {config.ema}, expected a number between 0 and 1, such as 0.999, or none")
    if not config.resize_factors or min(config.resize_factors) < 1:
        wrong.append(f"resize_factors: found {config.resize_factors}, expected factors of 1 or more, such as 1,2,4")
    if config.top + config.height > config.width:
        wrong.append(
            f"height and top: found {config.height} rows from row {config.top} on, expected rows of a square picture of "
            f"{config.width} rows (width)"
        )
    return wrong + unequal_parts(config)


def _contradictions(config: EncoderTraining) -> list[str]:
    wrong = []
    if config.identity and config.moco:
        wrong.append(
            f"identity and moco: found {config.identity} and {config.moco}, expected one of them to be 0. Identity compares "
            "faces, MoCo features all other subjects"
        )
    if not any(getattr(config, name) for name in LOSSES):
        wrong.append(f"{', '.join(LOSSES)}: found 0 for all, expected a loss that compares pictures")
    if config.decay_from is not None and callable(config.optimizer):
        wrong.append(
            f"decay_from: found {config.decay_from} with an optimizer of your own, expected none: give the optimizer the schedule"
        )
    if config.freeze_batch_norm and config.checkpoint is None:
        wrong.append("freeze_batch_norm: found true without checkpoint, expected the model whose statistics are kept")
    # A directory holds an identity network of ours, which says itself which size it takes.
    own = config.identity_weights is not None and zoo.is_directory(config.identity_weights)
    for name in ("l2_crop", "lpips_crop") if own else ("identity", "l2_crop", "lpips_crop"):
        if getattr(config, name) and (config.height, config.width) != (FACE_SIZE, FACE_SIZE):
            wrong.append(
                f"{name}: found {getattr(config, name)} with pictures of {config.height} x {config.width}, expected 0: this loss "
                f"cuts out the face of {FACE_SIZE} x {FACE_SIZE} pictures"
            )
    if config.delta and config.progressive_start is None:
        wrong.append(
            f"delta: found {config.delta} without progressive_start, expected both or neither (e4e's regularisation acts on the "
            "styles that its schedule has freed)"
        )
    if config.progressive_start is not None and "progressive" not in config.head:
        wrong.append(f"progressive_start: found {config.progressive_start} with head {config.head}, expected none")
    if not fits_task(config.in_channels, config.task):
        expected = " or ".join(map(str, CHANNELS.get(config.task, ()))) or (
            "the number of classes, from 2 on, but not 6, as 6 channels are a photo and its reconstruction (ReStyle): count one "
            "more class, which no picture has"
        )
        wrong.append(f"in_channels: found {config.in_channels} for task {config.task}, expected {expected}")
    return wrong
