"""Official files of the Style Transformer: what their tensors say, and what must be so that there can be one."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from restyle_jax.checkpoints import sizes
from restyle_jax.checkpoints.votes import checked_config, completed, length, vote
from restyle_jax.convert import engine
from restyle_jax.convert.detect import STYLE_TRANSFORMER, State
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.convert.tables import style_transformer as tables
from restyle_jax.nets.style_transformer import StyleTransformerConfig

# The official code builds this many queries for any generator.
OFFICIAL_TOKENS = 18

MAPPING_IS_CHANGED = (
    "has only the mapping network that was trained with its encoder: pictures sampled with it are not the generator's; sample "
    "from the generator's own file"
)


def mapping_is_changed(metadata: Mapping[str, Any]) -> bool:
    """Whether a model with these metadata has its generator from an official file, directly or through a run that started there."""
    return metadata.get("kind") == STYLE_TRANSFORMER or metadata.get("mapping_is_changed") is True


def table_of(config: StyleTransformerConfig) -> engine.Table:
    """The rows of the encoder in the official names, with `encoder.` and, for its mapping network, `decoder.` in front."""
    return tables.encoder(sizes.trunk_table(config.trunk_config), config.mapping_layers)


def num_tokens(state: State) -> int | None:
    """How many queries an encoder has in its official state dict; None if it is no Style Transformer."""
    shape = getattr(state.get("encoder.z"), "shape", ())
    return shape[1] if len(shape) == 3 else None


def sizes_of(
    state: State, file: str, *, num_styles: int, input_nc: Any = None
) -> tuple[StyleTransformerConfig, engine.Table]:
    """The config of an encoder, and its table; `num_styles` of its tokens are used. input_nc: see `sizes.in_channels`.

    Raises CheckpointError if there is too little to tell, for an unknown trunk, or for fewer tokens than styles.
    """
    below = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    tokens = num_tokens(state)
    config = checked_config(
        StyleTransformerConfig,
        file,
        num_styles=num_styles,
        trunk=sizes.trunk_name(below, file),
        tokens=tokens or OFFICIAL_TOKENS,
        mapping_layers=length(state, "decoder.style.", first=1),
    )
    table = sizes.counted(table_of(config), state)
    shapes = engine.shapes(table, state)
    levels = ("coarse", "medium", "fine")
    attentions = [f"{level}.{which}_attention.out.kernel" for level in levels for which in ("self", "cross")]
    found: dict[str, Any] = {
        "in_channels": sizes.in_channels(shapes, "trunk.", stated=input_nc, usual=3),
        "style_dim": vote(shapes, *((name, axis) for name in attentions for axis in (0, 1))),
        "hidden": vote(shapes, *((f"{level}.linear1.bias", 0) for level in levels)),
        "width": sizes.trunk_width(shapes, "trunk."),
    }
    return completed(config, found, file, "encoder", state, table), table


def without_average(file: str) -> CheckpointError:
    """The error for an official file in which no codes can be relative to anything."""
    return CheckpointError.explain(
        file,
        found="a Style Transformer without latent_avg",
        expected="the mean latent of its generator, to which the encoder's codes are added",
        remedy="copy `latent_avg` from the generator's file; it cannot be estimated, since the mapping network in this file was "
        "trained with the encoder",
    )


def average_for(w_avg: Any, tokens: int) -> np.ndarray:
    """w_avg f32[K, w_dim] as the official code adds it to the codes of all tokens: f32[w_dim] if all its rows are equal, else
    f32[tokens, w_dim], whose last row also stands beyond K."""
    rows = np.asarray(w_avg, np.float32)
    return rows[0] if (rows == rows[0]).all() else np.pad(rows, ((0, tokens - len(rows)), (0, 0)), "edge")
