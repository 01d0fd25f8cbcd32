"""The inversion job on real folders with a tiny model: what it writes, what it continues, what it refuses."""

import io
import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import restyle_jax as rs
from data_pipelines.folder import ImageError, read_photo
from data_pipelines.transforms import to_model_input
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.jobs import invert_folder as invert_module
from restyle_jax.jobs.invert_folder import Outcome, invert_folder
from restyle_jax.jobs.options import InvertOptions, fingerprint
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.ops.images import to_bytes
from restyle_jax.viz import MARGIN
from tests import tiny

STEPS = 3
BATCH = 2


def make_photos(folder: Path, count: int = 7, first: int = 0) -> list[str]:
    """Noise photos of different sizes in nested folders; their names in sorted order."""
    names = []
    for i in range(first, first + count):
        name = f"{'deep/er/' if i % 3 == 2 else ''}photo{i}.{'jpg' if i % 2 else 'png'}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (40 + i, 90 - i, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 70)).save(path)
        names.append(name)
    return sorted(names)


def options(seed: int = 0, **changes) -> InvertOptions:
    return InvertOptions(**{"checkpoint": tiny.checkpoint(seed), "steps": STEPS, "batch_size": BATCH, **changes})


def run(inputs: Path | list[Path], output: Path, settings: InvertOptions | None = None) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    listed = inputs if isinstance(inputs, list) else [inputs]
    return invert_folder(listed, output, settings or options(), said.append), said


