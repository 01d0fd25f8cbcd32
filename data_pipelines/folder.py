"""Photos from files and folders: listing, safe decoding, and batches that are read ahead of the device."""

import functools
import os
import stat
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from data_pipelines.transforms import to_model_input, to_rgb, upright

IMAGE_EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

# From a picture file, and what errors call it, to what an encoder sees of it: f32[H, W, C]. Raises ImageError.
Reader = Callable[[BinaryIO, str], np.ndarray]

In = TypeVar("In")
Out = TypeVar("Out")

# Above this many pixels pictures are decoded one at a time, so that the reading threads together stay within about 2 GB.
LARGE_PICTURE_PIXELS = 32_000_000
_one_large_picture = threading.Lock()


class ImageError(Exception):
    """A photo, or a place that should hold photos, cannot be read. The message names it and says what to do."""


@dataclass(frozen=True)
class Photo:
    """A picture file: where it is, and the name (with extension, "/" between folders) that results are filed under."""

    name: str
    path: Path


class Content(NamedTuple):
    """What identifies a file's bytes: their number, when they were last changed (ns), and their CRC-32."""

    size: int
    modified: int
    checksum: int


class Loaded(NamedTuple):
    """A photo as its reader sees it, f32[H, W, C], and the bytes that it was decoded from."""

    pixels: np.ndarray
    content: Content


@dataclass(frozen=True)
class Batch:
    """`images` f32[batch_size, H, W, C]; row i belongs to `photos[i]`, which was decoded from `contents[i]`; rows beyond
    `len(photos)` are padding."""

    photos: list[Photo]
    contents: list[Content]
    images: np.ndarray


def list_photos(inputs: Sequence[Path], exclude: Path | None = None) -> list[Photo]:
    """All photos in files and folders, sorted by name (code-point order, as the official code sorts).

    Folders are searched recursively for IMAGE_EXTENSIONS in upper or lower case, without following links to folders;
    hidden files and folders (".name") and the folder `exclude` are left out. A file given by itself is taken whatever its
    extension. A file that is reached twice counts once.

    A photo is named by its path relative to the folder that was given, a single file by its file name. Where two photos
    of several inputs would get the same name, all are named relative to the deepest folder that holds every input:
    `a/photos` and `b/photos` then give `a/photos/0.png` and `b/photos/0.png`.

    Raises:
      ImageError: an input does not exist, or no photo was found.
      OSError: a folder may not be listed.
    """
    found: dict[Path, str] = {}
    for source in inputs:
        if source.is_dir():
            for path in _walk(source, exclude):
                found.setdefault(_absolute(path), path.relative_to(source).as_posix())
        elif source.exists():
            found.setdefault(_absolute(source), source.name)
        else:
            raise ImageError(f"{source}: there is no such file or folder. Check the path after --input.")
    if not found:
        places = ", ".join(str(source) for source in inputs)
        raise ImageError(
            f"{places}: no photos found. Expected files ending in {' '.join(IMAGE_EXTENSIONS)} (searched recursively). What "
            "`restyle data prepare` made has none: as --input, give the folder that it was made from."
        )
    if len(set(found.values())) < len(found):
        root = os.path.commonpath(found)
        found = {path: path.relative_to(root).as_posix() for path in found}
    names: dict[str, Path] = {}
    for path, name in found.items():
        if other := names.get(printable := _printable(name)):
            raise ImageError(f"{path!r} and {other!r}: both are written {printable}. Rename one of them.")
        names[printable] = path
    return [Photo(name, path) for name, path in sorted(names.items())]


def _absolute(path: Path) -> Path:
    # Links are kept: two links to one picture are two photos.
    return Path(os.path.abspath(path))


def _raise(error: OSError) -> None:
    raise error


def _walk(folder: Path, exclude: Path | None) -> Iterator[Path]:
    excluded = exclude.resolve() if exclude else None
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [
            name for name in folders if not name.startswith(".") and (Path(root) / name).resolve() != excluded
        ]
        for name in files:
            if not name.startswith(".") and name.lower().endswith(IMAGE_EXTENSIONS):
                yield Path(root) / name


def _printable(name: str) -> str:
    # File names need not be valid UTF-8, but keys of an .npz and of JSON must be.
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_photo(path: Path) -> Image.Image:
    """Decode a picture file to an upright 8-bit RGB picture (see `to_rgb` for greys, transparency, CMYK).

    Raises:
      ImageError: the file cannot be opened, is a pipe or a device, is not a picture, is damaged or truncated, or has more pixels
        than Pillow's limit against decompression bombs (179 million).
    """
    return decode(path, str(path))


def photo_reader(height: int, width: int) -> Reader:
    """The reader of photos for an encoder of this size: f32[height, width, 3] in [-1, 1]."""
    return lambda file, name: to_model_input(decode(file, name), height, width)


