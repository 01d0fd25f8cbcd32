"""The arrays of every task against PIL and torch, and labels that do not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.folder import ImageError
from data_pipelines.preparation import Preparation, TaskName, reduce
from data_pipelines.transforms import to_model_input
from tests.data_pipelines.made_up import pixels


def picture(seed: int = 0, size: tuple[int, int] = (60, 44)) -> Image.Image:
    return Image.fromarray(pixels(seed, size))


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def official_reduction(image: Image.Image, factor: int) -> np.ndarray:
    """Two convolutions of torch along the axes, as spelled out in pSp's `BicubicDownSample`."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    taps = torch.tensor([kernel((i - 2 * factor + 0.5) / factor) for i in range(4 * factor)], dtype=torch.float32)
    taps = (taps / taps.sum()).repeat(3, 1)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255
    before, after = 3 * factor // 2, 3 * factor - 3 * factor // 2
    pad, conv = torch.nn.functional.pad, torch.nn.functional.conv2d
    x = conv(pad(x, (0, 0, before, after), "reflect"), taps[:, None, :, None], stride=(factor, 1), groups=3)
    x = conv(pad(x, (before, after, 0, 0), "reflect"), taps[:, None, None, :], stride=(1, factor), groups=3)
    return x[0].clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8, 32])
def test_reduction_equals_the_official_one(factor: int) -> None:
    smooth = picture(size=(12, 12)).resize((128, 96), Image.Resampling.BICUBIC)
    for image in (smooth, picture(size=(128, 96))):
        found, expected = np.asarray(reduce(image, factor)), official_reduction(image, factor)
        assert found.shape == (96 // factor, 128 // factor, 3) == expected.shape
        # A sum that lies within rounding of a whole number may be truncated to either side.
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 1 and np.mean(difference > 0) < 5e-3


def test_super_resolution() -> None:
    image = picture(3, (80, 80))
    prepare = Preparation("super_resolution", 64, 48, resize_factors=(4,))
    x, y = prepare.arrays(image, image, random(), training=True)
    full = image.resize((48, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(y, to_model_input(image, 64, 48))
    np.testing.assert_array_equal(x, to_model_input(reduce(full, 4), 64, 48))
    several = Preparation("super_resolution", 64, 64, resize_factors=(1, 2, 8))
    drawn = {several.arrays(image, image, random(i), training=False)[0].tobytes() for i in range(30)}
    assert len(drawn) == 3, "the factor is drawn in evaluation as well"


def test_inversion_flips_source_and_target_together() -> None:
    image = picture()
    plain = to_model_input(image, 16, 24)
    flips = []
    for seed in range(40):
        x, y = Preparation("inversion", 16, 24).arrays(image, image, random(seed), training=True)
        flips.append(np.array_equal(y, plain[:, ::-1]))
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(y, plain[:, ::-1] if flips[-1] else plain)
    assert 8 < sum(flips) < 32
    for settings, training in (
        (Preparation("inversion", 16, 24), False),
        (Preparation("inversion", 16, 24, False), True),
    ):
        for seed in range(8):
            np.testing.assert_array_equal(settings.arrays(image, image, random(seed), training=training)[1], plain)


def test_inversion_of_pairs_flips_both() -> None:
    source, target = picture(1), picture(2)
    a, b = to_model_input(source, 8, 8), to_model_input(target, 8, 8)
    seen = set()
    for seed in range(20):
        x, y = Preparation("inversion", 8, 8).arrays(source, target, random(seed), training=True)
        flipped = not np.array_equal(x, a)
        seen.add(flipped)
        np.testing.assert_array_equal(x, a[:, ::-1] if flipped else a)
        np.testing.assert_array_equal(y, b[:, ::-1] if flipped else b)
    assert seen == {False, True}


def test_frontalise_flips_independently() -> None:
    image = picture()
    plain = to_model_input(image, 8, 8)
    seen = set()
    for seed in range(40):
        x, y = Preparation("frontalise", 8, 8).arrays(image, image, random(seed), training=True)
        seen.add((np.array_equal(x, plain), np.array_equal(y, plain)))
    assert len(seen) == 4


def test_sketch_is_grey_in_zero_to_one() -> None:
    source, target = picture(1), picture(2)
    settings = Preparation("sketch", 16, 24)
    x, y = settings.arrays(source, target, random(), training=True)
    grey = source.convert("L").resize((24, 16), Image.Resampling.BILINEAR)
    assert x.shape == (16, 24, settings.channels) == (16, 24, 1) and x.dtype == np.float32
    np.testing.assert_array_equal(x[..., 0], np.asarray(grey, np.float32) / 255)
    np.testing.assert_array_equal(y, to_model_input(target, 16, 24))


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_segmentation(mode: str) -> None:
    labels = pixels(0, (30, 22), 1) % 5
    source = Image.fromarray(labels.astype(np.uint16)) if mode == "I;16" else Image.fromarray(labels).convert(mode)
    settings = Preparation("segmentation", 11, 15, label_classes=5)
    x, _ = settings.arrays(source, picture(), random(), training=True)
    assert x.shape == (11, 15, settings.channels) == (11, 15, 5)
    nearest = np.asarray(Image.fromarray(labels).resize((15, 11), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(x, np.eye(5, dtype=np.float32)[nearest])


def test_bilinear_labels_as_the_published_checkpoint() -> None:
    source = Image.fromarray(pixels(0, (30, 22), 1) % 5)
    settings = Preparation("segmentation", 11, 15, label_classes=5, label_resize="bilinear")
    x, _ = settings.arrays(source, picture(), random(), training=True)
    np.testing.assert_array_equal(x.argmax(-1), np.asarray(source.resize((15, 11), Image.Resampling.BILINEAR)))


def test_bilinear_labels_of_16_bits_in_either_order(tmp_path: Path) -> None:
    settings = Preparation("segmentation", 11, 15, label_classes=5, label_resize="bilinear")
    labels = (pixels(0, (30, 22), 1) % 5).astype(np.uint16)
    Image.frombytes("I;16B", (30, 22), labels.byteswap().tobytes()).save(tmp_path / "big.tif")
    with Image.open(tmp_path / "big.tif") as big:
        assert big.mode == "I;16B"
        found = settings.arrays(big, picture(), random(), training=True)[0]
    np.testing.assert_array_equal(
        found, settings.arrays(Image.fromarray(labels), picture(), random(), training=True)[0]
    )


def test_labels_out_of_range() -> None:
    source = Image.fromarray(np.full((8, 8), 19, np.uint8))
    with pytest.raises(ImageError, match="found label 19, expected 0 to 18"):
        Preparation("segmentation", 8, 8, label_classes=19).arrays(source, picture(), random(), training=True)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("segmentation", {}, "needs the number of label classes"),
        ("super_resolution", {"resize_factors": ()}, "expected factors from 1"),
        ("super_resolution", {"resize_factors": (2, 64)}, "from 1 to 42 for pictures of 64 x 64"),
    ],
)
def test_settings_that_cannot_work(task: TaskName, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preparation(task, 64, 64, **settings)