def files(folder: Path) -> dict[str, bytes]:
    """Everything visible in the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".restyle" not in path.parts
    }


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture).astype(int)


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def latents(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "latents.npz", allow_pickle=False) as file:
        return dict(file)


def test_everything_equals_the_python_interface(tmp_path: Path) -> None:
    names = make_photos(tmp_path / "photos")
    output = tmp_path / "out"
    outcome, _ = run(tmp_path / "photos", output)
    assert (outcome.inverted, outcome.done_before, outcome.skipped) == (7, 0, {})

    model = rs.load(tiny.checkpoint())
    inputs = np.stack([to_model_input(read_photo(tmp_path / "photos" / name), tiny.SIZE, tiny.SIZE) for name in names])
    parts = [rs.invert(model, inputs[[i, (i + 1) % 7]], STEPS) for i in range(0, 7, BATCH)]
    expected, images = (np.concatenate(part, axis=1)[:, :7] for part in zip(*parts, strict=True))
    small = images.repeat(2, axis=2).repeat(2, axis=3)  # 16 px as the encoder's 32 px
    found = latents(output)
    assert list(found) == names
    report = metrics(output)
    assert list(report["images"]) == names
    for i, name in enumerate(names):
        assert found[name].dtype == np.float32 and found[name].shape == (STEPS, 6, tiny.STYLE_DIM)
        np.testing.assert_allclose(found[name], expected[:, i], atol=1e-4)
        l2 = np.square(small[:, i] - inputs[i]).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(report["images"][name]["l2"], l2, rtol=1e-4)
        for step in range(STEPS):
            with Image.open(output / "steps" / str(step + 1) / Path(name).with_suffix(".png")) as picture:
                difference = np.asarray(picture).astype(int) - to_bytes(images[step, i])
            assert np.abs(difference).max() <= 1  # rounding of values that differ by 1e-6
    np.testing.assert_allclose(report["mean"]["l2"], [np.square(s - inputs).mean() for s in small], rtol=1e-4)

    estimates = [np.broadcast_to(model.average.y, inputs.shape), *small]
    change = [np.abs(after - before).mean(axis=(0, 3)) for before, after in pairwise(estimates)]
    with np.load(output / "change.npz") as file:
        np.testing.assert_allclose(file["maps"], change, atol=1e-5)
    amounts = np.mean(change, axis=(1, 2))
    np.testing.assert_allclose(report["mean"]["share_of_change"], amounts / amounts.sum(), rtol=1e-4)

    assert {path.name for path in output.iterdir()} == {
        ".restyle", "steps", "latents.npz", "metrics.json", "grid.png", "change.png", "change.npz"
    }  # fmt: skip
    assert len(list((output / "steps").rglob("*.*"))) == 7 * STEPS
    assert report["steps"] == ["step 1", "step 2", "step 3"]
    assert report["seconds_per_image"] > 0
    assert report["device"]["platform"] == "cpu" and report["versions"]["jax"] and report["settings"]["steps"] == STEPS
    with Image.open(output / "grid.png") as grid:
        assert grid.height > 7 * tiny.SIZE and grid.width > (STEPS + 2) * tiny.SIZE


def test_batch_and_output_size_do_not_change_the_results(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 3)
    run(tmp_path / "photos", tmp_path / "pairs")
    run(tmp_path / "photos", tmp_path / "singles", options(batch_size=1, resize_outputs=True))
    for name, code in latents(tmp_path / "pairs").items():
        np.testing.assert_allclose(latents(tmp_path / "singles")[name], code, atol=1e-4)
    with Image.open(tmp_path / "singles" / "steps" / "3" / "photo0.png") as picture:
        assert picture.size == (tiny.SIZE, tiny.SIZE)
    means = [metrics(tmp_path / name)["mean"]["l2"] for name in ("pairs", "singles")]
    np.testing.assert_allclose(*means, rtol=1e-4)


def test_modes_and_tiny_photos(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    grey = np.random.default_rng(0).integers(0, 256, (30, 50), dtype=np.uint8)
    Image.fromarray(grey).save(photos / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(photos / "grey16.png")
    Image.fromarray(grey).convert("P").save(photos / "palette.png")
    Image.fromarray(np.dstack([grey] * 4)).save(photos / "alpha.png")
    Image.fromarray(np.dstack([grey] * 4), "CMYK").save(photos / "print.jpg")
    Image.new("RGB", (1, 1), (9, 200, 30)).save(photos / "dot.png")
    outcome, _ = run(photos, tmp_path / "out", options(batch_size=1))  # last digits may depend on the place in a batch
    assert outcome.inverted == 6 and not outcome.skipped
    np.testing.assert_array_equal(latents(tmp_path / "out")["grey.png"], latents(tmp_path / "out")["grey16.png"])


def test_unreadable_photos_are_skipped_and_tried_again(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    names = make_photos(photos)
    whole = (photos / names[3]).read_bytes()
    (photos / names[3]).write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("not a photo")
    outcome, said = run(photos, output)
    assert outcome.inverted == 6 and set(outcome.skipped) == {names[3], "text.jpg"}
    assert sum("text.jpg" in line for line in said) == 1
    assert set(metrics(output)["skipped"]) == {names[3], "text.jpg"}
    assert set(latents(output)) == {*names} - {names[3]}

    (photos / "text.jpg").unlink()
    (photos / names[3]).write_bytes(whole)
    times = {path: path.stat().st_mtime_ns for path in (output / "steps").rglob("*.png")}
    assert run(photos, output)[0] == Outcome(1, 6, {})
    assert all(path.stat().st_mtime_ns == time for path, time in times.items()), "finished photos are not done again"
    run(photos, tmp_path / "at once")
    for name, code in latents(tmp_path / "at once").items():
        np.testing.assert_allclose(latents(output)[name], code, atol=1e-4)
    with np.load(output / "change.npz") as found, np.load(tmp_path / "at once" / "change.npz") as expected:
        np.testing.assert_allclose(found["maps"], expected["maps"], atol=1e-5)


def test_only_unreadable_photos(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("not a photo")
    outcome, _ = run(tmp_path / "a.jpg", tmp_path / "out")
    assert outcome.inverted == 0 and set(outcome.skipped) == {"a.jpg"}
    assert files(tmp_path / "out") == {}


def test_a_finished_job_has_nothing_to_do_until_photos_are_added(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 4)
    run(photos, output)
    before = files(output)
    outcome, said = run(photos, output)
    assert outcome == Outcome(0, 4) and "Nothing to do" in said[-1]
    assert files(output) == before
    make_photos(photos, 2, first=4)
    assert run(photos, output)[0] == Outcome(2, 4)
    assert len(latents(output)) == 6 and len(metrics(output)["images"]) == 6
    (output / "grid.png").unlink()
    assert run(photos, output)[0] == Outcome(0, 6)
    assert (output / "grid.png").exists(), "lost reports are written again"


def test_photos_whose_pictures_are_gone_are_done_again(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 3)
    shutil.copy(photos / "photo0.png", photos / "photo0.jpg")  # two photos that share the short name of their results
    run(photos, output)
    before = files(output)
    (output / "steps" / "2" / "photo0.png.png").unlink()
    (output / "steps" / "3" / "photo1.png").unlink()
    assert run(photos, output)[0] == Outcome(2, 2)
    after = files(output)
    assert after.keys() == before.keys()
    for name in after:
        if name.startswith("steps"):
            difference = pixels(output / name) - np.asarray(Image.open(io.BytesIO(before[name]))).astype(int)
            assert np.abs(difference).max() <= 1
    with np.load(output / "change.npz") as found, np.load(io.BytesIO(before["change.npz"])) as expected:
        np.testing.assert_allclose(found["maps"], expected["maps"], atol=1e-5)
    assert "Nothing to do" in run(photos, output)[1][-1]

    shutil.rmtree(output / "steps")
    (photos / "photo0.jpg").unlink()  # nothing can make its pictures again
    make_photos(photos, 1, first=4)
    assert run(photos, output)[0] == Outcome(4, 1)
    assert len(metrics(output)["images"]) == len(latents(output)) == 5
    assert {file.name for file in (output / "steps" / "2").rglob("*.png")} == {
        "photo0.png.png", "photo1.png", "photo2.png", "photo4.png"
    }  # fmt: skip


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 2)
    run(photos, output)
    picture = output / "steps" / "2" / "photo1.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[: len(whole) // 2])
    make_photos(photos, 1, first=4)
    for _ in range(2):
        with pytest.raises(OutputError, match=rf"{picture}: .*Remove it and run the same command again"):
            run(photos, output)
    picture.unlink()
    assert run(photos, output)[0] == Outcome(1, 2) and len(metrics(output)["images"]) == 3


def test_the_output_may_lie_inside_the_input(tmp_path: Path) -> None:
    make_photos(tmp_path, 2)
    output = tmp_path / "out"
    assert run(tmp_path, output)[0].inverted == 2
    assert run(tmp_path, output)[0] == Outcome(0, 2)


def test_photos_that_differ_in_their_extension_only(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "a.jpg", "b.png"):
        Image.new("RGB", (9, 9), (len(files(photos)) * 99, 0, 0)).save(photos / name)
    run(photos, tmp_path / "out", options(steps=1))
    assert {path.name for path in (tmp_path / "out" / "steps" / "1").iterdir()} == {"a.jpg.png", "a.png.png", "b.png"}
    assert metrics(tmp_path / "out")["images"]["a.jpg"]["file"] == "a.jpg.png"


def test_cars_are_cropped_to_their_content(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 2)
    output = tmp_path / "out"
    run(tmp_path / "photos", output, options(checkpoint=tiny.checkpoint(resolution=64, cars=True), steps=1))
    with Image.open(output / "steps" / "1" / "photo0.png") as picture:
        assert picture.size == (64, 48)
        pooled = np.asarray(picture.reduce(2), np.float32) / 127.5 - 1
    photo = to_model_input(read_photo(tmp_path / "photos" / "photo0.png"), 24, 32)
    (l2,) = metrics(output)["images"]["photo0.png"]["l2"]
    assert l2 == pytest.approx(np.square(pooled - photo).mean(), rel=0.1)  # the picture is clipped, the metric is not


def test_bootstrapping_runs_one_model_after_the_other(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 2)
    second = options(bootstrap_from=tiny.checkpoint(1), bootstrap_steps=2, steps=1)
    run(tmp_path / "photos", tmp_path / "both", second)
    run(tmp_path / "photos", tmp_path / "first", options(seed=1, steps=2))
    assert metrics(tmp_path / "both")["steps"] == ["bootstrap 1", "bootstrap 2", "step 1"]
    both, first = latents(tmp_path / "both")["photo0.png"], latents(tmp_path / "first")["photo0.png"]
    assert both.shape[0] == 3
    np.testing.assert_allclose(both[:2], first, atol=1e-4)
    assert np.abs(both[2] - both[1]).max() > 1e-3


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 1)
    larger = tiny.checkpoint(3, resolution=32)
    for settings, expected in (
        (options(bootstrap_from=larger), "K = 8 styles.*expected the same as.*K = 6 styles"),
        (
            options(bootstrap_from=tiny.checkpoint(), checkpoint=tiny.checkpoint(in_channels=3)),
            "single-pass.*--bootstrap",
        ),
        (options(checkpoint=tiny.checkpoint(encoder=False)), "no encoder"),
        (options(checkpoint=tmp_path / "nowhere.pt"), r"nowhere\.pt.*No such file"),
        (options(checkpoint=tmp_path / "photos"), "photos"),
    ):
        with pytest.raises(CheckpointError, match=expected):
            run(tmp_path / "photos", tmp_path / "out", settings)
        assert not (tmp_path / "out").exists(), "a job that cannot start leaves nothing behind"


def test_a_single_pass_encoder_makes_one_step(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 2)
    run(tmp_path / "photos", tmp_path / "out", options(checkpoint=tiny.checkpoint(in_channels=3), steps=5))
    assert metrics(tmp_path / "out")["steps"] == ["step 1"]
    assert latents(tmp_path / "out")["photo0.png"].shape[0] == 1


def test_bfloat16_is_close(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 2)
    for dtype in ("float32", "bfloat16"):
        run(tmp_path / "photos", tmp_path / dtype, options(dtype=dtype))
    exact, rough = (latents(tmp_path / dtype)["photo0.png"] for dtype in ("float32", "bfloat16"))
    assert 0 < np.abs(rough - exact).max() < 0.1 * exact.std()


def test_other_settings_are_refused_and_overwrite_replaces(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 2)
    run(photos, output)
    before = files(output)
    for changes, expected in (
        ({"steps": 2}, "steps: 3 there, 2 now"),
        ({"seed": 1}, "checkpoint: .* there"),
        ({"resize_outputs": True}, "resize_outputs: False there, True now"),
    ):
        with pytest.raises(OutputError, match=expected):
            run(photos, output, options(**changes))
    with pytest.raises(CheckpointError):
        run(photos, output, options(checkpoint=tmp_path / "nowhere.pt", overwrite=True))
    assert files(output) == before
    (output / "notes.txt").write_text("mine")
    assert run(photos, output, options(steps=2, overwrite=True))[0] == Outcome(2, 0, {})
    assert (output / "notes.txt").exists() and not (output / "steps" / "3").exists()
    assert run(photos, output, options(steps=2, batch_size=1))[0] == Outcome(0, 2), "the batch size may change"


def test_photos_of_the_same_name_are_not_confused(tmp_path: Path) -> None:
    make_photos(tmp_path / "one", 2)
    shutil.copytree(tmp_path / "one", tmp_path / "copy", copy_function=shutil.copyfile)
    make_photos(tmp_path / "other", 2, first=1)
    (tmp_path / "other" / "photo1.jpg").rename(tmp_path / "other" / "photo0.png")
    run(tmp_path / "one", tmp_path / "out")
    assert run(tmp_path / "copy", tmp_path / "out")[0] == Outcome(0, 2)
    with pytest.raises(OutputError, match=r"other photos with the same names \(1, such as photo0.png\)"):
        run(tmp_path / "other", tmp_path / "out")


def test_photos_that_are_done_keep_their_names(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        make_photos(folder, 2)
    run(one, tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(OutputError, match=r"under the name photo0\.png, which with these inputs is one/photo0\.png"):
        run([one, two], tmp_path / "out")
    assert files(tmp_path / "out") == before
    run([one, two], tmp_path / "both")
    with pytest.raises(OutputError, match=r"under the name two/photo0\.png, which with these inputs is photo0\.png"):
        run(two, tmp_path / "both")
    make_photos(tmp_path / "others", 1, first=7)
    assert run([one, tmp_path / "others"], tmp_path / "out")[0] == Outcome(1, 2)
    (one / "sub").mkdir()
    (one / "photo0.png").rename(one / "sub" / "photo0.png")  # another name, and that is what was wanted
    assert run(one, tmp_path / "out")[0] == Outcome(1, 3)


def test_results_are_no_inputs(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", 1)
    output = tmp_path / "out"
    run(tmp_path / "photos", output)
    before = files(output)
    (tmp_path / "link").symlink_to(output)
    for source in (output, output / "steps" / "2", output / "steps" / "1" / "photo0.png", tmp_path / "link" / "steps"):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=f"{source}: --input lies inside --output"):
                run([tmp_path / "photos", source], output, options(overwrite=overwrite))
    assert files(output) == before


def test_photos_may_vanish_or_change_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    names = make_photos(photos, 5)
    whole, invert = (photos / names[1]).read_bytes(), invert_module.invert

    def disturbed(*arguments, **settings):
        (photos / names[0]).unlink(missing_ok=True)
        (photos / names[1]).write_bytes((photos / names[2]).read_bytes())
        return invert(*arguments, **settings)

    monkeypatch.setattr(invert_module, "invert", disturbed)
    assert run(photos, output)[0] == Outcome(5, 0, {})
    monkeypatch.undo()
    with pytest.raises(OutputError, match=r"other photos with the same names \(1, such as photo0\.png\)"):
        run(photos, output)
    (photos / names[1]).write_bytes(whole)
    (photos / names[0]).parent.mkdir(exist_ok=True)
    (photos / names[0]).symlink_to(tmp_path / "gone")
    assert run(photos, output)[0] == Outcome(0, 5)


def test_names_that_no_result_can_have(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 1)
    for suffix in (".jpg", ".png"):
        Image.new("RGB", (9, 9)).save(photos / ("x" * 251 + suffix))
    outcome, said = run(photos, output)
    assert outcome.inverted == 1 and set(outcome.skipped) == {"x" * 251 + ".jpg", "x" * 251 + ".png"}
    assert sum("Shorten its name" in line for line in said) == 2 and list(latents(output)) == ["photo0.png"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    photos = tmp_path / os.fsdecode(b"\xfe")
    make_photos(photos, 1)
    (photos / os.fsdecode(b"\xff.jpg")).write_text("not a photo")
    outcome, _ = run(photos, tmp_path / os.fsdecode(b"\xfd"))
    assert outcome.inverted == 1 and list(metrics(tmp_path / os.fsdecode(b"\xfd"))["skipped"]) == ["\\xff.jpg"]


def test_an_inversion_that_diverges_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, invert = tmp_path / "photos", invert_module.invert
    make_photos(photos, 3)
    run(photos, tmp_path / "sound")

    def diverging(model, images, *arguments, **settings):
        latents, pictures = map(np.array, invert(model, images, *arguments, **settings))
        if not np.array_equal(images[0], images[1]):  # the first batch; the second is one photo, repeated
            latents[1:, 0], pictures[1:, 0] = np.nan, np.inf
        return invert_module.Inversion(latents, pictures)

    monkeypatch.setattr(invert_module, "invert", diverging)
    output = tmp_path / "out"
    assert run(photos, output)[0] == Outcome(3, 0, {}, ("deep/er/photo2.png",))
    assert run(photos, output)[0] == Outcome(0, 3, {}, ("deep/er/photo2.png",))
    report, sound = (
        json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
        for folder in (output, tmp_path / "sound")
    )
    first, *others = (report["images"][name]["l2"] for name in report["images"])
    assert first[1:] == [None, None] and others == [sound["images"][name]["l2"] for name in list(sound["images"])[1:]]
    np.testing.assert_allclose(report["mean"]["l2"][1:], np.mean(others, axis=0)[1:])
    with np.load(output / "change.npz") as file:
        assert np.isfinite(file["maps"]).all() and file["maps"].any()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_damaged_reports_are_made_again(tmp_path: Path, content: str) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    make_photos(photos, 1)
    run(photos, output)
    (output / "metrics.json").write_text(content)
    assert run(photos, output)[0] == Outcome(0, 1) and list(metrics(output)["images"]) == ["photo0.png"]
    (output / ".restyle" / "run.json").write_text(content)
    (output / "metrics.json").unlink()
    with pytest.raises(OutputError, match=r"run\.json: damaged .*--overwrite"):
        run(photos, output)


def test_other_files_beside_our_format_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights.safetensors").write_text("weights")
    assert fingerprint(tmp_path) == "543a9feaf9d7d825", "as in earlier versions, whose results are continued"
    assert {fingerprint(tmp_path / name) for name in ("config.json", "weights.safetensors")} == {"543a9feaf9d7d825"}
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / "notes").mkdir()
    assert fingerprint(tmp_path) == "543a9feaf9d7d825"
    (tmp_path / "config.json").write_text("[]")
    assert fingerprint(tmp_path) != "543a9feaf9d7d825"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe: found something that is not a regular file"):
        fingerprint(tmp_path / "pipe")
    (tmp_path / "pipe").unlink()


def test_other_folders_are_known_by_all_their_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    seen = {fingerprint(tmp_path)}
    for name, content in (("a.png", "a"), ("a.png", "b"), ("deep/a.png", "c")):
        (tmp_path / name).write_text(content)
        seen.add(fingerprint(tmp_path))
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert len({*seen, fingerprint(tmp_path)}) == 5


def test_bad_places(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_photos(photos, 1)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"files that restyle did not make \(thesis.tex"):
            run(photos, foreign, options(overwrite=overwrite))
    with pytest.raises(OutputError, match="is a file"):
        run(photos, foreign / "thesis.tex")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no photos found"):
        run(tmp_path / "empty", tmp_path / "out")
    assert list(files(foreign)) == ["thesis.tex"] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("classes", [1, 5])
def test_faces_from_sketches_and_label_maps(classes: int, tmp_path: Path) -> None:
    """The official encoders for them have one pass, and no picture to compare theirs with."""
    checkpoint = tiny.checkpoint(in_channels=classes)
    settings = options(checkpoint=checkpoint)
    labels = np.random.default_rng(0).integers(0, classes if classes > 1 else 256, (3, 50, 60), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for name, values in zip("abc", labels, strict=True):
        Image.fromarray(values).save(tmp_path / "in" / f"{name}.png")
    Image.new("L", (40, 40), 200).save(tmp_path / "in" / "wrong.png")  # a sketch, but no label
    Image.new("F", (40, 40), 1e9).save(tmp_path / "in" / "wrong.tif")
    outcome, said = run(tmp_path / "in", tmp_path / "out", settings)
    wrong = ["wrong.png", "wrong.tif"] if classes > 1 else ["wrong.tif"]
    assert sorted(outcome.skipped) == wrong and not outcome.diverged
    if classes > 1:
        assert any(line.count("wrong.png") == 1 and "found label 200, expected 0 to 4" in line for line in said), said

    way = Image.Resampling.BILINEAR if classes == 1 else Image.Resampling.NEAREST
    resized = [np.asarray(Image.fromarray(values).resize((tiny.SIZE, tiny.SIZE), way)) for values in labels]
    x = np.stack(resized)
    x = np.float32(x[..., None]) / 255 if classes == 1 else np.eye(classes, dtype=np.float32)[x]
    expected = rs.invert(rs.load(checkpoint), x, STEPS)
    assert expected.latents.shape == (1, 3, 6, tiny.STYLE_DIM)
    for row, name in enumerate("abc"):
        np.testing.assert_allclose(latents(tmp_path / "out")[f"{name}.png"], expected.latents[:, row], atol=1e-4)
        found = pixels(tmp_path / "out" / "steps" / "1" / f"{name}.png")
        assert np.abs(found - to_bytes(expected.images[0, row])).max() <= 1
    report = metrics(tmp_path / "out")
    assert report["mean"]["l2"] == [None] and report["images"]["a.png"]["l2"] == [None]
    grid = pixels(tmp_path / "out" / "grid.png")[:, MARGIN : MARGIN + tiny.SIZE]
    shown = np.round(255 * (x[0, ..., 0] if classes == 1 else x[0].argmax(-1) / (classes - 1))).astype(int)
    assert any(np.abs(grid[row : row + tiny.SIZE, :, 0] - shown).max() <= 1 for row in range(len(grid) - tiny.SIZE))
    assert run(tmp_path / "in", tmp_path / "out", settings)[0].done_before == len(report["images"])

    photo = options(bootstrap_from=checkpoint)
    with pytest.raises(CheckpointError, match=rf"channels: {classes}\), expected one for photos"):
        run(tmp_path / "in", tmp_path / "other", photo)
    assert not (tmp_path / "other").exists()
