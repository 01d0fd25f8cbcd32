"""Codes of inverted photos as training data: the `latents.npz` of `restyle invert`, all in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.npz import UNREADABLE, finite_in_float32, load

Arrays = dict[str, np.ndarray]


class DataError(Exception):
    """Codes or labels cannot be used. The message names the file, what was found, and what to do."""


@dataclass(frozen=True)
class Codes:
    """`values` f32[N, K, D], the last step of the inversion of each photo; `names`: of the photos, sorted."""

    names: tuple[str, ...]
    values: np.ndarray

    def split(self, test_share: float) -> tuple["Codes", "Codes"]:
        """The first codes, for training, and the last `test_share` of them, for the test; at least one each of two or more."""
        last = max(1, min(len(self.names) - 1, round(len(self.names) * (1 - test_share))))
        return self.rows(slice(None, last)), self.rows(slice(last, None))

    def rows(self, chosen: slice) -> "Codes":
        """Some of the codes."""
        return Codes(self.names[chosen], self.values[chosen])


def read_codes(path: Path) -> Codes:
    """The codes in a `latents.npz`, an array [steps, K, D] for each photo.

    Raises:
      DataError: the file cannot be read, is something else, has fewer than two codes, or they differ in shape or are not finite.
    """
    try:
        file = load(path)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise _unfit(path, "a single array")
        with file:
            names = tuple(sorted(file.files))
            values = [_last(path, name, np.asarray(file[name])) for name in names]
    except UNREADABLE as error:
        raise _unfit(path, f"something unreadable ({getattr(error, 'strerror', None) or error})") from error
    if len(names) < 2:
        raise _unfit(path, f"{len(names)} codes", "two at least")
    shapes = {value.shape for value in values}
    if len(shapes) > 1:
        raise _unfit(path, f"codes of shapes {', '.join(map(str, sorted(shapes)))}", "codes of one generator")
    return Codes(names, np.stack(values))


def _last(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim != 3 or not len(array) or array.dtype.kind != "f":
        raise _unfit(path, f"{array.dtype}{list(array.shape)} for {name}", "arrays of numbers [steps, K, D]")
    if not finite_in_float32(array[-1]):
        raise _unfit(path, f"numbers that are not finite for {name}", "finite codes")
    return array[-1].astype(np.float32)


def _unfit(path: Path, found: str, expected: str = "a latents.npz of `restyle invert`") -> DataError:
    return DataError(f"{path}: found {found}; expected {expected}. What to do: invert photos with `restyle invert`.")


class CodeBatches:
    """Endless batches of this process: `source` f32[b, K, D] and `index` int32[b], the numbers of the codes.

    As `loader.training_batches`: the codes in a new random order in every epoch, batch i the samples i B to (i + 1) B - 1 of that
    sequence, of which process p takes the p-th part. position: batches consumed since the start of training.
    """

    def __init__(
        self, codes: Codes, batch_size: int, seed: int, start: int = 0, process: int = 0, processes: int = 1
    ) -> None:
        self.position = start
        self.unreadable: list[tuple[str, str]] = []  # which pictures may have
        self._codes, self._batch_size, self._seed = codes, batch_size, seed
        self._rows = slice(process * batch_size // processes, (process + 1) * batch_size // processes)

    def __iter__(self) -> Iterator[Arrays]:
        return self

    def __next__(self) -> Arrays:
        count, first = len(self._codes.names), self.position * self._batch_size
        epochs = range(first // count, (first + self._batch_size - 1) // count + 1)
        order = np.concatenate([self._order(epoch, count) for epoch in epochs])
        begin = first - epochs[0] * count
        index = order[begin : begin + self._batch_size][self._rows]
        self.position += 1
        return {"source": self._codes.values[index], "index": index.astype(np.int32)}

    def _order(self, epoch: int, count: int) -> np.ndarray:
        key = (self._seed % 2**64) << 64 | epoch
        return np.random.Generator(np.random.Philox(key=key)).permutation(count)

    def close(self) -> None:
        """Nothing is open."""


class PairBatches:
    """Every code once as `source`, with another one as `target`: batches of this process as `loader.evaluation_batches`, f32[b, K,
    D] each, with `index` int32[b] and `valid` bool[b] (False: padding). The target is the code half a set further on.
    """

    def __init__(self, codes: Codes, batch_size: int, process: int = 0, processes: int = 1) -> None:
        self._codes, self._batch_size = codes, batch_size
        self._rows = slice(process * batch_size // processes, (process + 1) * batch_size // processes)
        self.unreadable: list[tuple[str, str]] = []  # which pictures may have

    def __iter__(self) -> Iterator[Arrays]:
        values, count = self._codes.values, len(self._codes.names)
        for first in range(0, count, self._batch_size):
            number = np.arange(first, first + self._batch_size)[self._rows]
            index = number % count
            pairs = {"source": values[index], "target": values[(index + max(count // 2, 1)) % count]}
            yield pairs | {"index": index.astype(np.int32), "valid": number < count}

    def close(self) -> None:
        """Nothing is open."""
