"""From a download to a TFDS data set of ArrayRecord files that training reads at random, with checksums beside it.

The files of the pictures are stored unchanged. Records are written one after the other (`tfds.core.SequentialWriter`):
TFDS's shuffling writer needs tensorflow and twice the space beyond 1 GB, and training shuffles anyway.
"""

import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_info import DatasetIdentity
from tqdm import tqdm

from data_pipelines import afhq, celeba_hq, ffhq, image_folder, lsun, stanford_cars
from data_pipelines.folder import ImageError, decode, read_ahead
from data_pipelines.layout import Encoded, Layout, Split
from data_pipelines.manifest import Checksum, LeftOut, Manifest, SplitRecord
from data_pipelines.source import PreparedSource, is_prepared
from data_pipelines.transforms import to_rgb

DATA_SETS: dict[str, tuple[Callable[[Path], Layout], str]] = {
    "ffhq": (ffhq.layout, ffhq.EXPECTED),
    "celeba_hq": (celeba_hq.layout, celeba_hq.EXPECTED),
    "cars": (stanford_cars.layout, stanford_cars.EXPECTED),
    "lsun_church": (partial(lsun.layout, category="church_outdoor"), lsun.expected("church_outdoor")),
    "lsun_horse": (partial(lsun.layout, category="horse"), lsun.expected("horse")),
    "lsun_bedroom": (partial(lsun.layout, category="bedroom"), lsun.expected("bedroom")),
    "afhq_wild": (afhq.layout, afhq.EXPECTED),
    "folder": (image_folder.layout, image_folder.EXPECTED),
}
"""By the name of the data set: how its download is read, and what must be in it, in words."""

VERSION = "1.0.0"
PICTURES_PER_FILE = 16_384
# More damaged pictures than this, and than one in a hundred, mean that the download is broken.
TOLERATED_DAMAGED = 10


def prepare(name: str, source_dir: Path, target_dir: Path, *, workers: int = 2, progress: bool = True) -> Manifest:
    """Make a data set from a download, see `write_data_set`.

    name: one of DATA_SETS.

    Raises:
      ImageError: the source is not laid out as DATA_SETS says, and what `write_data_set` raises.
    """
    if name not in DATA_SETS:
        raise ImageError(f"{name}: there is no such data set. Known: {', '.join(DATA_SETS)}.")
    return write_data_set(name, partial(DATA_SETS[name][0], source_dir), target_dir, workers=workers, progress=progress)


def write_data_set(
    name: str, find: Callable[[], Layout], target_dir: Path, *, workers: int = 2, progress: bool = True
) -> Manifest:
    """Write the pictures that `find` returns; `tfds.builder_from_directory(target_dir)` and `open_split` read them.

    Every picture is decoded once. Damaged ones are left out and named in the result, in the order of the files; the names
    and files of all others are stored unchanged, and read again at the end to verify the checksums. The data set appears
    under its name only when it is complete: until then it grows in a hidden folder beside it, which the next run removes
    if this one is killed.

    workers: threads that read and decode. progress: whether to show a progress bar in a terminal.

    Raises:
      ImageError: too many pictures are damaged (more than 10 and than one percent of a split), or all of them; the target is
        not empty, a mount point or the current folder; it cannot be written, for example because the disk is full.
    """
    target_dir = target_dir.resolve()
    if target_dir.exists() and (not target_dir.is_dir() or any(target_dir.iterdir())):
        state = "already holds a prepared data set" if is_prepared(target_dir) else "exists and is not an empty folder"
        raise ImageError(f"{target_dir}: {state}. Remove it first, or choose another place.")
    if target_dir.exists() and (os.path.ismount(target_dir) or os.path.samefile(target_dir, os.curdir)):
        raise ImageError(
            f"{target_dir}: is a mount point or the current folder, which a finished data set cannot replace. Name a folder inside."
        )
    layout = find()
    with _complete_or_nothing(target_dir) as folder:
        left_out: list[LeftOut] = []
        records = _write(name, layout, folder, left_out, workers, progress)
        result = Manifest(name, layout.square, layout.paired, records, left_out, layout.notes)
        result.write(folder)
        for split, record in records.items():
            if checksum(PreparedSource(folder, split), f"verify {split}", progress) != record:
                raise ImageError(
                    f"{target_dir}: what was written differs from what is read back. The disk may be failing."
                )
    return result


