"""Small made-up downloads of every data set, with real files."""

from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image


def pixels(seed: int, size: tuple[int, int] = (8, 8), channels: int = 3) -> np.ndarray:
    """uint8[h, w, channels], or [h, w] for one channel; different for every seed. size: width and height."""
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(seed: int, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(pixels(seed, size)).save(file, kind)
    return file.getvalue()


def save(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed, size, "JPEG" if path.suffix == ".jpg" else "PNG"))
    return path


def folder(path: Path, count: int, size: tuple[int, int] = (8, 8), first: int = 0) -> Path:
    """`count` pictures 000.png, 001.png, ... with seeds from `first`."""
    for i in range(count):
        save(path / f"{i:03}.png", first + i, size)
    return path


def pairs(path: Path, count: int, labels: int = 3) -> Path:
    """`source/` with label images and `target/` with pictures."""
    for i in range(count):
        save(path / "target" / f"{i:03}.jpg", i)
        (path / "source").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i, channels=1) % labels).save(path / "source" / f"{i:03}.png")
    return path


def save_unusable(path: Path) -> None:
    """A grey picture in place of a .png, whose numbers do not say what white is."""
    path.unlink()
    Image.fromarray(np.linspace(0, 300, 64, dtype=np.float32).reshape(8, 8)).save(path.with_suffix(".tif"))


def write_lmdb(path: Path, contents: dict[str, bytes]) -> Path:
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, value in contents.items():
            transaction.put(key.encode(), value)
    return path


def ffhq(path: Path) -> None:
    for number in (0, 1, 1000):
        save(path / "images1024x1024" / f"{number // 1000 * 1000:05}" / f"{number:05}.png", number)


def celeba_hq(path: Path) -> None:
    """Pictures 0 to 5; CelebA's photo 10 + i belongs to split i modulo 3."""
    heading = "idx          orig_idx     orig_file\n"
    rows = [f"{i:<12} {9 + i:<12} {10 + i:06}.jpg\n" for i in range(6)]
    path.mkdir()
    (path / "CelebA-HQ-to-CelebA-mapping.txt").write_text(heading + "".join(rows))
    (path / "list_eval_partition.txt").write_text("".join(f"{10 + i:06}.jpg {i % 3}\n" for i in range(6)))
    for i in range(6):
        save(path / "CelebA-HQ-img" / f"{i}.jpg", i)


def cars(path: Path) -> None:
    for i in range(3):
        save(path / "cars_train" / f"{i + 1:05}.jpg", i, (9 + i, 7))
    save(path / "cars_test" / "00001.jpg", 9, (12, 8))


def lsun_church(path: Path) -> None:
    write_lmdb(path / "church_outdoor_train_lmdb", {f"{i:040x}": encoded(i, (9, 8), "WEBP") for i in range(4)})
    write_lmdb(path / "church_outdoor_val_lmdb", {f"{i:040x}": encoded(i, (9, 8), "WEBP") for i in (7, 8)})


def lsun_bedroom(path: Path) -> None:
    write_lmdb(path / "bedroom_train_lmdb", {f"{i:040x}": encoded(i, kind="JPEG") for i in range(3)})
    write_lmdb(path / "bedroom_val_lmdb", {f"{i:040x}": encoded(i, kind="JPEG") for i in range(3, 5)})


def lsun_horse(path: Path) -> None:
    """The hashes of horse6857 and horse7521 are below 1 / 2000."""
    write_lmdb(path / "horse", {f"horse{i}": encoded(i) for i in (1, 2, 6857, 6858, 7521)})


def afhq_wild(path: Path) -> None:
    folder(path / "train" / "wild", 3)
    folder(path / "train" / "cat", 1)
    folder(path / "val" / "wild", 2, first=5)
