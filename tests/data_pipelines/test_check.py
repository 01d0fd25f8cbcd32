"""Unreadable, odd-sized, duplicate and changed pictures are found, in folders and in prepared data sets."""

import json
from pathlib import Path

import pytest
from PIL import Image

from data_pipelines.check import check
from data_pipelines.folder import ImageError
from data_pipelines.prepare import prepare
from tests.data_pipelines import made_up


def test_a_fine_folder(tmp_path: Path) -> None:
    made_up.folder(tmp_path, 4)
    report = check(tmp_path)
    assert report.fine and report.pictures == {"train": 4} and report.usual_size == (8, 8)
    assert report.text().endswith("all fine")


def test_everything_that_can_be_wrong_with_pictures(tmp_path: Path) -> None:
    train = made_up.folder(tmp_path / "train", 6)
    made_up.folder(tmp_path / "test", 2, first=20)
    (train / "001.png").write_text("damaged")
    made_up.save(train / "wide.png", 50, (9, 8))
    Image.fromarray(made_up.pixels(3)).save(tmp_path / "test" / "again.bmp")  # other bytes, the same pixels
    report = check(tmp_path)
    assert not report.fine
    assert [name for name, _ in report.unreadable] == ["train/001.png"]
    assert report.odd_sized == [("train/wide.png", (9, 8))]
    assert report.duplicates == [["train/003.png", "test/again.bmp"]]
    text = report.text()
    for line in (
        "unreadable: train/001.png: ",
        "odd size: train/wide.png: 9 x 8",
        "duplicates: train/003.png, test/again.bmp",
        "found: 1 unreadable, 1 of odd size, 1 groups of duplicates, 0 changed splits",
    ):
        assert line in text


def test_pictures_beside_the_splits_are_looked_at_too(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    made_up.folder(tmp_path / "in" / "val", 2, first=9)
    made_up.save(tmp_path / "in" / "loose.png", 1)
    (tmp_path / "in" / "val" / "001.png").write_text("damaged")
    report = check(tmp_path / "in")
    assert report.pictures == {"train": 3, "elsewhere": 3}
    assert [name for name, _ in report.unreadable] == ["elsewhere/val/001.png"]
    assert report.duplicates == [["train/001.png", "elsewhere/loose.png"]]
    made_up.pairs(tmp_path / "pairs" / "train", 2)
    made_up.save(tmp_path / "pairs" / "train" / "loose.png", 7)
    assert check(tmp_path / "pairs").pictures == {"train": 2, "elsewhere": 1}
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "train").symlink_to(tmp_path / "in" / "train")
    assert check(tmp_path / "links").pictures == {"train": 3}


def test_a_source_picture_that_no_task_can_use(tmp_path: Path) -> None:
    made_up.pairs(tmp_path / "in" / "train", 3)
    made_up.save_unusable(tmp_path / "in" / "train" / "source" / "001.png")
    for found in (check(tmp_path / "in").unreadable, prepare("folder", tmp_path / "in", tmp_path / "data").left_out):
        assert len(found) == 1 and "001" in str(found) and "(source)" in str(found)
        assert "grey values from 0 to 300, expected 0 to 255" in str(found)
    assert check(tmp_path / "data").fine


def test_varied_sizes_are_not_odd(tmp_path: Path) -> None:
    for i in range(4):
        made_up.save(tmp_path / f"{i}.png", i, (8 + i, 8))
    report = check(tmp_path)
    assert report.fine and report.usual_size is None and "varied sizes" in report.text()


def test_prepared_data_set(tmp_path: Path) -> None:
    made_up.ffhq(tmp_path / "download")
    made_up.save(tmp_path / "download" / "images1024x1024" / "9.png", 9, (8, 6))
    prepare("ffhq", tmp_path / "download", tmp_path / "data")
    assert check(tmp_path / "data").odd_sized == [("train/9.png", (8, 6))]
    made_up.save(tmp_path / "download" / "images1024x1024" / "9.png", 9, (10, 8))
    made_up.save(tmp_path / "download" / "images1024x1024" / "8.png", 9, (9, 8))
    made_up.save(tmp_path / "download" / "images1024x1024" / "7.png", 9, (11, 8))
    prepare("ffhq", tmp_path / "download", tmp_path / "without-usual-size")
    report = check(tmp_path / "without-usual-size")
    assert report.usual_size is None and len(report.odd_sized) == 3, "pictures of FFHQ are square"


def test_changed_data_set(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    prepare("folder", tmp_path / "in", tmp_path / "data")
    assert check(tmp_path / "data").fine
    record = json.loads((tmp_path / "data" / "checksums.json").read_text())
    record["splits"]["train"]["sha256"] = "0" * 64
    (tmp_path / "data" / "checksums.json").write_text(json.dumps(record))
    report = check(tmp_path / "data")
    assert not report.fine and "changed: train: names or files are not those" in report.text()


def test_a_split_that_the_record_does_not_name(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 2)
    made_up.folder(tmp_path / "in" / "test", 2, first=5)
    prepare("folder", tmp_path / "in", tmp_path / "data")
    record = json.loads((tmp_path / "data" / "checksums.json").read_text())
    del record["splits"]["test"]
    (tmp_path / "data" / "checksums.json").write_text(json.dumps(record))
    assert check(tmp_path / "data").changed == ["test: is not in checksums.json"]


def test_damaged_record(tmp_path: Path) -> None:
    for i in range(3):
        made_up.save(tmp_path / "in" / "train" / f"{i}.png", i, (128, 128))
    prepare("folder", tmp_path / "in", tmp_path / "data")
    (shard,) = (tmp_path / "data").glob("*.array_record*")
    content = bytearray(shard.read_bytes())
    middle = content.index(made_up.encoded(1, (128, 128))[1000:1100])
    content[middle : middle + 8] = b"\xff" * 8
    shard.write_bytes(content)
    report = check(tmp_path / "data")
    assert [name for name, _ in report.unreadable] == ["train/record 1 of train"]
    assert len(report.changed) == 1 and "record 1" in report.changed[0]


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no photos found"):
        check(tmp_path)
    with pytest.raises(ImageError, match="no such folder"):
        check(tmp_path / "nowhere")