def checksum(source: PreparedSource, label: str, progress: bool) -> SplitRecord:
    """Read all records of a split and hash them.

    Raises:
      ImageError: a record is damaged.
    """
    found = Checksum()
    for index in tqdm(range(len(source)), label, unit=" pictures", disable=None if progress else True):
        found.add(*source.read(index))
    return found.record()


@contextmanager
def _complete_or_nothing(target: Path) -> Iterator[Path]:
    """A new folder beside the target that becomes the target if all goes well, and vanishes otherwise."""
    folder = lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.unfinished-", dir=target.parent))
        folder.chmod(0o755)
        lock = _lock(folder)
        for earlier in target.parent.glob(f".{glob.escape(target.name)}.unfinished-*"):
            if earlier.name != folder.name and (its_lock := _lock(earlier)) is not None:
                shutil.rmtree(earlier, ignore_errors=True)  # of a run that was killed: a living one would hold the lock
                os.close(its_lock)
        yield folder
        os.rename(folder, target)
    except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError for what the system refuses
        reason = getattr(error, "strerror", None) or str(error).split(";")[0]
        raise ImageError(
            f"{target}: cannot be written ({reason}). Nothing was left behind. If the disk is full, note that the data set "
            "takes as much space as the files it is made from."
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A file descriptor that holds the lock of a folder, or None if another process does (or the disk knows no locks)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _write(
    name: str, layout: Layout, folder: Path, left_out: list[LeftOut], workers: int, progress: bool
) -> dict[str, SplitRecord]:
    features: dict[str, tfds.features.FeatureConnector] = {"image": tfds.features.Image(), "name": tfds.features.Text()}
    if layout.paired:
        features["source"] = tfds.features.Image(shape=(None, None, None))
    if layout.factors:
        features["factors"] = tfds.features.Text()
    identity = DatasetIdentity(
        name=name, version=tfds.core.Version(VERSION), data_dir=str(folder), module_name=__name__
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=f"{name}: written by `restyle data prepare`",
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )
    writer = tfds.core.SequentialWriter(info, PICTURES_PER_FILE, file_format="array_record")
    writer.initialize_splits(list(layout.splits))
    records = {}
    for split, pictures in layout.splits.items():
        found = Checksum()
        for group in _groups(_readable(split, pictures, left_out, workers, progress)):
            needed = sum(len(part) for _, encoded in group for part in encoded.values())
            # ArrayRecord reports a full disk only when it closes a file, many gigabytes later.
            if shutil.disk_usage(folder).free < needed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for picture, encoded in group:
                found.add(picture, encoded)
            writer.add_examples({split: [{"name": picture, **encoded} for picture, encoded in group]})
        writer.close_splits([split])
        records[split] = found.record()
    return records


def _groups(pictures: Iterator[tuple[str, Encoded]], size: int = 32) -> Iterator[list[tuple[str, Encoded]]]:
    while group := list(islice(pictures, size)):
        yield group


def _readable(
    split: str, pictures: Split, left_out: list[LeftOut], workers: int, progress: bool
) -> Iterator[tuple[str, Encoded]]:
    damaged = 0
    checked = read_ahead(_check, pictures.pictures, workers=workers, ahead=4 * workers)
    for name, result in tqdm(
        checked, f"prepare {split}", pictures.count, unit=" pictures", disable=None if progress else True
    ):
        if isinstance(result, ImageError):
            damaged += 1
            left_out.append(LeftOut(split, name, str(result)))
            if damaged > max(TOLERATED_DAMAGED, pictures.count / 100):
                some = "\n".join(item.reason for item in left_out[-5:])
                raise ImageError(
                    f"{split}: {damaged} pictures are damaged, so the download is probably incomplete:\n{some}"
                )
        else:
            yield name, result
    if damaged == pictures.count:
        raise ImageError(f"{split}: all {damaged} pictures are damaged, for example {left_out[-1].reason}")


def _check(picture: tuple[str, Callable[[], Encoded]]) -> tuple[str, Encoded | ImageError]:
    name, read = picture
    try:
        encoded = read()
        decode(BytesIO(encoded["image"]), name, to_rgb)
        if "source" in encoded:
            decode(BytesIO(encoded["source"]), f"{name} (source)", to_rgb)
    except OSError as error:
        return name, ImageError(f"{name}: cannot be read ({error.strerror or error}).")
    except ImageError as error:
        return name, error
    return name, encoded
