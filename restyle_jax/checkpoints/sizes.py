"""Configs of networks and the tables that read them, found from the keys and shapes of their tensors.

Nothing here is strict: where tensors disagree the majority decides, so that the engine can then name the odd ones.
"""

import dataclasses
from typing import Any

from restyle_jax.checkpoints.votes import (
    Shapes,
    blocks_by_resolution,
    checked_config,
    completed,
    length,
    majority,
    vote,
)
from restyle_jax.convert import engine
from restyle_jax.convert.detect import FACE, Contents, State, indices
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import encoders, nvlabs
from restyle_jax.convert.tables import stylegan as stylegan_tables
from restyle_jax.convert.tables import stylegan2 as stylegan2_tables
from restyle_jax.convert.tables.layers import without_counts
from restyle_jax.nets import stylegan, stylegan2
from restyle_jax.nets.discriminators import DiscriminatorConfig
from restyle_jax.nets.encoders import COARSE, EncoderConfig
from restyle_jax.nets.generators import GeneratorConfig
from restyle_jax.nets.irse import IRSEConfig
from restyle_jax.nets.resnet import ResNetConfig
from restyle_jax.nets.trunks import TRUNKS

TrunkConfig = IRSEConfig | ResNetConfig

# More than any batch: NVlabs's None, the standard deviation over the whole of it.
WHOLE_BATCH = 2**16


def generator_table(config: GeneratorConfig, naming: str = "rosinality") -> engine.Table:
    """The rows of a generator in the names of a `Contents.naming` that exists for its architecture."""
    blocks, conditional = len(config.channels), config.label_dim > 0
    if naming in ("idinvert", "genforce"):
        rows = stylegan_tables.idinvert if naming == "idinvert" else stylegan_tables.genforce
        return rows(config.channels, config.mapping_layers, conditional=conditional)
    if naming == "nvlabs":
        return nvlabs.generator(blocks, config.mapping_layers, conditional=conditional)
    return stylegan2_tables.generator(blocks, config.mapping_layers)


def discriminator_table(config: DiscriminatorConfig, naming: str = "rosinality") -> engine.Table:
    """The rows of a discriminator in rosinality's or NVlabs's names."""
    blocks = len(config.channels) - 1
    if naming == "nvlabs":
        return nvlabs.discriminator(blocks, config.mapping_layers, conditional=config.label_dim > 0)
    return stylegan2_tables.discriminator(blocks)


def encoder_table(config: EncoderConfig, *, surplus: int = 0) -> engine.Table:
    """The rows of an encoder in the names of pSp, e4e and ReStyle; `surplus` trailing heads of the file are ignored."""
    stacks, laterals = [("heads", config.num_styles, config.head_convs)], []
    if config.pyramid:
        names = ("coarse", "middle", "fine")
        # One more stride-2 convolution for each doubling of the map that a head looks at.
        stacks = [
            (name, count, config.head_convs + i)
            for i, (name, count) in enumerate(zip(names, config.levels, strict=True))
        ]
        laterals = encoders.laterals()
    rows = engine.prefixed(trunk_table(config.trunk_config), ours="trunk.")
    return [*rows, *encoders.heads(stacks, surplus=surplus), *laterals]


def trunk_table(config: TrunkConfig) -> engine.Table:
    """The rows of an encoder's trunk in the names of pSp, e4e and ReStyle."""
    if isinstance(config, IRSEConfig):
        return encoders.irse_trunk(config.units)
    return encoders.resnet_trunk(config.blocks, bottleneck=config.bottleneck)


def generator(contents: Contents, file: str) -> tuple[GeneratorConfig, engine.Table]:
    """The config of the file's generator, and its table. Raises CheckpointError if there is too little to tell."""
    state, naming = contents.generator or {}, contents.naming
    if naming in ("idinvert", "genforce"):
        return _stylegan(state, naming, file)
    if naming == "nvlabs":
        blocks, layers = blocks_by_resolution(state, "synthesis.b"), length(state, "mapping.fc")
    else:
        by_module = (
            length(state, "convs.") // 2 + 1,
            length(state, "to_rgbs.") + 1,
            length(state, "noises.noise_") // 2 + 1,
        )
        # The largest wins a draw: tensors get lost more easily than invented.
        blocks, layers = majority(sorted(by_module, reverse=True)) or 1, length(state, "style.", first=1)
    conditional = any(key.startswith("mapping.embed.") for key in state)
    config = checked_config(
        stylegan2.GeneratorConfig,
        file,
        resolution=4 * 2 ** (blocks - 1),
        channels=(0,) * blocks,
        mapping_layers=layers,
        label_dim=int(conditional),
        nvlabs=naming == "nvlabs",
        conv_clamp=contents.attributes("generator").get("synthesis.b4.conv1.conv_clamp"),
    )
    table = generator_table(config, naming)
    shapes = engine.shapes(table, state)
    w_dim = vote(shapes, *((f"synthesis.blocks.{b}.conv1.modulation.kernel", 0) for b in range(blocks)))
    embedded = vote(shapes, ("mapping.embed.kernel", 1)) or 0
    sizes: dict[str, Any] = {
        "channels": tuple(_block_channels(shapes, block) for block in range(blocks)),
        "w_dim": w_dim,
        "z_dim": (vote(shapes, ("mapping.layers.0.kernel", 0)) or w_dim or 0) - embedded,
    }
    if conditional:
        sizes["label_dim"] = vote(shapes, ("mapping.embed.kernel", 0))
    return completed(config, sizes, file, "generator", state, table), table


