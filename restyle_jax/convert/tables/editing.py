"""The networks that edit codes, in the names of sapphire497/style-transformer (`models/encoders/edit_transformer_encoders.py`)."""

from collections.abc import Iterator

from restyle_jax.convert.engine import Entry, Row, prefixed
from restyle_jax.convert.tables.layers import dense
from restyle_jax.convert.tables.style_transformer import decoder_layer
from restyle_jax.convert.transforms import LINEAR, VECTOR


def latent_classifier(layers: int, attributes: int) -> list[Entry]:
    """`LCNet_40` in state-dict order, with any number of shared layers and of attributes."""
    rows = [entry for layer in range(layers) for entry in dense(f"layers.{layer}", f"fcs.{layer}")]
    return [*rows, *_heads("embed", "indep_fcs", attributes), *_heads("read", "output_fcs", attributes)]


def _heads(ours: str, theirs: str, count: int) -> Iterator[Entry]:
    for index in range(count):
        yield Row(f"{ours}.kernel", f"{theirs}.{index}.weight", LINEAR, index)
        yield Row(f"{ours}.bias", f"{theirs}.{index}.bias", VECTOR, index)


def edit_transformer() -> list[Entry]:
    """`EditTransformerEncoder` in state-dict order."""
    return prefixed(decoder_layer(), ours="layer.", theirs="transformerlayer.")
