"""Listing, damaged files and batching of photos, on real files."""

import os
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_pipelines import folder
from data_pipelines.folder import (
    ImageError,
    Photo,
    batches,
    file_checksum,
    list_photos,
    load_photos,
    photo_reader,
    read_photo,
)


def save(path: Path, colour: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, colour, colour)).save(path)
    return path


def names(*inputs: Path, exclude: Path | None = None) -> list[str]:
    return [photo.name for photo in list_photos(inputs, exclude)]


def test_nested_folders_in_code_point_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.JPG", "a/b/c.Tiff", "B.webp", "a.bmp", "a/é.jpeg"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    save(tmp_path / ".thumbnails" / "hidden.png")
    save(tmp_path / "out" / "steps" / "1" / "b.png")
    assert names(tmp_path, exclude=tmp_path / "out") == [
        "B.webp",
        "a.bmp",
        "a/b/c.Tiff",
        "a/z.JPG",
        "a/é.jpeg",
        "b.png",
    ]


def test_several_inputs(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "photos", tmp_path / "two" / "photos"
    save(one / "0.png")
    single = save(two / "1.png")
    assert names(one, two) == ["0.png", "1.png"]
    assert names(one, single, two) == ["0.png", "1.png"], "a photo that is reached twice counts once"
    save(two / "0.png")
    assert names(one, two) == ["one/photos/0.png", "two/photos/0.png", "two/photos/1.png"]


def test_a_single_file_may_have_any_extension(tmp_path: Path) -> None:
    file = tmp_path / "scan.dat"
    Image.new("RGB", (4, 4)).save(file, "PNG")
    assert names(file) == ["scan.dat"]
    assert read_photo(file).size == (4, 4)


def test_missing_and_empty_inputs(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file or folder"):
        list_photos([tmp_path / "nowhere"])
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(ImageError, match=r"no photos found.*\.webp"):
        list_photos([tmp_path])


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    os.rename(os.fsencode(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/\xff.png")
    (photo,) = list_photos([tmp_path])
    assert photo.name == "\\xff.png"
    photo.name.encode()
    assert read_photo(photo.path).size == (8, 8)
    save(tmp_path / "\\xff.png")
    with pytest.raises(ImageError, match=r"both are written \\xff\.png. Rename one"):
        list_photos([tmp_path])


def test_damaged_files_say_what_is_wrong(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("this is not a photo")
    whole = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 50).save(whole)
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(whole.read_bytes()[:900])
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    for path, expected in ((text, "not a picture"), (truncated, "cannot be read"), (empty, "not a picture")):
        with pytest.raises(ImageError, match=expected) as error:
            read_photo(path)
        assert str(path) in str(error.value)
    with pytest.raises(ImageError, match="No such file"):
        read_photo(tmp_path / "gone.png")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")
    for photo, result in load_photos(list_photos([tmp_path]), photo_reader(2, 2)):
        assert isinstance(result, ImageError) and "pipe or device" in str(result) and str(photo.path) in str(result)
    with pytest.raises(ImageError, match="pipe or device"):
        file_checksum(tmp_path / "pipe.png")


def test_a_photo_is_known_by_the_bytes_that_were_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Photo("a.png", save(tmp_path / "a.png", colour=255))
    stat, checksum = photo.path.stat(), file_checksum(photo.path)
    for batch in batches([photo], photo_reader(2, 2), 1, on_error=lambda *_: None):
        save(photo.path, colour=3)
        assert batch.contents == [(stat.st_size, stat.st_mtime_ns, checksum)] and batch.images.min() == 1
    convert = folder.to_model_input

    def slow(*arguments) -> np.ndarray:
        with photo.path.open("ab") as file:
            file.write(b"more")
        return convert(*arguments)

    monkeypatch.setattr(folder, "to_model_input", slow)
    ((_, result),) = load_photos([photo], photo_reader(2, 2))
    assert isinstance(result, ImageError) and "was changed while it was read" in str(result)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.ppm"
    with path.open("wb") as file:
        file.write(b"P4 20000 20000\n")
        file.truncate(50_000_015)  # a black bitmap, whole and valid, that takes no disk space
    with pytest.raises(ImageError, match=r"too large.*400000000 pixels"):
        read_photo(path)


def test_one_pixel(tmp_path: Path) -> None:
    photo = Photo("dot.png", save(tmp_path / "dot.png", colour=255, size=(1, 1)))
    ((_, loaded),) = load_photos([photo], photo_reader(4, 6))
    assert not isinstance(loaded, ImageError)
    np.testing.assert_array_equal(loaded.pixels, np.ones((4, 6, 3), np.float32))


@pytest.mark.parametrize("ahead", [0, 3, 100])
def test_loading_keeps_the_order_and_reports_failures_in_place(tmp_path: Path, ahead: int) -> None:
    photos = [Photo(f"{i}.png", save(tmp_path / f"{i}.png", colour=5 * i)) for i in range(9)]
    photos[4].path.write_text("damaged")
    loaded = list(load_photos(photos, photo_reader(2, 2), workers=3, ahead=ahead))
    assert [photo for photo, _ in loaded] == photos
    for i, (_, result) in enumerate(loaded):
        if i == 4:
            assert isinstance(result, ImageError)
        else:
            np.testing.assert_allclose(result.pixels, np.full((2, 2, 3), 5 * i / 127.5 - 1), atol=1e-6)


def test_batches_have_one_shape_and_no_gaps(tmp_path: Path) -> None:
    photos = [Photo(f"{i}.png", save(tmp_path / f"{i}.png", colour=5 * i)) for i in range(8)]
    photos[2].path.write_text("damaged")
    failed: list[str] = []
    found = list(batches(photos, photo_reader(2, 2), 3, on_error=lambda photo, error: failed.append(photo.name)))
    assert failed == ["2.png"]
    assert [[photo.name[0] for photo in batch.photos] for batch in found] == [["0", "1", "3"], ["4", "5", "6"], ["7"]]
    assert {batch.images.shape for batch in found} == {(3, 2, 2, 3)}
    np.testing.assert_allclose(found[1].images[2], np.full((2, 2, 3), 30 / 127.5 - 1), atol=1e-6)


def test_no_readable_photo_gives_no_batch(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("damaged")
    assert list(batches([Photo("a.png", path)], photo_reader(2, 2), 3, on_error=lambda *_: None)) == []


def test_checksum_depends_on_content_only(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a.png", colour=1), save(tmp_path / "b.png", colour=1)
    assert file_checksum(first) == file_checksum(second) != file_checksum(save(tmp_path / "c.png", colour=2))


@pytest.mark.filterwarnings("ignore")  # about odd tags, before it decides to read or to refuse
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM"]), st.data())
def test_damage_never_stops_the_others(kind: str, data: st.DataObject) -> None:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(file, kind)
    content = bytearray(file.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "damaged"
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        try:
            assert read_photo(path).mode == "RGB"
        except ImageError as error:
            assert str(path) in str(error)
