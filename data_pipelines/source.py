"""Where pictures are read from: folders, folders of pairs, and prepared TFDS data sets (ArrayRecord); random access."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines import manifest
from data_pipelines.folder import ImageError, Photo, decode, open_picture, read_photo
from data_pipelines.image_folder import has_pairs, list_pairs
from data_pipelines.layout import Encoded, photos_in
from data_pipelines.transforms import as_stored

TFDS_FILE = "dataset_info.json"


class Source(Protocol):
    """The pictures of one split. paired: whether source and target are different files."""

    paired: bool

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """File name of picture `index`."""
        ...

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """Width and height, and the mode in Pillow's terms, of (target) picture `index` as it is stored; little is read.

        Raises:
          ImageError: the picture cannot be read.
        """
        ...

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """Source and target of picture `index`, upright. The target is RGB; a source of its own keeps the mode of its
        file, and otherwise is the target.

        Raises:
          ImageError: the picture cannot be read.
        """
        ...


class FolderSource:
    """Photos that are both source and target."""

    paired = False

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    def name(self, index: int) -> str:
        """See `Source`."""
        return self._photos[index].name

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """See `Source`."""
        return _head(self._photos[index].path, str(self._photos[index].path))

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `Source`."""
        picture = read_photo(self._photos[index].path)
        return picture, picture


