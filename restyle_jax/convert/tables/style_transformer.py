"""The Style Transformer in the names of sapphire497/style-transformer (`models/encoders/style_transformer_encoders.py`)."""

from restyle_jax.convert.engine import Entry, Row, Table, prefixed
from restyle_jax.convert.tables.encoders import laterals
from restyle_jax.convert.tables.layers import dense
from restyle_jax.convert.transforms import LINEAR, QUERIES, VECTOR


def decoder_layer() -> list[Entry]:
    """A decoder layer, in state-dict order; torch packs the projections to queries, keys and values as we do."""
    rows: list[Entry] = []
    for mine, torch in (("self_attention", "self_attn"), ("cross_attention", "multihead_attn")):
        rows += [
            Row(f"{mine}.packed.kernel", f"{torch}.in_proj_weight", LINEAR),
            Row(f"{mine}.packed.bias", f"{torch}.in_proj_bias", VECTOR),
            *dense(f"{mine}.out", f"{torch}.out_proj"),
        ]
    rows += [row for name in ("linear1", "linear2") for row in dense(f"{name}", f"{name}")]
    for name in ("norm1", "norm2", "norm3"):
        rows.append(Row(f"{name}.scale", f"{name}.weight", VECTOR))
        rows.append(Row(f"{name}.bias", f"{name}.bias", VECTOR))
    return rows


def encoder(trunk: Table, mapping_layers: int) -> list[Entry]:
    """The whole encoder, in state-dict order, with `encoder.` in front; its mapping network comes last and is the decoder's."""
    rows: list[Entry] = [
        Row("tokens", "z", QUERIES),
        *prefixed(trunk, ours="trunk."),
        *laterals(),
        *(
            row
            for level in ("coarse", "medium", "fine")
            for row in prefixed(decoder_layer(), ours=f"{level}.", theirs=f"transformerlayer_{level}.")
        ),
    ]
    # style.0 is the pixel norm, which has no parameters.
    mapping = (dense(f"mapping.layers.{layer}", f"style.{layer + 1}") for layer in range(mapping_layers))
    return [
        *prefixed(rows, theirs="encoder."),
        *prefixed([row for layer in mapping for row in layer], theirs="decoder."),
    ]
