"""Inception-v3 in torchvision's names, in the order of their state dict."""

from restyle_jax.convert.engine import Entry, Ignored, Row
from restyle_jax.convert.tables.layers import batch_norm
from restyle_jax.convert.transforms import CONV

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")

DOUBLE = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
SEVEN = tuple(f"branch7x7_{i}" for i in range(1, 4))
DOUBLE_SEVEN = tuple(f"branch7x7dbl_{i}" for i in range(1, 6))
SEVEN_AND_THREE = tuple(f"branch7x7x3_{i}" for i in range(1, 5))

A = ("branch1x1", "branch5x5_1", "branch5x5_2", *DOUBLE, "branch_pool")
B = ("branch3x3", *DOUBLE)
C = ("branch1x1", *SEVEN, *DOUBLE_SEVEN, "branch_pool")
D = ("branch3x3_1", "branch3x3_2", *SEVEN_AND_THREE)
E = (
    *("branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b"),
    *(*DOUBLE[:2], "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"),
)

BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), A),
    "Mixed_6a": B,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), C),
    "Mixed_7a": D,
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), E),
}


def inception() -> list[Entry]:
    """The network without its classifier (`pt_inception-2015-12-05-6726825d.pth`)."""
    names = {f"stem.convs.{name}": name for name in STEM}
    names |= {f"blocks.{block}.convs.{name}": f"{block}.{name}" for block, parts in BLOCKS.items() for name in parts}
    rows: list[Entry] = []
    for ours, theirs in names.items():
        rows += [Row(f"{ours}.conv.kernel", f"{theirs}.conv.weight", CONV), *batch_norm(f"{ours}.norm", f"{theirs}.bn")]
    return [*rows, Ignored("fc.", "the classifier on top of the features")]
