"""The pictures that a generator is compared with."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_pipelines.folder import ImageError, read_ahead
from data_pipelines.source import Source


def real_pictures(
    source: Source, indices: Sequence[int], *, size: int, batch_size: int, unreadable: dict[str, str]
) -> Iterator[np.ndarray]:
    """Batches u8[b, size, size, 3] of the pictures with these numbers, in order, b <= batch_size.

    Those that cannot be read are left out; `unreadable` receives them, by name with the reason. Raises ImageError if one has
    another size.
    """

    def read(index: int) -> np.ndarray | ImageError:
        try:
            return np.asarray(source.open(index)[1])
        except ImageError as error:
            return error

    group: list[np.ndarray] = []
    for index, found in zip(indices, read_ahead(read, indices, ahead=2 * batch_size), strict=True):
        if isinstance(found, ImageError):
            unreadable[source.name(index)] = str(found)
            continue
        if found.shape != (size, size, 3):
            raise ImageError(
                f"{source.name(index)}: found {found.shape[1]} x {found.shape[0]} pixels, expected {size} x {size} as the pictures "
                "that the generator makes. Remove it if it is none of the pictures; or resize them first, with the filter that was "
                "used for training: it changes the numbers."
            )
        group.append(found)
        if len(group) == batch_size:
            yield np.stack(group)
            group = []
    if group:
        yield np.stack(group)