class PairedSource:
    """Pairs of files, see `image_folder.list_pairs`."""

    paired = True

    def __init__(self, pairs: Sequence[tuple[Photo, Photo]]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def name(self, index: int) -> str:
        """See `Source`."""
        return self._pairs[index][1].name

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """See `Source`."""
        target = self._pairs[index][1]
        return _head(target.path, str(target.path))

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `Source`."""
        source, target = self._pairs[index]
        return decode(source.path, str(source.path), as_stored), read_photo(target.path)


class PreparedSource:
    """One split of a data set made by `prepare`. Only the table of contents is read before the first picture.

    Raises:
      ImageError: the split or a file is missing or damaged, or the number of records is not the recorded one.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        description = manifest.read_manifest(folder)
        if split not in description.splits:
            held = " and ".join(description.splits)
            raise ImageError(
                f"{folder}: this data set has no {split} split, only {held}. Name another one for {split}ing."
            )
        self.paired = description.paired
        try:
            builder = tfds.builder_from_directory(folder)
            shards = builder.info.splits[split]
            broken = [
                path.name
                for path, length in zip(shards.filepaths, shards.shard_lengths, strict=True)
                if ArrayRecordReader(str(path)).num_records() != length  # 0 where it cannot be opened
            ]
            # Undecoded, because the decoder of TFDS copies every file several times.
            self._records = builder.as_data_source(
                split=split,  # pyright: ignore[reportCallIssue]
                deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
            )
            found = len(self._records)
        except Exception as error:  # of any kind: the files may be missing or damaged in many ways
            raise ImageError(
                f"{folder}: the {split} split cannot be opened ({error}). Prepare the data set again."
            ) from error
        if broken:
            raise ImageError(
                f"{folder}: {len(broken)} of {len(shards.filepaths)} files of the {split} split are missing or cut short, such as "
                f"{broken[0]}. Copy or prepare the data set again."
            )
        expected = description.splits[split].pictures
        if found != expected:
            raise ImageError(
                f"{folder}: the {split} split has {found} records, but {manifest.FILE} says {expected}. The data set was "
                "changed or copied incompletely; prepare or copy it again."
            )

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> tuple[str, Encoded]:
        """Name and undecoded files of a record.

        Raises:
          ImageError: the record is damaged.
        """
        try:
            example = tf_example_pb2.Example.FromString(self._records[index])  # pyright: ignore[reportAttributeAccessIssue]
            values = {key: feature.bytes_list.value[0] for key, feature in example.features.feature.items()}
            name = values.pop("name").decode()
            for role in ("image", "source") if self.paired else ("image",):
                if role not in values:
                    raise ValueError(f"it has no {role}")
            return name, values
        except Exception as error:  # of any kind: ArrayRecord, protocol buffers and missing keys all differ
            raise ImageError(
                f"{self._folder}: record {index} of {self._split} is damaged ({error}). Prepare the data set again."
            ) from error

    def name(self, index: int) -> str:
        """See `Source`."""
        try:
            return self.read(index)[0]
        except ImageError:
            return f"record {index} of {self._split}"

    def head(self, index: int) -> tuple[tuple[int, int], str]:
        """See `Source`."""
        name, encoded = self.read(index)
        return _head(BytesIO(encoded["image"]), f"{self._folder}: {name}")

    def factors(self, index: int) -> dict[str, float]:
        """What is known about a picture, by name: numbers; discrete ones as integers.

        Raises:
          ImageError: the record is damaged, or the data set was not prepared with factors.
        """
        name, encoded = self.read(index)
        if "factors" not in encoded:
            raise ImageError(f"{self._folder}: {name} has no factors. Only drawn data sets (avatars) have them.")
        return json.loads(encoded["factors"])

    def open(self, index: int) -> tuple[Image.Image, Image.Image]:
        """See `Source`."""
        name, encoded = self.read(index)
        label = f"{self._folder}: {name}"
        target = decode(BytesIO(encoded["image"]), label)
        return decode(BytesIO(encoded["source"]), f"{label} (source)", as_stored) if self.paired else target, target


def _head(file: Path | BytesIO, label: str) -> tuple[tuple[int, int], str]:
    with open_picture(file, label) as image:
        return image.size, image.mode


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds a data set made by `prepare` (or what is left of one)."""
    return (folder / TFDS_FILE).exists() or (folder / manifest.FILE).exists()


def stored_splits(folder: Path) -> list[str]:
    """The splits of a prepared data set by the table of contents beside its files. Raises ImageError if it cannot be read."""
    try:
        return list(tfds.builder_from_directory(folder).info.splits)
    except Exception as error:  # of any kind, as when a split is opened
        raise ImageError(f"{folder / TFDS_FILE}: cannot be read ({error}). Prepare the data set again.") from error


def picture_folder(path: Path, split: str) -> Path:
    """Where the pictures of a split are in a folder that is not prepared: inside its folder of that name, or everywhere."""
    return path / split if (path / split).is_dir() else path


def open_split(path: Path, split: Literal["train", "test"], *, test_path: Path | None = None) -> Source:
    """The pictures of a split.

    `path` is a data set made by `prepare`, or a folder with `train/` and `test/` inside, or a plain folder, which is all
    training pictures. `test_path` is of the same kinds and is where the test split comes from instead; a plain folder (without
    `train/` inside) is all test pictures then. A split with `source/` and `target/` inside consists of pairs.

    Raises:
      ImageError: nothing there, no such split, pairs without partners, a prepared data set that is damaged.
    """
    folder = test_path if split == "test" and test_path is not None else path
    if not folder.is_dir():
        raise ImageError(f"{folder}: there is no such folder. Check the path of the {split}ing pictures.")
    if is_prepared(folder):
        return PreparedSource(folder, split)
    if (chosen := picture_folder(folder, split)) != folder:
        folder = chosen
    elif split == "test" and test_path is None:
        raise ImageError(
            f"{folder}: no test pictures. Put them into {folder / 'test'}, give another folder with --test-data, or let "
            "`restyle data prepare folder` choose a test split."
        )
    elif split == "test" and (folder / "train").is_dir():
        raise ImageError(
            f"{folder}: has train/ but no test/. Put the test pictures into {folder / 'test'}, or name {folder / 'train'} itself "
            "if those are meant."
        )
    elif split == "train" and (folder / "test").is_dir():
        raise ImageError(f"{folder}: has test/ but no train/. Put the training pictures into {folder / 'train'}.")
    return PairedSource(list_pairs(folder)) if has_pairs(folder) else FolderSource(photos_in(folder))
