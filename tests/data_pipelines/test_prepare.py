"""Made-up downloads of every kind become TFDS data sets with the same bytes in them; nothing half-written stays."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data_pipelines.folder import ImageError
from data_pipelines.image_folder import list_pairs
from data_pipelines.layout import in_test_share
from data_pipelines.manifest import read_manifest
from data_pipelines.prepare import DATA_SETS, prepare
from data_pipelines.source import open_split
from tests.data_pipelines import made_up

ROOT = Path(__file__).parents[2]


def contents(folder: Path, split: str) -> dict[str, bytes]:
    """Names and bytes, as TFDS itself reads them."""
    records = tfds.builder_from_directory(folder).as_data_source(
        split=split,  # pyright: ignore[reportCallIssue]
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return {record["name"].decode(): bytes(record["image"]) for record in records}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*g")}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("ffhq", {"train": 3}),
        ("celeba_hq", {"train": 2, "validation": 2, "test": 2}),
        ("cars", {"train": 3, "test": 1}),
        ("lsun_church", {"train": 4, "test": 2}),
        ("lsun_bedroom", {"train": 3, "test": 2}),
        ("afhq_wild", {"train": 3, "test": 2}),
    ],
)
def test_published_layouts(tmp_path: Path, name: str, sizes: dict[str, int]) -> None:
    getattr(made_up, name)(tmp_path / "download")
    result = prepare(name, tmp_path / "download", tmp_path / "data")
    assert {split: record.pictures for split, record in result.splits.items()} == sizes
    assert read_manifest(tmp_path / "data") == result
    assert any("published" in note for note in result.notes), "made-up downloads are incomplete"
    assert os.listdir(tmp_path / "data") and not [f for f in os.listdir(tmp_path) if f.startswith(".")]
    for split in sizes:
        found = contents(tmp_path / "data", split)
        assert len(found) == sizes[split]
        digest = hashlib.sha256()
        for key, value in found.items():
            for part in (key.encode(), value):
                digest.update(len(part).to_bytes(8, "little") + part)
        assert digest.hexdigest() == result.splits[split].sha256
        assert sum(map(len, found.values())) == result.splits[split].bytes
    if "train" in sizes and not name.startswith("lsun"):
        train = contents(tmp_path / "data", "train")
        assert set(train.values()) <= set(files(tmp_path / "download").values())


def test_every_data_set_says_what_it_expects() -> None:
    assert set(DATA_SETS) == {
        "ffhq", "celeba_hq", "cars", "lsun_church", "lsun_horse", "lsun_bedroom", "afhq_wild", "folder"
    }  # fmt: skip
    assert all("/" in expected for _, expected in DATA_SETS.values())


def test_celeba_hq_follows_the_partition_of_celeba(tmp_path: Path) -> None:
    made_up.celeba_hq(tmp_path / "download")
    prepare("celeba_hq", tmp_path / "download", tmp_path / "data")
    assert {s: sorted(contents(tmp_path / "data", s)) for s in ("train", "validation", "test")} == {
        "train": ["0.jpg", "3.jpg"],
        "validation": ["1.jpg", "4.jpg"],
        "test": ["2.jpg", "5.jpg"],
    }


def test_celeba_hq_without_the_partition_or_with_a_strange_picture(tmp_path: Path) -> None:
    made_up.celeba_hq(tmp_path / "download")
    made_up.save(tmp_path / "download" / "CelebA-HQ-img" / "77.jpg", 77)
    with pytest.raises(ImageError, match=r"77\.jpg: .*do not tell which split"):
        prepare("celeba_hq", tmp_path / "download", tmp_path / "data")
    (tmp_path / "download" / "list_eval_partition.txt").unlink()
    result = prepare("celeba_hq", tmp_path / "download", tmp_path / "data")
    assert sum(record.pictures for record in result.splits.values()) == 7
    assert any("put list_eval_partition.txt" in note for note in result.notes)


def test_lsun_horse_has_a_test_split_of_about_one_in_2000(tmp_path: Path) -> None:
    made_up.lsun_horse(tmp_path / "download")
    result = prepare("lsun_horse", tmp_path / "download", tmp_path / "data")
    assert set(contents(tmp_path / "data", "test")) == {"horse6857", "horse7521"}
    assert set(contents(tmp_path / "data", "train")) == {"horse1", "horse2", "horse6858"}
    assert "2 of 5 pictures were chosen by a hash" in result.text()
    assert abs(np.mean([in_test_share(str(i), 1 / 2000) for i in range(100_000)]) - 1 / 2000) < 2e-4


def test_plain_folder_is_split_by_name_alone(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "few", 60)
    made_up.folder(tmp_path / "more", 80)
    for name in ("few", "more"):
        prepare("folder", tmp_path / name, tmp_path / f"{name}-data")
    few, more = (set(contents(tmp_path / f"{name}-data", "test")) for name in ("few", "more"))
    assert few and few == {name for name in more if int(name[:3]) < 60}
    share = np.mean([in_test_share(str(i)) for i in range(10_000)])
    assert abs(share - 0.05) < 0.01


def test_folder_with_splits_and_sub_folders(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train" / "a" / "b", 3)
    made_up.folder(tmp_path / "in" / "test", 2, first=9)
    prepare("folder", tmp_path / "in", tmp_path / "data")
    assert contents(tmp_path / "data", "train") == files(tmp_path / "in" / "train")
    assert contents(tmp_path / "data", "test") == files(tmp_path / "in" / "test")


def test_pictures_in_no_split_are_noted(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    made_up.folder(tmp_path / "in" / "val", 2, first=9)
    made_up.pairs(tmp_path / "pairs" / "train", 2)
    made_up.save(tmp_path / "pairs" / "train" / "loose.png", 9)
    for name, note in (("in", "2 pictures .* such as val/000.png"), ("pairs", "1 pictures .* such as train/loose.png")):
        (found,) = prepare("folder", tmp_path / name, tmp_path / f"{name}-data").notes
        assert re.fullmatch(note, found)


def test_pipes_are_left_out_and_not_waited_for(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    made_up.pairs(tmp_path / "pairs" / "train", 3)
    for name, pipe in (("in", "train/002.png"), ("pairs", "train/source/002.png")):
        (tmp_path / name / pipe).unlink()
        os.mkfifo(tmp_path / name / pipe)
        (found,) = prepare("folder", tmp_path / name, tmp_path / f"{name}-data").left_out
        assert pipe in found.reason and "pipe or device" in found.reason
    with pytest.raises(ImageError, match="pipe or device"):
        open_split(tmp_path / "in", "train").head(2)


def test_the_head_of_a_damaged_picture(tmp_path: Path) -> None:
    """Pillow raises RuntimeError for an AVIF, whatever its file is called."""
    Image.fromarray(made_up.pixels(0, (64, 64))).save(tmp_path / "0.avif")
    content = bytearray((tmp_path / "0.avif").read_bytes())
    content[81:85] = b"\xff" * 4
    (tmp_path / "0.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"0\.jpg: cannot be read"):
        open_split(tmp_path, "train").head(0)


def test_pairs(tmp_path: Path) -> None:
    made_up.pairs(tmp_path / "in" / "train", 3)
    made_up.pairs(tmp_path / "in" / "test", 2)
    assert prepare("folder", tmp_path / "in", tmp_path / "data").paired
    for split in ("train", "test"):
        plain, prepared = open_split(tmp_path / "in", split), open_split(tmp_path / "data", split)
        assert plain.paired and prepared.paired and len(plain) == len(prepared)
        for i in range(len(plain)):
            assert plain.name(i) == prepared.name(i)
            for one, other in zip(plain.open(i), prepared.open(i), strict=True):
                assert one.mode == other.mode and one.tobytes() == other.tobytes()
        assert prepared.open(0)[0].mode == "L"


def test_partners_that_are_missing_or_twofold(tmp_path: Path) -> None:
    made_up.pairs(tmp_path, 3)
    assert next((a.name, b.name) for a, b in list_pairs(tmp_path)) == ("000.png", "000.jpg")
    made_up.save(tmp_path / "source" / "sub" / "extra.png", 5)
    with pytest.raises(ImageError, match=r"source: 1 of 4 files have no partner in .*target: sub/extra\.png"):
        list_pairs(tmp_path)
    (tmp_path / "source" / "sub" / "extra.png").unlink()
    (tmp_path / "source" / "001.png").unlink()
    with pytest.raises(ImageError, match=r"target: 1 of 3 files have no partner.*: 001\.jpg"):
        list_pairs(tmp_path)
    made_up.save(tmp_path / "target" / "002.png", 5)
    with pytest.raises(ImageError, match="another extension"):
        list_pairs(tmp_path)


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_wrong_layouts_say_what_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="no such folder"):
        prepare(name, tmp_path / "nowhere", tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"[Ee]xpected|no such folder|no photos found"):
        prepare(name, tmp_path / "empty", tmp_path / "data")
    assert sorted(os.listdir(tmp_path)) == ["empty"]


def test_afhq_wants_the_folder_above_both_splits(tmp_path: Path) -> None:
    made_up.afhq_wild(tmp_path / "download")
    with pytest.raises(ImageError, match="contains none of train/wild/"):
        prepare("afhq_wild", tmp_path / "download" / "train" / "wild", tmp_path / "data")


def test_the_folder_of_pictures_itself_will_do(tmp_path: Path) -> None:
    made_up.ffhq(tmp_path / "download")
    result = prepare("ffhq", tmp_path / "download" / "images1024x1024", tmp_path / "data")
    assert result.splits["train"].pictures == 3


def test_folders_that_are_links(tmp_path: Path) -> None:
    """The names that a download has may be those of the links, and lists may lie beside the link."""
    made_up.ffhq(tmp_path / "ffhq")
    (tmp_path / "ffhq" / "images1024x1024").rename(tmp_path / "faces")
    (tmp_path / "images1024x1024").symlink_to("faces")
    assert prepare("ffhq", tmp_path / "images1024x1024", tmp_path / "data").splits["train"].pictures == 3
    made_up.celeba_hq(tmp_path / "celeba_hq")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "celeba_hq" / "CelebA-HQ-img").rename(tmp_path / "elsewhere" / "pictures")
    (tmp_path / "celeba_hq" / "CelebA-HQ-img").symlink_to(tmp_path / "elsewhere" / "pictures")
    assert "validation" in prepare("celeba_hq", tmp_path / "celeba_hq", tmp_path / "celeba").splits


def test_unknown_names_and_targets_in_use(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in", 40)
    with pytest.raises(ImageError, match="Known: ffhq"):
        prepare("imagenet", tmp_path / "in", tmp_path / "data")
    with pytest.raises(ImageError, match="is not an empty folder"):
        prepare("folder", tmp_path / "in", tmp_path / "in")
    (tmp_path / "data").mkdir()
    prepare("folder", tmp_path / "in", tmp_path / "data")
    with pytest.raises(ImageError, match="already holds a prepared data set"):
        prepare("folder", tmp_path / "in", tmp_path / "data")


def test_a_target_that_is_a_link(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in", 40)
    (tmp_path / "real").mkdir()
    for name, link in (("real", "link"), ("absent", "dangling")):
        (tmp_path / link).symlink_to(name)
        result = prepare("folder", tmp_path / "in", tmp_path / link)
        assert read_manifest(tmp_path / name) == result and (tmp_path / link).is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["absent", "dangling", "in", "link", "real"]


def test_a_target_in_use_is_found_however_it_is_written(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    prepare("folder", tmp_path / "in", tmp_path / "data")
    with pytest.raises(ImageError, match="already holds a prepared data set"):
        prepare("folder", tmp_path / "nowhere", tmp_path / "nope" / ".." / "data")


def test_a_target_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is said before anything is read."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    for target in (Path("."), tmp_path / "data"):
        with pytest.raises(ImageError, match=r"is a mount point or the current folder.* Name a folder inside"):
            prepare("folder", tmp_path / "nowhere", target)


def test_damaged_lmdb(tmp_path: Path) -> None:
    made_up.lsun_church(tmp_path / "download")
    (tmp_path / "download" / "church_outdoor_val_lmdb" / "data.mdb").write_bytes(b"not an lmdb" * 999)
    with pytest.raises(ImageError, match="church_outdoor_val_lmdb: not a readable lmdb"):
        prepare("lsun_church", tmp_path / "download", tmp_path / "data")


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_lmdb_that_is_cut_short(tmp_path: Path, split: str) -> None:
    """It is read through a memory map: reading on would end the process by SIGBUS."""
    made_up.lsun_church(tmp_path / "download")
    file = tmp_path / "download" / f"church_outdoor_{split}_lmdb" / "data.mdb"
    whole = file.stat().st_size
    for size in (whole - 1, whole // 2, 2 * 4096):
        os.truncate(file, size)
        with pytest.raises(
            ImageError, match=rf"{split}_lmdb/data\.mdb: found {size} bytes, expected {whole}: .* cut short"
        ):
            prepare("lsun_church", tmp_path / "download", tmp_path / "data")
    assert os.listdir(tmp_path) == ["download"]


def test_an_lmdb_with_a_hole(tmp_path: Path) -> None:
    """lmdb would end the process by a signal."""
    made_up.lsun_church(tmp_path / "download")
    shutil.rmtree(tmp_path / "download" / "church_outdoor_train_lmdb")
    contents = {f"{i:040x}": made_up.encoded(i) for i in range(200)}
    file = made_up.write_lmdb(tmp_path / "download" / "church_outdoor_train_lmdb", contents) / "data.mdb"
    with file.open("r+b") as opened:
        opened.seek(9 * 4096)
        opened.write(bytes(3 * 4096))
    with pytest.raises(ImageError, match=r"train_lmdb: not a readable lmdb \(.+\)\. Download and unpack it again"):
        prepare("lsun_church", tmp_path / "download", tmp_path / "data")


def test_damaged_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 12)
    (tmp_path / "in" / "train" / "004.png").write_bytes(made_up.encoded(4)[:-30])
    (tmp_path / "in" / "train" / "007.png").write_text("not a picture")
    result = prepare("folder", tmp_path / "in", tmp_path / "data")
    assert [(item.split, item.name) for item in result.left_out] == [("train", "004.png"), ("train", "007.png")]
    assert "left out of train: 007.png: not a picture" in result.text()
    assert result.splits["train"].pictures == 10
    assert not {"004.png", "007.png"} & set(contents(tmp_path / "data", "train"))


def test_too_many_damaged_pictures(tmp_path: Path) -> None:
    for i in range(11):
        made_up.save(tmp_path / "in" / "train" / f"{i}.png", i).write_text("damaged")
    made_up.folder(tmp_path / "in" / "train", 30)
    with pytest.raises(ImageError, match=r"train: 11 pictures are damaged[^\n]*\n.*not a picture"):
        prepare("folder", tmp_path / "in", tmp_path / "data")
    assert os.listdir(tmp_path) == ["in"]


def test_all_pictures_damaged(tmp_path: Path) -> None:
    made_up.save(tmp_path / "in" / "train" / "a.png", 0).write_text("damaged")
    with pytest.raises(ImageError, match=r"all 1 pictures are damaged, for example a\.png"):
        prepare("folder", tmp_path / "in", tmp_path / "data")


def test_no_tensorflow_and_no_jax(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    code = (
        "import sys; from pathlib import Path; from data_pipelines.prepare import prepare\n"
        "from data_pipelines.source import open_split\n"
        f"prepare('folder', Path({str(tmp_path / 'in')!r}), Path({str(tmp_path / 'data')!r}), progress=False)\n"
        f"open_split(Path({str(tmp_path / 'data')!r}), 'train').open(0)\n"
        "assert not {'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_disk_that_refuses_to_be_written(tmp_path: Path) -> None:
    for i in range(4):
        made_up.save(tmp_path / "in" / "train" / f"{i}.png", i, (256, 256))
    code = (
        "import resource, signal; from pathlib import Path; from data_pipelines.prepare import prepare\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"prepare('folder', Path({str(tmp_path / 'in')!r}), Path({str(tmp_path / 'data')!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"ImageError: .*data: cannot be written \(.*File too large.*\)\. Nothing was left", done.stderr)
    assert os.listdir(tmp_path) == ["in"]


def test_a_killed_preparation_leaves_no_data_set(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 400, (64, 64))
    code = (
        "from pathlib import Path; from data_pipelines.prepare import prepare\n"
        f"prepare('folder', Path({str(tmp_path / 'in')!r}), Path({str(tmp_path / 'data')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while process.poll() is None and not list(tmp_path.glob(".data.unfinished-*/*.array_record*")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "data").exists() and list(tmp_path.glob(".data.unfinished-*"))
    assert prepare("folder", tmp_path / "in", tmp_path / "data").splits["train"].pictures == 400
    assert sorted(os.listdir(tmp_path)) == ["data", "in"]


def test_what_a_killed_preparation_left_is_removed_whatever_its_name(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    made_up.folder(tmp_path / ".set[1].unfinished-abc", 1)
    prepare("folder", tmp_path / "in", tmp_path / "set[1]")
    assert sorted(os.listdir(tmp_path)) == ["in", "set[1]"]


def test_files_that_are_missing_or_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_pipelines.prepare.PICTURES_PER_FILE", 2)
    made_up.folder(tmp_path / "in" / "train", 5, (128, 128))
    prepare("folder", tmp_path / "in", tmp_path / "data")
    first, second, _ = sorted((tmp_path / "data").glob("*.array_record*"))
    for size in (first.stat().st_size - 1, 1000, 0):
        os.truncate(first, size)
        with pytest.raises(ImageError, match=rf"1 of 3 files of the train split .* such as {first.name}\. Copy or"):
            open_split(tmp_path / "data", "train")
    second.unlink()
    with pytest.raises(ImageError, match="2 of 3 files of the train split are missing or cut short"):
        open_split(tmp_path / "data", "train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('{"splits": {}}', "it has no splits"),
        ('{"splits": {"train": {"pictures": "3", "bytes": 1, "sha256": ""}}}', "pictures is '3', expected int"),
        ('{"square": 0}', "square is 0, expected bool"),
        ('{"notes": "none"}', "notes is 'none', expected list"),
        ('{"notes": ' + "[" * 100_000 + "]" * 100_000 + "}", "recursion"),
    ],
)
def test_a_damaged_record_of_a_data_set(tmp_path: Path, change: str, message: str) -> None:
    splits = {"train": {"pictures": 3, "bytes": 1, "sha256": ""}}
    whole = {"name": "a", "square": True, "paired": False, "splits": splits, "left_out": [], "notes": []}
    start = json.dumps({key: value for key, value in whole.items() if f'"{key}"' not in change})
    (tmp_path / "checksums.json").write_text(start[:-1] + ", " + change[1:])
    with pytest.raises(ImageError, match=rf"checksums\.json: cannot be read \(.*{message}.* prepare` again"):
        read_manifest(tmp_path)


def test_records_without_the_source_that_is_promised(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 2)
    file = tmp_path / "data" / "checksums.json"
    prepare("folder", tmp_path / "in", tmp_path / "data")
    file.write_text(file.read_text().replace('"paired": false', '"paired": true'))
    with pytest.raises(ImageError, match=r"record 0 of train is damaged \(it has no source\)"):
        open_split(tmp_path / "data", "train").open(0)


def test_a_changed_data_set_is_refused(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "in" / "train", 3)
    data = tmp_path / "data"
    prepare("folder", tmp_path / "in", data)
    record = json.loads((data / "checksums.json").read_text())
    record["splits"]["train"]["pictures"] = 4
    (data / "checksums.json").write_text(json.dumps(record))
    with pytest.raises(ImageError, match=r"has 3 records, but checksums\.json says 4"):
        open_split(data, "train")
    with pytest.raises(ImageError, match="no test split, only train"):
        open_split(data, "test")
    (data / "checksums.json").write_text("{")
    with pytest.raises(ImageError, match=r"checksums\.json: cannot be read"):
        open_split(data, "train")


def test_one_damaged_record_is_one_unreadable_picture(tmp_path: Path) -> None:
    for i in range(3):
        made_up.save(tmp_path / "in" / "train" / f"{i}.png", i, (128, 128))
    prepare("folder", tmp_path / "in", tmp_path / "data")
    (shard,) = (tmp_path / "data").glob("*.array_record*")
    content = bytearray(shard.read_bytes())
    middle = content.index(made_up.encoded(1, (128, 128))[1000:1100])
    content[middle : middle + 8] = b"\xff" * 8
    shard.write_bytes(content)
    source = open_split(tmp_path / "data", "train")
    with pytest.raises(ImageError, match="record 1 of train is damaged"):
        source.open(1)
    assert source.name(1) == "record 1 of train"
    for i in (0, 2):
        np.testing.assert_array_equal(np.asarray(source.open(i)[1]), made_up.pixels(i, (128, 128)))


def test_which_folder_a_split_is(tmp_path: Path) -> None:
    made_up.folder(tmp_path / "plain", 3)
    made_up.folder(tmp_path / "both" / "train", 2)
    made_up.folder(tmp_path / "both" / "test", 1)
    made_up.folder(tmp_path / "half" / "test", 4)
    plain, both, half = (tmp_path / name for name in ("plain", "both", "half"))
    assert len(open_split(plain, "train")) == 3
    assert [len(open_split(both, split)) for split in ("train", "test")] == [2, 1]
    assert len(open_split(both, "test", test_path=plain)) == 3
    assert len(open_split(plain, "test", test_path=half)) == 4
    with pytest.raises(ImageError, match="no test pictures"):
        open_split(plain, "test")
    made_up.pairs(tmp_path / "training" / "train", 2)
    with pytest.raises(ImageError, match=r"has train/ but no test/.* or name .*training/train itself"):
        open_split(plain, "test", test_path=tmp_path / "training")
    assert len(open_split(plain, "test", test_path=tmp_path / "training" / "train")) == 2
    with pytest.raises(ImageError, match="has test/ but no train/"):
        open_split(half, "train")
    with pytest.raises(ImageError, match="no such folder"):
        open_split(tmp_path / "nowhere", "train")
    assert isinstance(open_split(plain, "train").open(0)[0], Image.Image)