def _stylegan(state: State, naming: str, file: str) -> tuple[stylegan.GeneratorConfig, engine.Table]:
    blocks = max(length(state, "synthesis.layer") // 2, length(state, "synthesis.output"), 1)
    layers = length(state, "mapping.dense")
    conditional = "mapping.label_weight" in state
    config = checked_config(
        stylegan.GeneratorConfig,
        file,
        resolution=4 * 2 ** (blocks - 1),
        channels=(0,) * blocks,
        mapping_layers=layers,
        label_dim=int(conditional),
    )
    table = generator_table(config, naming)
    shapes = engine.shapes(table, state)
    epilogues = [[f"synthesis.blocks.{block}.epilogue{i}" for i in (0, 1)] for block in range(blocks)]
    w_dim = vote(shapes, *((f"{name}.style.kernel", 0) for pair in epilogues for name in pair))
    dense = [((f"mapping.layers.{i}.kernel", 1), (f"mapping.layers.{i}.bias", 0)) for i in range(layers)]
    # IDInvert's mapping network ends in a code for each style. The tanh is in no file: its generators have it, others have not.
    distinct = vote(shapes, *(dense[-1] if dense else ())) != w_dim
    config = dataclasses.replace(config, distinct_styles=distinct, final_tanh=distinct and naming == "idinvert")
    sizes: dict[str, Any] = {
        "channels": tuple(
            vote(shapes, *((f"{name}.{vector}", 0) for name in pair for vector in ("bias", "noise_strength")))
            for pair in epilogues
        ),
        "w_dim": w_dim,
        "z_dim": vote(shapes, ("mapping.embedding", 1) if conditional else ("mapping.layers.0.kernel", 0)),
        "mapping_width": vote(shapes, *(place for places in dense[:-1] for place in places)) or w_dim,
    }
    if conditional:
        sizes["label_dim"] = vote(shapes, ("mapping.embedding", 0))
    config = completed(config, sizes, file, "generator", state, table)
    return config, generator_table(config, naming)


def _block_channels(shapes: Shapes, block: int) -> int | None:
    name = f"synthesis.blocks.{block}"
    kernel_axes = [(f"{name}.conv1.kernel", 2), (f"{name}.conv1.kernel", 3), (f"{name}.conv0.kernel", 3)]
    vectors = [
        (f"{name}.{vector}", 0) for vector in ("conv1.bias", "conv1.modulation.bias", "conv0.bias", "to_rgb.kernel")
    ]
    return vote(shapes, *kernel_axes, *vectors)


def discriminator(contents: Contents, file: str) -> tuple[DiscriminatorConfig, engine.Table]:
    """The config of the file's discriminator, and its table. Raises CheckpointError if there is too little to tell."""
    state, naming = contents.discriminator or {}, contents.naming
    attributes = contents.attributes("discriminator")
    blocks = blocks_by_resolution(state, "b") - 1 if naming == "nvlabs" else length(state, "convs.") - 1
    conditional = any(key.startswith("mapping.") for key in state)
    config = checked_config(
        DiscriminatorConfig,
        file,
        resolution=4 * 2 ** max(blocks, 0),
        channels=(0,) * (max(blocks, 0) + 1),
        label_dim=int(conditional),
        mapping_layers=length(state, "mapping.fc"),
        stddev_group=attributes.get("b4.mbstd.group_size", 4) or WHOLE_BATCH,
        conv_clamp=attributes.get("b4.conv.conv_clamp"),
        nvlabs=naming == "nvlabs",
    )
    table = discriminator_table(config, naming)
    shapes = engine.shapes(table, state)
    last = vote(shapes, ("conv.kernel", 3), ("conv.bias", 0), ("dense.bias", 0), ("out.kernel", 0))
    sizes: dict[str, Any] = {"channels": (last, *(_width_before(shapes, block) for block in reversed(range(blocks))))}
    if conditional:
        sizes["label_dim"] = vote(shapes, ("mapping.embed.kernel", 0))
    return completed(config, sizes, file, "discriminator", state, table), table


def _width_before(shapes: Shapes, block: int) -> int | None:
    name = f"blocks.{block}"
    kernels = [(f"{name}.{kernel}.kernel", 2) for kernel in ("conv0", "conv1", "skip")]
    return vote(shapes, *kernels, (f"{name}.conv0.kernel", 3), (f"{name}.conv0.bias", 0))


def num_heads(state: State) -> int:
    """Number of style heads in an encoder's state dict."""
    return length(state, "styles.")


def has_pyramid(state: State) -> bool:
    """Whether an encoder has the lateral convolutions of a feature pyramid."""
    return any(key.startswith("latlayer") for key in state)


def encoder(
    state: State, file: str, *, progressive: bool, num_styles: int, input_nc: Any = None
) -> tuple[EncoderConfig, engine.Table]:
    """The config of an encoder, and its table.

    progressive: whether the heads are offsets from the first one, which the tensors do not tell.
    num_styles: how many of the heads to use. input_nc: see `in_channels`.
    Raises CheckpointError if there is too little to tell, or for an unknown trunk.
    """
    head = (
        ("fpn_progressive" if progressive else "fpn")
        if has_pyramid(state)
        else ("progressive" if progressive else "backbone")
    )
    # The first heads look at the coarsest map; every other module of a head is an activation.
    last_convs = (
        max(indices(state, f"styles.{style}.convs."), default=0) for style in range(min(COARSE, num_heads(state)))
    )
    convs = majority(number // 2 + 1 for number in last_convs) or 1
    config = checked_config(
        EncoderConfig, file, head=head, trunk=trunk_name(state, file), num_styles=num_styles, head_convs=convs
    )
    table = counted(encoder_table(config, surplus=num_heads(state) - num_styles), state)
    shapes = engine.shapes(table, state)
    linear = [path for path in shapes if path.endswith("linear.kernel")]
    sizes = {
        "in_channels": in_channels(shapes, "trunk.", stated=input_nc, usual=6),
        "style_dim": vote(shapes, *((path, axis) for path in linear for axis in (0, 1))),
        "width": trunk_width(shapes, "trunk."),
    }
    return completed(config, sizes, file, "encoder", state, table), table


def trunk(contents: Contents, file: str) -> tuple[str, TrunkConfig, engine.Table]:
    """(name, config, table) of a file that holds only a trunk: the IR-SE face network, or torchvision's or MoCo's ResNet."""
    state = contents.trunk or {}
    name = trunk_name(state, file)
    config = TRUNKS[name]
    if isinstance(config, IRSEConfig) and contents.kind == FACE:
        table = encoders.face_trunk(config.units)
    else:
        assert isinstance(config, ResNetConfig)
        table = encoders.torchvision_trunk(config.blocks, bottleneck=config.bottleneck)
    table = counted(table, state)
    shapes = engine.shapes(table, state)
    sizes = {"width": trunk_width(shapes, ""), "in_channels": in_channels(shapes, "", usual=3)}
    return name, completed(config, sizes, file, "trunk", state, table), table


def trunk_name(state: State, file: str) -> str:
    """Which trunk it is, by the kind of its units and their number. Raises CheckpointError if there is no such trunk."""
    irse = any(".res_layer." in key for key in state)
    bottleneck = any(key.endswith(".conv3.weight") for key in state)
    units = length(state, "body.") or sum(length(state, f"layer{stage}.") for stage in range(1, 5))
    for name, config in TRUNKS.items():
        kind = isinstance(config, ResNetConfig) and config.bottleneck
        if isinstance(config, IRSEConfig) == irse and kind == bottleneck and num_units(config) == units:
            return name
    raise CheckpointError.explain(
        file,
        found=f"a trunk of {units} {'IR-SE' if irse else 'bottleneck' if bottleneck else 'basic residual'} units",
        expected=", ".join(f"{name} ({num_units(config)} units)" for name, config in TRUNKS.items()),
        remedy="use a checkpoint with one of these trunks",
    )


def num_units(config: TrunkConfig) -> int:
    """Units or blocks of a trunk in all."""
    return sum(config.units if isinstance(config, IRSEConfig) else config.blocks)


def counted(table: engine.Table, state: State) -> engine.Table:
    """The table for this file, which may be older than the batch counts of torch."""
    return table if any(key.endswith("num_batches_tracked") for key in state) else without_counts(table)


def in_channels(shapes: Shapes, prefix: str, *, stated: Any = None, usual: int) -> int:
    """Channels of what a trunk sees. Only its first convolution tells; without that it is what the options say (`stated`), or what
    is usual, so that everything else that is wrong can be named as well."""
    sensible = type(stated) is int and 0 < stated < WHOLE_BATCH
    return vote(shapes, (f"{prefix}input_layer.conv.kernel", 2)) or (stated if sensible else usual)


def trunk_width(shapes: Shapes, prefix: str) -> int | None:
    """Channels of a trunk's first group, if anything says so; `prefix` stands before its paths in `shapes`."""
    name = f"{prefix}input_layer"
    return vote(shapes, (f"{name}.conv.kernel", 3), (f"{name}.norm.scale", 0), (f"{name}.norm.bias", 0))
