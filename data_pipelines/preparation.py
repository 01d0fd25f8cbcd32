"""What a task makes of a source and a target picture (pSp: `configs/transforms_config.py`, `datasets/augmentations.py`)."""

from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image

from data_pipelines.folder import ImageError, Reader, decode, photo_reader
from data_pipelines.transforms import as_stored, to_model_input, to_rgb

TaskName = Literal["inversion", "sketch", "segmentation", "super_resolution", "frontalise"]
NEEDS_PAIRS = ("sketch", "segmentation")


@dataclass(frozen=True)
class Preparation:
    """How pictures become arrays. Everything is resized to exactly height x width, without regard to the aspect ratio.

    inversion: the source is the target; of a pair, the source picture is prepared like the target and flipped with it.
    sketch: the source is grey in [0, 1].
    segmentation: the source is a label image, one-hot over `label_classes`; resized by `label_resize`, where "bilinear" is
      what the published checkpoint was trained with, although it makes up labels along borders.
    super_resolution: the source is reduced by a factor drawn from `resize_factors` and enlarged again.
    frontalise: source and target are flipped independently.
    flip: whether inversion and frontalise flip one half of the training pictures; the other tasks never flip.

    Raises:
      ValueError: `label_classes` missing, or factors that do not fit the size.
    """

    task: TaskName = "inversion"
    height: int = 256
    width: int = 256
    flip: bool = True
    label_classes: int = 0
    resize_factors: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    label_resize: Literal["nearest", "bilinear"] = "nearest"

    def __post_init__(self) -> None:
        if self.task == "segmentation" and self.label_classes < 2:
            raise ValueError(
                f"segmentation needs the number of label classes (label_classes), found {self.label_classes}"
            )
        largest = (min(self.height, self.width) - 1) * 2 // 3
        unfit = [factor for factor in self.resize_factors if not 1 <= factor <= largest]
        if self.task == "super_resolution" and (unfit or not self.resize_factors):
            raise ValueError(
                f"resize_factors {self.resize_factors}: expected factors from 1 to {largest} for pictures of "
                f"{self.height} x {self.width}"
            )

    @property
    def channels(self) -> int:
        """Number of channels of the source."""
        return {"sketch": 1, "segmentation": self.label_classes}.get(self.task, 3)

    def arrays(
        self, source: Image.Image, target: Image.Image, random: np.random.Generator, *, training: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pictures as `Source.open` gives them -> source f32[height, width, channels], target f32[height, width, 3].

        Raises:
          ImageError: a label is not below `label_classes`.
        """
        pillow_size = (self.width, self.height)
        y = to_model_input(target, self.height, self.width)
        flips = random.random(2) < (0.5 if training and self.flip else 0.0)
        if self.task in NEEDS_PAIRS:
            return self.guide(source), y
        if self.task == "super_resolution":
            full = to_rgb(source).resize(pillow_size, Image.Resampling.BILINEAR)
            return to_model_input(reduce(full, int(random.choice(self.resize_factors))), self.height, self.width), y
        if self.task == "inversion" and source is target:
            y = y[:, ::-1] if flips[0] else y
            return y, y
        x = y if source is target else to_model_input(to_rgb(source), self.height, self.width)
        flip_source, flip_target = flips if self.task == "frontalise" else flips[[0, 0]]
        return (x[:, ::-1] if flip_source else x), (y[:, ::-1] if flip_target else y)

    def guide(self, source: Image.Image) -> np.ndarray:
        """A sketch or a label image, upright and in the mode of its file -> f32[height, width, channels] in [0, 1].

        Raises:
          ImageError: a label is not below `label_classes`.
        """
        if self.task == "segmentation":
            return self._one_hot(source)
        grey = to_rgb(source).convert("L").resize((self.width, self.height), Image.Resampling.BILINEAR)
        return (np.asarray(grey, np.float32) / np.float32(255))[..., None]

    def _one_hot(self, source: Image.Image) -> np.ndarray:
        # 16-bit labels are numbers already, which Pillow resizes in mode I; other modes become grey as upstream reads them.
        labels = source.convert("I" if source.mode[0] == "I" else "L")
        filter = Image.Resampling.NEAREST if self.label_resize == "nearest" else Image.Resampling.BILINEAR
        values = np.asarray(labels.resize((self.width, self.height), filter))
        if values.max() >= self.label_classes or values.min() < 0:
            raise ImageError(
                f"found label {values.max()}, expected 0 to {self.label_classes - 1}. Is this a label image (grey, one value "
                "for each class), and is the number of classes right?"
            )
        return np.eye(self.label_classes, dtype=np.float32)[values]


def input_reader(inputs: Literal["photo", "sketch", "label map"], height: int, width: int, channels: int) -> Reader:
    """The reader of what an encoder of this size looks at: photos, f32[height, width, 3] in [-1, 1]; sketches, or label maps of so
    many classes, as `Preparation.guide` makes them."""
    if inputs == "photo":
        return photo_reader(height, width)
    task = "sketch" if inputs == "sketch" else "segmentation"
    preparation = Preparation(task, height, width, label_classes=channels)

    def read(file: BinaryIO, name: str) -> np.ndarray:
        picture = decode(file, name, to_rgb if task == "sketch" else as_stored)
        try:
            return preparation.guide(picture)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    return read


def reduce(image: Image.Image, factor: int) -> Image.Image:
    """RGB picture of h x w -> (h // factor) x (w // factor), by the bicubic filter of pSp (`BicubicDownSample`, a = -0.5).

    4 factor taps, reflected borders, rows then columns without rounding between, clamped and truncated to 8 bits. A factor
    of 1 is not the identity but blurs and shifts by half a pixel, as upstream.
    """
    x = np.abs((np.arange(4 * factor) - 2 * factor + 0.5) / factor)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    taps = np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(np.float32)
    taps /= taps.sum()
    before = 3 * factor // 2
    pixels = np.asarray(image, np.float32) / np.float32(255)
    for axis in (0, 1):
        padding = [(0, 0)] * 3
        padding[axis] = (before, 3 * factor - before)
        padded = np.pad(pixels, padding, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 4 * factor, axis)
        pixels = (windows[::factor] if axis == 0 else windows[:, ::factor]) @ taps
    return Image.fromarray((pixels.clip(0, 1) * np.float32(255)).astype(np.uint8))
