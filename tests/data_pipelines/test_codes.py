"""Codes and labels: files in every form that people have, batches in an order that can be continued, and what is refused."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_pipelines.avatars import AvatarSource
from data_pipelines.codes import CodeBatches, Codes, DataError, PairBatches, read_codes
from data_pipelines.drawing.factors import code
from data_pipelines.labels import avatar_labels, labels_of, read_labels

CELEBA = """3
Bangs Eyeglasses Smiling
000001.jpg -1  1 -1
000002.jpg  1 -1 -1
000003.jpg -1 -1  1
"""
CSV = "photo,Bangs,Eyeglasses,Smiling\n000001.jpg,0,1,false\n000002.jpg,1,0,False\n\n000003.jpg,0,0,true\n"
VALUES = [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def codes(count: int = 7) -> Codes:
    names = tuple(f"{number:06}.jpg" for number in range(count))
    return Codes(names, np.arange(count * 6, dtype=np.float32).reshape(count, 2, 3))


def test_the_last_step_of_every_photo_is_read(tmp_path: Path):
    steps: dict[str, Any] = {
        f"{name}.png": np.random.default_rng(0).standard_normal((3, 2, 4), np.float32) + name for name in (2, 0, 1)
    }
    np.savez(tmp_path / "latents.npz", **steps)
    found = read_codes(tmp_path / "latents.npz")
    assert found.names == ("0.png", "1.png", "2.png") and found.values.dtype == np.float32
    for name, values in zip(found.names, found.values, strict=True):
        np.testing.assert_array_equal(values, steps[name][-1])


@pytest.mark.parametrize(
    ("count", "share", "test"), [(10, 0.1, 1), (7, 0.5, 3), (2, 0.01, 1), (2, 0.99, 1), (100, 0.1, 10)]
)
def test_the_last_codes_are_for_the_test(count: int, share: float, test: int):
    first, last = codes(count).split(share)
    assert (*first.names, *last.names) == codes(count).names and len(last.names) == test
    np.testing.assert_array_equal(np.concatenate([first.values, last.values]), codes(count).values)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((1, 2, 3)), "b": np.zeros((2, 3))}, r"found float64\[2, 3\] for b; expected arrays of numbers"),
        ({"a": np.zeros((1, 2, 3)), "b": np.zeros((1, 2, 4))}, "codes of one generator"),
        ({"a": np.zeros((1, 2, 3)), "b": np.full((1, 2, 3), np.nan)}, "not finite for b"),
        ({"a": np.zeros((1, 2, 3)), "b": np.full((1, 2, 3), 1e300)}, "not finite for b"),
        ({"a": np.zeros((1, 2, 3))}, "found 1 codes; expected two at least"),
    ],
)
def test_other_files_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path):
    np.savez(tmp_path / "latents.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_codes(tmp_path / "latents.npz")


def test_unreadable_files_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"nothing\.npz: found something unreadable \(No such file"):
        read_codes(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("codes")
    with pytest.raises(DataError, match=r"text\.npz: found something unreadable") as raised:
        read_codes(tmp_path / "text.npz")
    assert "pickle" not in str(raised.value)
    (tmp_path / "empty.npz").touch()
    with pytest.raises(DataError, match=r"empty\.npz: found something unreadable"):
        read_codes(tmp_path / "empty.npz")
    with zipfile.ZipFile(tmp_path / "members.npz", "w") as archive:
        archive.writestr("a.npy", b"no array")
    with pytest.raises(DataError, match=r"members\.npz: found .* for a"):
        read_codes(tmp_path / "members.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="a single array"):
        read_codes(tmp_path / "one.npy")


def test_batches_go_through_every_epoch_and_continue_anywhere():
    batches = CodeBatches(codes(), 3, seed=4)
    found = [next(batches) for _ in range(7)]
    order = np.concatenate([batch["index"] for batch in found])
    epochs = order.reshape(3, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs) and (epochs[0] != epochs[1]).any()
    for batch in found:
        np.testing.assert_array_equal(batch["source"], codes().values[batch["index"]])
    assert batches.position == 7
    np.testing.assert_array_equal(next(CodeBatches(codes(), 3, seed=4, start=5))["index"], found[5]["index"])
    assert (next(CodeBatches(codes(), 3, seed=5))["index"] != found[0]["index"]).any()
    # More than an epoch in one batch, shared among processes.
    whole = next(CodeBatches(codes(), 16, seed=4))["index"]
    np.testing.assert_array_equal(whole, np.concatenate([order, next(CodeBatches(codes(), 3, 4, 7))["index"]])[:16])
    parts = [next(CodeBatches(codes(), 16, 4, 0, process, 2))["index"] for process in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_every_test_code_meets_another_one():
    found = list(PairBatches(codes(5), 4))
    assert [batch["valid"].tolist() for batch in found] == [[True] * 4, [True] + [False] * 3]
    sources, targets = (
        np.concatenate([batch[name][batch["valid"]] for batch in found]) for name in ("source", "target")
    )
    np.testing.assert_array_equal(sources, codes(5).values)
    np.testing.assert_array_equal(targets, codes(5).values[[2, 3, 4, 0, 1]])
    assert (next(iter(PairBatches(codes(1), 1)))["target"] == codes(1).values).all()


@pytest.mark.parametrize(("name", "text"), [("list_attr_celeba.txt", CELEBA), ("labels.csv", CSV)])
def test_labels_of_photos(name: str, text: str, tmp_path: Path):
    (tmp_path / name).write_text(text)
    labels = read_labels(tmp_path / name)
    assert labels.attributes == ("Bangs", "Eyeglasses", "Smiling") and labels.values.dtype == np.int8
    np.testing.assert_array_equal(labels.values, VALUES)
    found = labels_of(["000003.png", "000001.jpg"], labels, name)
    np.testing.assert_array_equal(found, [VALUES[2], VALUES[0]])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "Bangs Smiling\n1.jpg 1 1\n", "found no line with different names of attributes"),
        ("a.txt", "", "found no line with different names"),
        (
            "a.txt",
            "1\nBangs Smiling\n1.jpg 1\n",
            r"line 3: found '1\.jpg 1'; expected the name of a photo and 2 values",
        ),
        ("a.txt", "1\nBangs Smiling\n1.jpg 1 2\n", "line 3"),
        ("a.txt", "0\nBangs Smiling\n", "found no photos"),
        ("a.csv", "photo,Bangs,Bangs\n1.jpg,1,1\n", "different names"),
        ("a.csv", "photo,Bangs\n1.jpg,\n", "line 2"),
        ("a.csv", 'photo,Bangs\n1.jpg,1\n"2.jpg,1\n' + "3.jpg,1\n" * 20_000, r"line 3: cannot be read \(field larger"),
        ("a.csv", "photo,Bangs\n1.jpg,1\n.,1\n", r"line 3: found '\. 1'; expected the name of a photo"),
        ("a.txt", "1\nBangs\n/ 1\n", "line 3: found '/ 1'; expected the name of a photo"),
    ],
)
def test_damaged_labels_are_named(name: str, text: str, message: str, tmp_path: Path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_labels(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path)


def test_labels_of_other_photos_show_both_sides(tmp_path: Path):
    (tmp_path / "a.txt").write_text(CELEBA)
    labels = read_labels(tmp_path / "a.txt")
    names = [f"{number}.jpg" for number in range(5)] + ["000001.jpg"]
    with pytest.raises(DataError) as caught:
        labels_of(names, labels, "a.txt")
    assert "no labels for 5 of 6 photos with codes, such as 0.jpg, 1.jpg, 2.jpg and others" in str(caught.value)
    assert "it names 3 photos, such as 000001.jpg, 000002.jpg, 000003.jpg." in str(caught.value)
    (tmp_path / "a.txt").write_text(CELEBA + "000001.png 1 1 1\n")
    with pytest.raises(DataError, match=r"names 000001\.jpg more than once"):
        labels_of(["000001.jpg"], read_labels(tmp_path / "a.txt"), "a.txt")


def test_codes_without_the_name_of_a_photo(tmp_path: Path):
    (tmp_path / "a.txt").write_text(CELEBA)
    with pytest.raises(DataError, match=r"a\.txt: has no labels for 2 of 2 photos with codes, such as \., /"):
        labels_of([".", "/"], read_labels(tmp_path / "a.txt"), "a.txt")


def test_names_of_avatars_say_what_is_in_them():
    source = AvatarSource("test", 40, 64)
    names = [f"some/{source.name(index)}" for index in range(40)]
    labels, described = avatar_labels(names), source.described(np.arange(40))
    of = {name: labels.values[:, column] for column, name in enumerate(labels.attributes)}
    np.testing.assert_array_equal(of["smile"], described["smile"] > 0)
    np.testing.assert_array_equal(of["yaw"], described["yaw"] > 0)
    np.testing.assert_array_equal(of["hat_cap"], described["hat"] == code("hat", "cap"))
    assert (
        labels.names == tuple(names) and "clothes_hue" not in of and not any("texture_pattern" in name for name in of)
    )
    with pytest.raises(DataError, match=r"me\.jpg of 2 photos are not named as avatars are"):
        avatar_labels([names[0], "me.jpg"])
