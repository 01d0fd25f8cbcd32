"""The editing job on real folders with a tiny model: what it writes and measures, what it continues, what it refuses."""

import dataclasses
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import restyle_jax as rs
from data_pipelines.folder import ImageError, read_photo
from data_pipelines.transforms import to_model_input
from restyle_jax.checkpoints.attributes import save_attributes
from restyle_jax.checkpoints.auxiliary import save_identity
from restyle_jax.convert.errors import CheckpointError
from restyle_jax.edit.direction import Direction, Space, apply
from restyle_jax.edit.files import write_directions
from restyle_jax.jobs import edit_inputs, edit_measures
from restyle_jax.jobs.edit_folder import MORPH_FRAMES, edit_folder
from restyle_jax.jobs.edit_inputs import Saved
from restyle_jax.jobs.edit_options import strength_text
from restyle_jax.jobs.outputs import OutputError
from restyle_jax.metrics.generated import pictures_of_generator
from restyle_jax.model import invert, synthesise
from restyle_jax.nets.attributes import describe, readings
from restyle_jax.ops.images import to_bytes, to_float
from tests import tiny
from tests.jobs.editing import BATCH, STEPS, STRENGTHS, K, latents, options, photos, picture, run, saved_codes
from tests.nets.test_attributes import network
from tests.nets.test_small_networks import FACE, identity


def along(space: Space = "W", **changes: Any) -> Direction:
    shape = (K, tiny.STYLE_DIM) if space == "W+" else tiny.STYLE_DIM
    vector = np.random.default_rng(5).standard_normal(shape)
    return Direction("smile", vector / np.linalg.norm(vector), space, **changes)


