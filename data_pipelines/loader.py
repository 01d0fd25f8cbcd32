"""Batches for training and evaluation, in an order that depends on the seed and the number of samples only.

Training is one endless sequence of samples: the pictures in a new random order in every epoch. Batch i consists of the
samples i B to (i + 1) B - 1, and process p of P takes rows p B/P to (p + 1) B/P - 1 of it. The position of an iterator is
therefore one number, and a run continues with the same pictures, in the same rows, on another number of processes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import grain
import numpy as np

from data_pipelines.folder import ImageError
from data_pipelines.preparation import NEEDS_PAIRS, Preparation
from data_pipelines.source import Source

Arrays = dict[str, np.ndarray]
Unreadable = tuple[str, str]
"""Name of a picture, and why it cannot be read."""


class _Sample(NamedTuple):
    source: np.ndarray
    target: np.ndarray
    index: int
    valid: bool
    unreadable: tuple[Unreadable, ...]


class _Batch(NamedTuple):
    arrays: Arrays
    unreadable: dict[str, str]


class _Batches:
    """Iterates over a data set whose elements are whole batches: if a thread read single pictures, the training loop would spend
    its time taking them over one by one, while its accelerator waits."""

    def __init__(self, dataset: grain.MapDataset, workers: int, start: int) -> None:
        self.position = start
        self._unreadable: dict[str, str] = {}
        options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=max(workers, 2))
        self._batches = iter(dataset.to_iter_dataset(options))

    @property
    def unreadable(self) -> list[Unreadable]:
        """Names of the pictures that were skipped so far, each once, with the reasons."""
        return list(self._unreadable.items())

    def _next(self) -> Arrays:
        batch: _Batch = next(self._batches)
        self._unreadable.update(batch.unreadable)
        return batch.arrays

    def close(self) -> None:
        """Stop the reading threads."""
        self._batches.close()


class TrainingBatches(_Batches):
    """Endless iterator, see `training_batches`. position: batches consumed, counted from the start of training."""

    def __init__(self, dataset: grain.MapDataset, workers: int, start: int, max_unreadable: int) -> None:
        super().__init__(dataset, workers, start)
        self._max_unreadable = max_unreadable

    def __iter__(self) -> Iterator[Arrays]:
        return self

    def __next__(self) -> Arrays:
        arrays = self._next()
        if len(self._unreadable) > self._max_unreadable:
            raise _too_many(self.unreadable, self._max_unreadable)
        self.position += 1
        return arrays


class EvaluationBatches(_Batches):
    """Finite iterator, see `evaluation_batches`. position: batches consumed."""

    def __iter__(self) -> Iterator[Arrays]:
        return self

    def __next__(self) -> Arrays:
        arrays = self._next()
        self.position += 1
        return arrays


def training_batches(
    source: Source,
    preparation: Preparation,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    process: int = 0,
    processes: int = 1,
    workers: int = 2,
    max_unreadable: int = 100,
) -> TrainingBatches:
    """Endless batches of this process: `source` f32[b, h, w, c], `target` f32[b, h, w, 3] (see `Preparation`), and `index`
    int32[b], the pictures' numbers in `source`; b = batch_size / processes. Source and target may be the same array.

    batch_size: over all processes. start: batches already consumed. workers: threads, each of which reads and decodes a batch
    ahead; 0 reads when asked. Random choices are keyed by the seed and the number of the sample since the start of training.

    A picture that cannot be read is replaced by the next one in the data set that can, and named in `unreadable`.

    Raises:
      ValueError: the batch cannot be split evenly.
      ImageError: no pictures; the task needs pairs; from `next`: more than `max_unreadable` different pictures of this
        process could not be read, or a label image has unknown labels.
    """
    rows = _rows(batch_size, process, processes)
    _check_source(source, preparation)
    order = grain.MapDataset.range(len(source)).seed(seed % 2**32).shuffle().repeat()

    def sample(number: int) -> _Sample:
        first, unreadable = order[number], []
        assert first is not None
        for index in range(first, first + len(source)):
            result = _read(source, preparation, index % len(source), _random(seed, number), training=True)
            if isinstance(result, _Sample):
                return result._replace(unreadable=tuple(unreadable))
            unreadable.append(result)
            if len(unreadable) > max_unreadable:
                raise _too_many(unreadable, max_unreadable)
        raise ImageError(
            f"none of the {len(source)} training pictures can be read. `restyle data check` lists all of them. The first "
            f"ones:\n{_reasons(unreadable)}"
        )

    def batch(position: int, _: int) -> _Batch:
        first = (start + position) * batch_size + process * rows
        return _stack([sample(first + row) for row in range(rows)])

    batches = grain.MapDataset.range(1).repeat().map_with_index(batch)
    return TrainingBatches(batches, workers, start, max_unreadable)


def evaluation_batches(
    source: Source, preparation: Preparation, *, batch_size: int, process: int = 0, processes: int = 1, workers: int = 2
) -> EvaluationBatches:
    """The whole data set once, in order, not augmented: as `training_batches`, and `valid` bool[b].

    Rows that are not valid are zeros: they fill up the last batch, or stand for pictures that cannot be read, which are then
    named in `unreadable`. Every process gets the same number of batches. Random factors (super-resolution) are the same
    in every evaluation.

    Raises:
      ValueError, ImageError: as `training_batches`, but any number of pictures may be unreadable.
    """
    rows = _rows(batch_size, process, processes)
    _check_source(source, preparation)
    size = (preparation.height, preparation.width)
    padding = _Sample(
        np.zeros((*size, preparation.channels), np.float32), np.zeros((*size, 3), np.float32), 0, False, ()
    )

    def sample(number: int) -> _Sample:
        if number >= len(source):
            return padding
        result = _read(source, preparation, number, _random(0, number), training=False)
        return result if isinstance(result, _Sample) else padding._replace(index=number, unreadable=(result,))

    def batch(position: int) -> _Batch:
        first = position * batch_size + process * rows
        samples = [sample(first + row) for row in range(rows)]
        arrays, unreadable = _stack(samples)
        return _Batch({**arrays, "valid": np.array([sample.valid for sample in samples])}, unreadable)

    batches = -(-len(source) // batch_size)
    return EvaluationBatches(grain.MapDataset.range(batches).map(batch), workers, 0)


def _rows(batch_size: int, process: int, processes: int) -> int:
    if batch_size < 1 or batch_size % processes or not 0 <= process < processes:
        raise ValueError(
            f"a batch of {batch_size} cannot be split evenly over {processes} processes (this is {process})"
        )
    return batch_size // processes


def _check_source(source: Source, preparation: Preparation) -> None:
    if not len(source):
        raise ImageError("the data set has no pictures")
    if preparation.task in NEEDS_PAIRS and not source.paired:
        raise ImageError(
            f"the task {preparation.task} needs pairs of pictures: put them into source/ and target/ inside train/ and test/, "
            "with equal file names."
        )


def _random(seed: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=(seed % 2**64) << 64 | number))


def _read(
    source: Source, preparation: Preparation, index: int, random: np.random.Generator, *, training: bool
) -> _Sample | Unreadable:
    try:
        pictures = source.open(index)
    except ImageError as error:
        return source.name(index), str(error)
    try:
        return _Sample(*preparation.arrays(*pictures, random, training=training), index, True, ())
    except ValueError as error:
        return source.name(index), f"{source.name(index)} (source): cannot be converted ({error})."
    except ImageError as error:  # a wrong label is a mistake in the data set, not a damaged file
        raise ImageError(f"{source.name(index)}: {error}") from error


def _too_many(unreadable: list[Unreadable], limit: int) -> ImageError:
    return ImageError(
        f"{len(unreadable)} pictures could not be read, and max_unreadable is {limit}. `restyle data check` lists all of "
        "them. To continue this run, repair them under their names, or allow more; without them it would be another run. The "
        f"first ones:\n{_reasons(unreadable)}"
    )


def _reasons(unreadable: list[Unreadable]) -> str:
    return "\n".join(reason for _, reason in unreadable[:5])


def _stack(samples: list[_Sample]) -> _Batch:
    target = np.stack([sample.target for sample in samples])
    same = all(sample.source is sample.target for sample in samples)
    arrays = {
        "source": target if same else np.stack([sample.source for sample in samples]),
        "target": target,
        "index": np.array([sample.index for sample in samples], np.int32),
    }
    return _Batch(arrays, dict(entry for sample in samples for entry in sample.unreadable))
