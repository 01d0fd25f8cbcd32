"""Networks behind losses and metrics: LPIPS, VGG16, the face network and MoCo's ResNet, in the names of their published files."""

from collections.abc import Sequence

from restyle_jax.convert.engine import Entry, Ignored, Row, prefixed
from restyle_jax.convert.tables.encoders import irse_trunk, torchvision_resnet
from restyle_jax.convert.tables.layers import batch_norm, dense
from restyle_jax.convert.transforms import CONV, VECTOR, Transform

# Places of the convolutions among torchvision's `features`; SqueezeNet's others are Fire modules.
PLACES = {
    "alex": (0, 3, 6, 8, 10),
    "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "squeeze": (0, 3, 4, 6, 7, 9, 10, 11, 12),
}
FIRE_PARTS = ("squeeze", "expand1x1", "expand3x3")

# Layers that LPIPS compares.
TAPS = {"alex": 5, "vgg": 5, "squeeze": 7}

CHANNEL_WEIGHTS = Transform("1x1 convolution to one channel", "1 c 1 1 -> c")

# The face network and VGG16 flatten their last 7x7 map channel-major upstream and channel-last here.
DENSE_7X7 = Transform("dense layer over a 7x7 map", "o (c h w) -> (h w c) o", {"h": 7, "w": 7})


def features(net: str) -> list[Entry]:
    """The convolutions of torchvision's AlexNet, VGG16 or SqueezeNet 1.1, in the names below `features.`."""
    rows: list[Entry] = []
    for layer, place in enumerate(PLACES[net]):
        parts = [f".{part}" for part in FIRE_PARTS] if net == "squeeze" and place else [""]
        for part in parts:
            ours, theirs = f"layers.{layer}{part}", f"{place}{part}"
            rows.append(Row(f"{ours}.kernel", f"{theirs}.weight", CONV))
            rows.append(Row(f"{ours}.bias", f"{theirs}.bias", VECTOR))
    return rows


def torchvision_features(net: str) -> list[Entry]:
    """The same in a file of torchvision's model zoo."""
    return [
        *prefixed(features(net), theirs="features."),
        Ignored("classifier.", "the classifier on top of the features"),
    ]


def vgg16() -> list[Entry]:
    """VGG16 up to its second dense layer, in a file of torchvision's model zoo."""
    return [
        *prefixed(features("vgg"), theirs="features."),
        Row("dense1.kernel", "classifier.0.weight", DENSE_7X7),
        Row("dense1.bias", "classifier.0.bias", VECTOR),
        *dense("dense2", "classifier.3"),
        Ignored("classifier.6.", "the scores of ImageNet's classes"),
    ]


def linear(net: str, pattern: str) -> list[Entry]:
    """LPIPS's weight for every channel that is compared. `pattern` has {} for the number of the layer."""
    return [Row(f"weights.{tap}", pattern.format(tap), CHANNEL_WEIGHTS) for tap in range(TAPS[net])]


def face(groups: Sequence[int]) -> list[Entry]:
    """The ArcFace IR-SE network with its embedding (`model_ir_se50.pth`)."""
    return [
        *prefixed(irse_trunk(groups), ours="trunk."),
        *batch_norm("norm1", "output_layer.0"),
        Row("dense.kernel", "output_layer.3.weight", DENSE_7X7),
        Row("dense.bias", "output_layer.3.bias", VECTOR),
        *batch_norm("norm2", "output_layer.4"),
    ]


def moco(groups: Sequence[int]) -> list[Entry]:
    """MoCo's query encoder without its projection, in the names below `module.encoder_q.`."""
    return prefixed(torchvision_resnet(groups, bottleneck=True), ours="trunk.")
