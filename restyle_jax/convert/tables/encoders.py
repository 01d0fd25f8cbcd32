"""Encoder trunks and heads in the names of pSp, e4e and ReStyle (`models/encoders/*.py`), torchvision and MoCo.

`groups` is the number of units in each of a trunk's four stages, e.g. (3, 4, 14, 3) for IR-SE50.
"""

from collections.abc import Iterator, Sequence

from restyle_jax.convert.engine import Entry, Filled, Ignored, Row
from restyle_jax.convert.tables.layers import batch_norm
from restyle_jax.convert.transforms import CONV, LINEAR, POINTWISE, VECTOR

# PyTorch's initial slope, which official training also starts from.
PRELU_SLOPE = 0.25


def irse_trunk(groups: Sequence[int]) -> list[Entry]:
    """IR-SE trunk, in state-dict order; the first unit of every stage but the first has a convolutional shortcut."""
    rows = [
        Row("input_layer.conv.kernel", "input_layer.0.weight", CONV),
        *batch_norm("input_layer.norm", "input_layer.1"),
        Row("input_layer.prelu.slope", "input_layer.2.weight", VECTOR),
    ]
    for unit, (stage, place) in enumerate(_places(groups)):
        ours, theirs = f"body.{unit}", f"body.{unit}"
        if stage and not place:
            rows.append(Row(f"{ours}.shortcut_conv.kernel", f"{theirs}.shortcut_layer.0.weight", CONV))
            rows += batch_norm(f"{ours}.shortcut_norm", f"{theirs}.shortcut_layer.1")
        rows += [
            *batch_norm(f"{ours}.norm1", f"{theirs}.res_layer.0"),
            Row(f"{ours}.conv1.kernel", f"{theirs}.res_layer.1.weight", CONV),
            Row(f"{ours}.prelu.slope", f"{theirs}.res_layer.2.weight", VECTOR),
            Row(f"{ours}.conv2.kernel", f"{theirs}.res_layer.3.weight", CONV),
            *batch_norm(f"{ours}.norm2", f"{theirs}.res_layer.4"),
            Row(f"{ours}.se.fc1.kernel", f"{theirs}.res_layer.5.fc1.weight", POINTWISE),
            Row(f"{ours}.se.fc2.kernel", f"{theirs}.res_layer.5.fc2.weight", POINTWISE),
        ]
    return rows


def face_trunk(groups: Sequence[int]) -> list[Entry]:
    """The trunk inside the ArcFace IR-SE network file (`model_ir_se50.pth`)."""
    return [*irse_trunk(groups), Ignored("output_layer.", "the face embedding on top of the trunk")]


def resnet_trunk(groups: Sequence[int], *, bottleneck: bool) -> list[Entry]:
    """ResNet trunk as ReStyle flattens it, in state-dict order; its input layer ends in a PReLU named `relu`."""
    return [*_resnet_stem(), Row("input_layer.prelu.slope", "relu.weight", VECTOR)] + [
        entry
        for unit, (stage, place) in enumerate(_places(groups))
        for entry in _resnet_unit(unit, f"body.{unit}", bottleneck, _has_downsample(stage, place, bottleneck))
    ]


def torchvision_resnet(groups: Sequence[int], *, bottleneck: bool) -> list[Entry]:
    """ResNet below its classifier in torchvision's names, which MoCo shares."""
    return [
        *_resnet_stem(),
        *(
            entry
            for unit, (stage, place) in enumerate(_places(groups))
            for entry in _resnet_unit(
                unit, f"layer{stage + 1}.{place}", bottleneck, _has_downsample(stage, place, bottleneck)
            )
        ),
        Ignored("fc.", "the classifier, or MoCo's projection, on top of the trunk"),
    ]


def torchvision_trunk(groups: Sequence[int], *, bottleneck: bool) -> list[Entry]:
    """The same as the trunk of an encoder, where the PReLU after the input layer starts afresh."""
    fresh = Filled("input_layer.prelu.slope", PRELU_SLOPE, "torchvision has a ReLU here")
    return [*torchvision_resnet(groups, bottleneck=bottleneck), fresh]


def _resnet_stem() -> list[Entry]:
    return [Row("input_layer.conv.kernel", "conv1.weight", CONV), *batch_norm("input_layer.norm", "bn1")]


def _has_downsample(stage: int, place: int, bottleneck: bool) -> bool:
    # A bottleneck widens its output fourfold, so that already the first stage needs a projection.
    return place == 0 and (bottleneck or stage > 0)


def _resnet_unit(unit: int, theirs: str, bottleneck: bool, downsample: bool) -> list[Entry]:
    ours = f"body.{unit}"
    rows: list[Entry] = []
    for layer in (1, 2, 3) if bottleneck else (1, 2):
        rows.append(Row(f"{ours}.conv{layer}.kernel", f"{theirs}.conv{layer}.weight", CONV))
        rows += batch_norm(f"{ours}.norm{layer}", f"{theirs}.bn{layer}")
    if downsample:
        rows.append(Row(f"{ours}.downsample_conv.kernel", f"{theirs}.downsample.0.weight", CONV))
        rows += batch_norm(f"{ours}.downsample_norm", f"{theirs}.downsample.1")
    return rows


def _places(groups: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(stage, place within the stage) of every unit."""
    return ((stage, place) for stage, size in enumerate(groups) for place in range(size))


def heads(stacks: Sequence[tuple[str, int, int]], *, surplus: int = 0) -> list[Entry]:
    """Style heads `styles.0 .. styles.K-1`, in state-dict order.

    stacks: (our name, number of heads, stride-2 convolutions per head) of every stack of heads, in order.
    surplus: trailing heads of the file that the generator has no layer for.
    """
    rows: list[Entry] = []
    style = 0
    for name, count, convs in stacks:
        for index in range(count):
            theirs = f"styles.{style}"
            for conv in range(convs):
                ours = f"{name}.convs.{conv}"
                # Odd places in the torch list are the activations.
                rows.append(Row(f"{ours}.kernel", f"{theirs}.convs.{2 * conv}.weight", CONV, index))
                rows.append(Row(f"{ours}.bias", f"{theirs}.convs.{2 * conv}.bias", VECTOR, index))
            rows.append(Row(f"{name}.linear.kernel", f"{theirs}.linear.weight", LINEAR, index))
            rows.append(Row(f"{name}.linear.bias", f"{theirs}.linear.bias", VECTOR, index))
            style += 1
    return rows + [
        Ignored(f"styles.{style + extra}.", "a head beyond the generator's last layer") for extra in range(surplus)
    ]


def laterals() -> list[Entry]:
    """The 1x1 convolutions of the feature pyramid."""
    return [
        entry
        for layer in (1, 2)
        for entry in (
            Row(f"lateral{layer}.kernel", f"latlayer{layer}.weight", CONV),
            Row(f"lateral{layer}.bias", f"latlayer{layer}.bias", VECTOR),
        )
    ]