def decode(file: Path | BinaryIO, name: str, convert: Callable[[Image.Image], Image.Image] = to_rgb) -> Image.Image:
    """Decode a picture and turn it upright; `convert` makes 8-bit RGB of it. `name` is what errors call it.

    Raises:
      ImageError: as `read_photo`.
    """
    with open_picture(file, name) as image:
        large = image.width * image.height > LARGE_PICTURE_PIXELS
        with _one_large_picture if large else nullcontext():
            return convert(upright(image))


@contextmanager
def open_picture(file: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    """A picture of which only the head is read. Raises ImageError as `read_photo`, also for what is done with it."""
    with (
        _explained(name),
        nullcontext(file) if not isinstance(file, Path) else open_file(file) as opened,
        Image.open(opened) as image,
    ):
        yield image


def read_bytes(path: Path) -> bytes:
    """The contents of a picture file. Raises OSError if it cannot be read, ImageError if it is a pipe or a device."""
    with open_file(path) as file:
        return file.read()


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. What would let a reader wait for ever, such as a named pipe, is not opened."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ImageError(f"{path}: a folder, pipe or device, expected a picture file. Leave it out.")
    return path.open("rb")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Raise whatever goes wrong with the picture `name` as ImageError."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not a picture, or of an unknown kind. Known: {' '.join(IMAGE_EXTENSIONS)}."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large to decode safely ({error}). Save a smaller copy first.") from error
    except Exception as error:
        # Pillow's decoders raise a dozen unrelated types on damaged files; none of them may stop the other photos.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"{name}: cannot be read ({reason}). The file may be damaged or incomplete.") from error


def file_checksum(path: Path) -> int:
    """CRC-32 of a file's bytes, read in pieces: tells whether a photo is still the one that was inverted.

    Raises OSError if it cannot be read, ImageError if it is a pipe or a device.
    """
    with open_file(path) as file:
        return _checksum(file)


def _checksum(file: BinaryIO) -> int:
    checksum = 0
    while piece := file.read(1 << 20):
        checksum = zlib.crc32(piece, checksum)
    return checksum


def _load(photo: Photo, read: Reader) -> Loaded | ImageError:
    """The pixels of a photo and what identifies the bytes that they are from, whatever happens to the file afterwards."""
    try:
        with _explained(str(photo.path)), open_file(photo.path) as file:
            before = os.fstat(file.fileno())
            pixels = read(file, str(photo.path))
            file.seek(0)  # not kept in memory meanwhile: some files are huge, and no pictures
            content = Content(before.st_size, before.st_mtime_ns, _checksum(file))
            after = os.fstat(file.fileno())
    except ImageError as error:
        return error
    if content[:2] != (after.st_size, after.st_mtime_ns):
        return ImageError(f"{photo.path}: was changed while it was read. Run the same command again.")
    return Loaded(pixels, content)


def load_photos(
    photos: Sequence[Photo], read: Reader, *, workers: int = 2, ahead: int = 16
) -> Iterator[tuple[Photo, Loaded | ImageError]]:
    """Yield every photo, in order, as `read` sees it, or with the reason why it cannot be read.

    `workers` threads decode up to `ahead` photos beyond the one that is yielded, whatever the number of photos.
    """
    load = functools.partial(_load, read=read)
    yield from zip(photos, read_ahead(load, photos, workers=workers, ahead=ahead), strict=True)


def read_ahead(
    function: Callable[[In], Out], items: Iterable[In], *, workers: int = 2, ahead: int = 16
) -> Iterator[Out]:
    """`map(function, items)` in `workers` threads, in order, at most `ahead` items beyond the one that is yielded."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read-photos")
    pending: deque[Future[Out]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def batches(
    photos: Sequence[Photo],
    read: Reader,
    batch_size: int,
    *,
    on_error: Callable[[Photo, ImageError], None],
    workers: int = 2,
) -> Iterator[Batch]:
    """Group readable photos into batches of one fixed shape; unreadable ones go to `on_error` and leave no gap.

    The last batch is filled up by repeating its last photo, because another shape would be compiled again.
    """
    group: list[tuple[Photo, Loaded]] = []

    def full_batch() -> Batch:
        loaded = [one for _, one in group]
        pixels = [one.pixels for one in loaded + loaded[-1:] * (batch_size - len(group))]
        return Batch([photo for photo, _ in group], [one.content for one in loaded], np.stack(pixels))

    for photo, result in load_photos(photos, read, workers=workers, ahead=2 * batch_size):
        if isinstance(result, ImageError):
            on_error(photo, result)
            continue
        group.append((photo, result))
        if len(group) == batch_size:
            yield full_batch()
            group = []
    if group:
        yield full_batch()
