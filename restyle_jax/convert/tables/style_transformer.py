"""The Style Transformer in the names of sapphire497/style-transformer (`models/encoders/style_transformer_encoders.py`)."""

from restyle_jax.convert.engine import Entry, Row
from restyle_jax.convert.tables.layers import dense
from restyle_jax.convert.transforms import LINEAR, VECTOR


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