@pytest.fixture(scope="module")
def direction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with two directions, of W and of W+."""
    path = tmp_path_factory.mktemp("direction") / "two.npz"
    write_directions([along(unit=2.0, layers=(1, 2)), dataclasses.replace(along("W+"), name="age")], path)
    return path


@pytest.fixture(scope="module")
def attributes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attributes") / "best"
    save_attributes(network(), {}, path)
    return path


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_codes(tmp_path_factory.mktemp("inverted"))


def test_everything_equals_the_python_interface(tmp_path: Path, direction: Path, attributes: Path):
    names = photos(tmp_path / "photos")
    output = tmp_path / "photos" / "out"  # inside the folder of photos: its pictures are no photos
    asked = options(direction, morph=(-2.0, 1.5), attributes=attributes, target="hat=cap")
    outcome, _ = run(tmp_path / "photos", output, asked)
    assert (outcome.edited, outcome.done_before, outcome.skipped) == (3, 0, {})

    model = rs.load(tiny.checkpoint())
    inputs = np.stack([to_model_input(read_photo(tmp_path / "photos" / name), tiny.SIZE, tiny.SIZE) for name in names])
    pairs = [rs.invert(model, inputs[rows], STEPS, resize_outputs=True).latents[-1] for rows in ([0, 1], [2, 0])]
    codes = np.concatenate(pairs)[:3]
    expected = np.asarray(apply(along(unit=2.0, layers=(1, 2)), codes, STRENGTHS))
    shown = np.stack([synthesise(model, code, batch_size=BATCH) for code in [codes, *expected]])
    with np.load(output / "latents.npz") as file:
        assert file.files == names
        for i, name in enumerate(names):
            np.testing.assert_allclose(file[name], expected[:, i], atol=1e-4)
            assert file[name].dtype == np.float32 and not (file[name][:, 3:] - file[name][1, 3:]).any()
            for j, folder in enumerate(("strength_-2", "strength_0", "strength_1.5")):
                assert np.abs(picture(output / folder / name) - to_bytes(shown[1 + j, i])).max() <= 1
            strip = picture(output / "strips" / name)
            assert strip.shape[1] > 5 * 16 and strip.shape[0] > 16
            with Image.open((output / "morphs" / name).with_suffix(".gif")) as gif:
                assert gif.size == (16, 16) and gif.info["loop"] == 0
                frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(gif)]
            assert MORPH_FRAMES < len(frames) <= 2 * MORPH_FRAMES - 2  # equal neighbours become one
            for frame, end in ((frames[0], shown[1, i]), (frames[len(frames) // 2], shown[3, i])):
                assert np.abs(frame - to_bytes(end)).mean() < 12  # 256 colours

    report = json.loads((output / "metrics.json").read_text())
    assert report == json.loads(json.dumps(outcome.report)) and report["edit"] == "smile" and report["count"] == 3
    assert report["not_measured"].keys() == {"identity"} and report["settings"]["strengths"] == "-2,0,1.5"
    net = network()
    found = [readings(net.config, describe(net, images)) for images in shown]
    made = edit_measures.SPREAD_COUNT
    population = np.concatenate(
        list(pictures_of_generator(*model.require_generator(), made, seed=edit_measures.SPREAD_SEED, batch_size=BATCH))
    )
    spread = readings(net.config, describe(net, to_float(population))).std(axis=0)
    changes = np.stack([(part - found[0]) / spread for part in found[1:]])  # [strength, photo, attribute]
    hat = list(net.config.columns).index("hat=cap")
    others = [i for i, attribute in enumerate(net.config.columns.values()) if attribute != "hat"]
    for j, entry in enumerate(report["mean"]):
        assert entry["strength"] == STRENGTHS[j]
        np.testing.assert_allclose(entry["attributes"]["target"], changes[j, :, hat].mean(), atol=2e-3)
        dependency = np.abs(changes[j][:, others]).mean(axis=0)
        np.testing.assert_allclose(entry["attributes"]["dependency"]["mean"], dependency.mean(), atol=2e-3)
        np.testing.assert_allclose(entry["attributes"]["dependency"]["max"], dependency.max(), atol=2e-3)
    assert report["mean"][1]["attributes"]["target"] == 0 and abs(report["mean"][2]["attributes"]["target"]) > 1e-3


def test_identity_by_a_network_of_ours(tmp_path: Path, inverted: Path, direction: Path):
    face = identity()
    save_identity(face, {}, tmp_path / "face")
    asked = options(direction, component="age", strengths=(0.0, 9.0), identity_weights=tmp_path / "face")
    outcome, _ = run(inverted, tmp_path / "out", asked)
    same, changed = (entry["identity"] for entry in outcome.report["mean"])
    assert same == pytest.approx(1, abs=1e-5) and changed < 1 - 1e-4
    before, after = (
        np.asarray(face(synthesise(rs.load(tiny.checkpoint()), codes, batch_size=BATCH)))
        for codes in (latents(inverted)["0.jpg"][-1:], latents(tmp_path / "out" / "latents.npz")["0.jpg"][1:])
    )
    expected = (before * after).sum() / np.linalg.norm(before) / np.linalg.norm(after)
    assert outcome.report["images"]["0.jpg"]["identity"][1] == pytest.approx(expected, abs=1e-4)
    save_identity(identity(dataclasses.replace(FACE, resolution=128)), {}, tmp_path / "large")
    outcome, _ = run(inverted, tmp_path / "other", dataclasses.replace(asked, identity_weights=tmp_path / "large"))
    assert "128 px" in outcome.report["not_measured"]["identity"]


def test_saved_codes_are_edited_from_their_last_step_and_continued(tmp_path: Path, inverted: Path, direction: Path):
    asked, output = options(direction, component="age", layers="1-2", strengths=(0.0, 1.5)), tmp_path / "out"
    outcome, _ = run(inverted, output, asked)
    found, codes = latents(output / "latents.npz"), latents(inverted)
    for name, start in codes.items():
        np.testing.assert_array_equal(found[name][0], start[-1])
        assert (np.abs(found[name][1] - start[-1]).max(axis=1) > 0).tolist() == [False, True, True, False, False, False]
    assert outcome.report["edit"] == "age" and outcome.report["not_measured"].keys() == {"attributes", "identity"}
    assert {path.name for path in output.iterdir() if path.name != ".restyle"} == {
        "strength_0", "strength_1.5", "strips", "latents.npz", "metrics.json"
    }  # fmt: skip

    times = {path: path.stat().st_mtime_ns for path in output.glob("*/*.png")}
    outcome, said = run(inverted, output, asked)
    assert outcome.edited == 0 and outcome.done_before == 3 and "Nothing to do" in said[0]
    more = tmp_path / "latents.npz"
    np.savez(more, allow_pickle=False, **codes, **{"new.png": codes["1.jpg"]})  # a fourth photo joins
    outcome, _ = run(more, output, asked)
    assert outcome.edited == 1 and len(latents(output / "latents.npz")) == 4
    assert {path: path.stat().st_mtime_ns for path in times} == times
    np.savez(more, allow_pickle=False, **{**codes, "0.jpg": codes["1.jpg"]})
    with pytest.raises(OutputError, match=r"other photos with the same names \(1, such as 0\.jpg\)"):
        run(more, output, asked)
    with pytest.raises(OutputError, match=r"strengths: 0,1\.5 there, 2 now"):
        run(inverted, output, dataclasses.replace(asked, strengths=(2.0,)))
    outcome, _ = run(inverted, output, dataclasses.replace(asked, strengths=(2.0,), overwrite=True))
    assert outcome.edited == 3 and {path.name for path in output.glob("strength_*")} == {"strength_2"}


def test_damaged_results_are_made_again(tmp_path: Path, inverted: Path, direction: Path):
    asked, output = options(direction, strengths=(1.0,)), tmp_path / "out"
    run(inverted, output, asked)
    expected = latents(output / "latents.npz")

    def repaired(edited: int) -> None:
        outcome, _ = run(inverted, output, asked)
        assert (outcome.edited, outcome.done_before) == (edited, 3 - edited)
        assert outcome.report["images"].keys() == json.loads((output / "metrics.json").read_text())["images"].keys()
        found = latents(output / "latents.npz")
        assert found.keys() == expected.keys() and all((found[name] == expected[name]).all() for name in expected)

    for text in ('{"images"', "{}", "[]"):
        (output / "metrics.json").write_text(text)
        repaired(0)
    records = sorted((output / ".restyle" / "edited").iterdir())
    records[0].write_bytes(b"")
    repaired(1)
    records[1].write_bytes(records[1].read_bytes()[:200])
    repaired(1)
    content = bytearray(records[2].read_bytes())
    content[content.index(b"NUMPY", content.index(b"codes.npy")) + 200] ^= 1
    records[2].write_bytes(content)
    (output / "metrics.json").unlink()
    with pytest.raises(OutputError, match=r"00000002\.npz: the codes of .* are damaged .*Remove this file"):
        run(inverted, output, asked)
    records[2].unlink()
    repaired(1)


def test_strengths_that_are_nearly_equal_have_folders_of_their_own(tmp_path: Path, inverted: Path, direction: Path):
    asked, output = options(direction, strengths=(1.0000001, 1.0000002)), tmp_path / "out"
    outcome, _ = run(inverted, output, asked)
    assert {path.name for path in output.glob("strength_*")} == {"strength_1.0000001", "strength_1.0000002"}
    assert outcome.report["settings"]["strengths"] == "1.0000001,1.0000002"
    texts = [strength_text(strength) for strength in (-3.0, 0.0, 1.5, 0.1, 1e30, 1e-7, 16777216.0)]
    assert texts == ["-3", "0", "1.5", "0.1", "1e+30", "1e-07", "16777216"]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_numbers_that_are_not_finite_are_null(tmp_path: Path, inverted: Path, direction: Path, attributes: Path):
    asked = options(direction, strengths=(0.0, 3e38), attributes=attributes, target="smile")
    outcome, _ = run(inverted, tmp_path / "out", asked)
    report = json.loads((tmp_path / "out" / "metrics.json").read_text(), parse_constant=pytest.fail)
    first, last = (entry["attributes"] for entry in report["mean"])
    assert first["target"] == 0 and "dependency" in first
    assert last["target"] is None and "dependency" not in last
    assert "smaller strengths" in outcome.report["not_measured"]["null in attributes"]


def test_unreadable_photos_are_skipped(tmp_path: Path, direction: Path):
    photos(tmp_path / "photos")
    (tmp_path / "photos" / "text.jpg").write_text("not a photo")
    outcome, said = run(tmp_path / "photos", tmp_path / "out", options(direction, strengths=(1.0,)))
    assert outcome.edited == 3 and list(outcome.skipped) == ["text.jpg"] == list(outcome.report["skipped"])
    assert any("not a picture" in text for text in said)
    shutil.copy(tmp_path / "photos" / "0.png", tmp_path / "photos" / "text.jpg")
    outcome, _ = run(tmp_path / "photos", tmp_path / "out", options(direction, strengths=(1.0,)))
    assert outcome.edited == 1 and outcome.done_before == 3 and not outcome.skipped


def test_photos_whose_pictures_are_gone_are_done_again(tmp_path: Path, direction: Path):
    photos(tmp_path / "photos", 4)
    shutil.copy(
        tmp_path / "photos" / "0.png", tmp_path / "photos" / "0.jpg"
    )  # they share the short name of their results
    output, asked = tmp_path / "out", options(direction, strengths=(1.0,), morph=(-1.0, 1.0))
    run(tmp_path / "photos", output, asked)
    codes, pictures = latents(output / "latents.npz"), {*output.glob("[sm]*/**/*.*")}
    for gone in ("strength_1/0.jpg.png", "strips/deep/1.png", "morphs/2.gif"):
        (output / gone).unlink()
    outcome, _ = run(tmp_path / "photos", output, asked)
    assert (outcome.edited, outcome.done_before, outcome.skipped) == (3, 2, {})
    assert {*output.glob("[sm]*/**/*.*")} == pictures and len(list((output / ".restyle" / "edited").iterdir())) == 5
    for name, code in latents(output / "latents.npz").items():
        np.testing.assert_allclose(code, codes[name], atol=1e-4)
    assert "Nothing to do" in run(tmp_path / "photos", output, asked)[1][-1]


def test_results_are_no_inputs_and_long_names_are_skipped(tmp_path: Path, direction: Path):
    """Names of 251 letters leave no place for the second ending that tells their results apart."""
    photos(tmp_path / "photos", 1)
    for ending in ("png", "bmp"):
        Image.new("RGB", (20, 20)).save(tmp_path / "photos" / f"{'a' * 251}.{ending}")
    outcome, _ = run(tmp_path / "photos", tmp_path / "out", options(direction))
    assert outcome.edited == 1 and set(outcome.skipped) == {f"{'a' * 251}.png", f"{'a' * 251}.bmp"}
    assert all("Shorten its name" in reason for reason in outcome.skipped.values())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    with pytest.raises(OutputError, match="--input lies inside --output"):
        run(tmp_path / "out" / "strips", tmp_path / "out", options(direction, overwrite=True))
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}


def test_photos_whose_inversion_diverges_are_skipped(tmp_path: Path, direction: Path, monkeypatch: pytest.MonkeyPatch):
    photos(tmp_path / "photos")

    def diverging(*arguments: Any, **settings: Any) -> Any:
        found = invert(*arguments, **settings)
        return found._replace(latents=found.latents.at[:, 0].set(np.nan))

    monkeypatch.setattr(edit_inputs, "invert", diverging)
    outcome, said = run(tmp_path / "photos", tmp_path / "out", options(direction))
    assert outcome.edited == 1 and list(outcome.skipped) == ["0.png", "deep/1.png"]  # the first of each batch
    assert all("its inversion diverged" in reason for reason in outcome.skipped.values()) and len(said) == 2
    assert all(np.isfinite(codes).all() for codes in latents(tmp_path / "out" / "latents.npz").values())


def test_requests_that_do_not_fit(tmp_path: Path, inverted: Path, direction: Path, attributes: Path):
    def refused(error: type[Exception], words: str, inputs: Path = inverted, **changes: Any) -> None:
        with pytest.raises(error, match=words):
            run(inputs, tmp_path / "out", options(**{"file": direction, **changes}))
        assert not (tmp_path / "out").exists()

    def one(direction: Direction) -> Path:
        write_directions([direction], tmp_path / "one.npz")
        return tmp_path / "one.npz"

    def codes(shape: tuple[int, ...] = (1, K, tiny.STYLE_DIM), value: float = 0) -> Path:
        np.savez(tmp_path / "codes.npz", allow_pickle=False, **{"a.png": np.full(shape, value, np.float32)})
        return tmp_path / "codes.npz"

    no_file = tmp_path / "nowhere"
    refused(CheckpointError, r"nowhere: found no such file; expected a file with directions", file=no_file)
    refused(
        CheckpointError, r"no component 'pose'; expected a number from 0 to 1, or one of smile, age", component="pose"
    )
    refused(CheckpointError, "no component '2'", component="2")
    refused(CheckpointError, r"^--layers 6: layers are \[6\], expected numbers from 0 to 5", layers="6")
    refused(CheckpointError, r"^--layers x: layers are \"x\"", layers="x")
    refused(CheckpointError, r"^--layers 4-2: layers are \[\], expected numbers from 0 to 5", layers="4-2")
    refused(CheckpointError, r"one\.npz: .* direction in Z, but photos", file=one(along("Z")))
    refused(CheckpointError, r"one\.npz: .* needs codes .*6 x 32", file=one(Direction("a", np.ones((4, 32)), "W+")))
    refused(CheckpointError, r"one\.npz: .* needs codes", file=one(Direction("a", np.ones(512), "W")))
    refused(CheckpointError, r"one\.npz: .* needs codes", file=one(Direction("a", np.ones(9), "S", widths=(4, 5))))
    refused(CheckpointError, r"no attribute 'nose'; expected one of yaw, smile", attributes=attributes, target="nose")
    refused(CheckpointError, "expected a directory with an attribute network", attributes=tiny.checkpoint())
    broken = tiny.broken(tmp_path / "broken")
    refused(CheckpointError, "broken: found numbers that are not finite", checkpoint=broken, attributes=attributes)
    refused(ImageError, "no such file or folder", no_file)
    refused(CheckpointError, "nowhere.npz: found No such file", no_file.with_suffix(".npz"))
    refused(
        CheckpointError, r"codes\.npz: found float32\[1, 8, 32\] for a\.png; expected .* 6, 32\]", codes((1, 8, 32))
    )
    refused(CheckpointError, f"the generator of {tiny.checkpoint()}", codes((1, 8, 32)))
    refused(CheckpointError, r"codes\.npz: .*not finite for a\.png", codes(value=np.nan))
    np.savez(tmp_path / "codes.npz", allow_pickle=False, **{"a.png": np.full((1, K, tiny.STYLE_DIM), 1e300)})
    refused(CheckpointError, r"codes\.npz: .*in float32 are not finite for a\.png", tmp_path / "codes.npz")
    (tmp_path / "text.npz").write_text("no")
    refused(CheckpointError, r"text\.npz: found contents that cannot.*expected a latents\.npz", tmp_path / "text.npz")
    (tmp_path / "text.npz").write_text("")
    refused(CheckpointError, r"text\.npz: found No data left", tmp_path / "text.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    refused(CheckpointError, r"pipe\.npz: found a named pipe", tmp_path / "pipe.npz")
    with pytest.raises(OutputError, match="given together with other inputs"):
        edit_folder([inverted, inverted], tmp_path / "out", options(direction))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.txt").write_text("mine")
    with pytest.raises(OutputError, match="files that restyle did not make"):
        run(inverted, mine, options(direction))


@pytest.mark.parametrize("network", ["attributes", "classifier", "identity_weights"])
def test_results_of_different_judges_are_not_mixed(network: str, tmp_path: Path, direction: Path):
    """A run in training replaces its network under the same name."""
    file = tmp_path / "network.safetensors"
    asked = options(direction, **{network: file})
    file.write_bytes(b"one")
    first = asked.identity()
    assert asked.identity() == first
    file.write_bytes(b"two")
    assert {key for key, value in asked.identity().items() if value != first[key]} == {"files"}
    file.unlink()
    with pytest.raises(CheckpointError, match=r"network\.safetensors: found no such file"):
        asked.identity()


def test_archives_that_hold_no_codes_of_photos(tmp_path: Path):
    """Names become paths in the output folder, so that none may lead out of it."""
    model, path, array = rs.load(tiny.checkpoint()), tmp_path / "codes.npz", io.BytesIO()
    np.save(array, np.zeros((1, K, tiny.STYLE_DIM), np.float32))

    def refused(words: str, *members: str, content: bytes = array.getvalue()) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, content)
        with pytest.raises(CheckpointError, match=rf"codes\.npz: found {words}.*; expected .* What to do: "):
            Saved.open(path, model)

    for name in ("", ".", "..", "/evil.png", "../../evil.png", "a/../../b.png", "./a.png", "a//b.png"):
        refused(f"codes named {re.escape(repr(name))}", f"{name}.npy")
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused(r"2 codes named 'a\.png'", "a.png.npy", "a.png.npy")
    refused(r"'a\.png', which is no array", "a.png")
    refused(r"\|S8\[\] for a\.png", "a.png.npy", content=b"no array")
    large = array.getvalue().replace(b"(1, 6, 32)", b"(9" + b"0" * 15 + b",)")
    refused(r"something unreadable for a\.png", "a.png.npy", content=large)
    refused("no codes")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(r"c\xff.jpg.npy", array.getvalue())  # as a name that is not UTF-8 is saved
    assert Saved.open(path, model).names == [r"c\xff.jpg"]
