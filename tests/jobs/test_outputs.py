"""Output folders and records: claimed once, never half-written, named without collisions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from restyle_jax.jobs.outputs import OutputError, OutputFolder
from restyle_jax.jobs.records import Inverted, Records, Timing, choose_outputs

SETTINGS = {"steps": 5, "dtype": "float32"}
TIMING = Timing(1.0, 0.5, 2)


def inverted(name: str) -> Inverted:
    return Inverted(name, name, size=1, modified=2, checksum=3, l2=[0.5])


def test_a_job_that_does_not_start_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), OutputFolder.claim(tmp_path / "a" / "b", "invert"):
        raise KeyError
    assert not (tmp_path / "a").exists()
    (tmp_path / "empty").mkdir()
    with OutputFolder.claim(tmp_path / "empty", "invert"):
        pass
    assert list((tmp_path / "empty").iterdir()) == []


def test_settings_and_command_are_remembered(tmp_path: Path) -> None:
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.expect(SETTINGS)
        folder.start(SETTINGS)
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.expect(SETTINGS)
        with pytest.raises(OutputError, match=r"dtype: float32 there, bfloat16 now; steps: 5 there, None now"):
            folder.expect({"dtype": "bfloat16"})
    with (
        pytest.raises(OutputError, match="results of `restyle invert`"),
        OutputFolder.claim(tmp_path / "out", "generate"),
    ):
        pass
    for text in ("", "[]", "{}", '{"command": "invert", "settings": []}'):
        (tmp_path / "out" / ".restyle" / "job.json").write_text(text)
        with pytest.raises(OutputError, match=r"job\.json: damaged"), OutputFolder.claim(tmp_path / "out", "invert"):
            pass


def test_two_processes_cannot_use_one_folder(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from restyle_jax.jobs.outputs import OutputFolder, OutputError\n"
        "try:\n"
        "    with OutputFolder.claim(pathlib.Path(sys.argv[1]), 'invert'): print('claimed')\n"
        "except OutputError as error: print(error)\n"
    )

    def other() -> str:
        return subprocess.run([sys.executable, "-c", script, tmp_path / "out"], capture_output=True, text=True).stdout

    with OutputFolder.claim(tmp_path / "out", "invert"):
        assert "another restyle process" in other()
        assert (tmp_path / "out" / ".restyle").exists()
    assert other() == "claimed\n"


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        target = folder.root / "a" / "b.txt"
        with pytest.raises(KeyError), folder.writing(target) as path:
            path.write_text("half")
            raise KeyError
        assert not target.exists()
        with folder.writing(target) as path:
            path.write_text("whole")
            assert not target.exists()
        assert target.read_text() == "whole"
        with pytest.raises(OutputError, match=r"b\.txt/c\.txt: cannot be written"), folder.writing(target / "c.txt"):
            pass
        assert list((folder.work / "unfinished").iterdir()) == []


def test_json_holds_what_json_knows(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.jpg")
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        folder.write_json(
            folder.root / "a.json", {odd: [1.5, float("nan"), (-float("inf"), 2)], "ä": odd, "none": None}
        )
    found = json.loads((tmp_path / "out" / "a.json").read_bytes(), parse_constant=pytest.fail)
    assert found == {r"\udcff.jpg": [1.5, None, [None, 2]], "ä": r"\udcff.jpg", "none": None}


def test_large_npz_is_written_one_array_at_a_time(tmp_path: Path) -> None:
    arrays = {"sub/ä.png": np.arange(6, dtype=np.float32).reshape(2, 3), "b.jpg": np.float32(1.5)}
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        with folder.writing_npz(folder.root / "x.npz") as add:
            for name, array in arrays.items():
                add(name, np.asarray(array))
    with np.load(tmp_path / "out" / "x.npz", allow_pickle=False) as found:
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_clear_removes_products_only(tmp_path: Path) -> None:
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        folder.write_png(folder.root / "steps" / "1" / "a.png", np.zeros((2, 2, 3), np.uint8))
        folder.write_json(folder.root / "metrics.json", {})
        folder.write_png(folder.root / "steps" / "2" / "sub" / "a.png", np.zeros((2, 2, 3), np.uint8))
        for mine in ("mine.txt", "steps/2/notes.txt", "mine/metrics.json", "metrics.json.old"):
            (folder.root / mine).parent.mkdir(exist_ok=True)
            (folder.root / mine).write_text("")
        (folder.root / "empty").mkdir()
        folder.clear(re.compile(r"steps/\d/.+\.png|metrics\.json"))
        assert folder.saved_settings() is None
        found = {path.relative_to(folder.root).as_posix() for path in folder.root.rglob("*")}
        assert {name for name in found if not name.startswith(".restyle")} == {
            *("mine", "mine/metrics.json", "mine.txt", "metrics.json.old", "empty"),
            *("steps", "steps/2", "steps/2/notes.txt"),
        }
        folder.start(SETTINGS)


def test_records_survive_and_ignore_what_was_not_committed(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).normal(size=(3, 2, 4, 8)).astype(np.float32)
    change = np.ones((2, 3, 3))
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        records = Records(folder)
        records.commit([inverted("b"), inverted("c")], codes[:2], change, TIMING)
        records.commit([inverted("a")], codes[2:], 2 * change, TIMING)
        # A process that is killed between its two writes leaves a sum without a batch.
        np.savez(folder.work / "change" / "00000002.npz", sum=100 * change)

        again = Records(folder)
        assert again.inverted == records.inverted and again.timings == records.timings
        assert again.change_sum is not None
        np.testing.assert_array_equal(again.change_sum, 3 * change)
        found = dict(again.latents())
        assert list(found) == ["a", "b", "c"]
        np.testing.assert_array_equal(np.stack([found[name] for name in "bca"]), codes)

        again.commit([inverted("d")], codes[:1], change, TIMING)
        np.testing.assert_array_equal(Records(folder).change_sum, 4 * change)
        for content in (b"PK damaged", b"", b"junk"):
            (folder.work / "batches" / "00000001.npz").write_bytes(content)
            with pytest.raises(OutputError, match="record of finished photos is damaged") as caught:
                Records(folder)
            assert "pickle" not in str(caught.value)


def test_output_names() -> None:
    assert choose_outputs(["a.jpg", "b/c.d.PNG", "plain"], {}) == {
        "a.jpg": "a.png", "b/c.d.PNG": "b/c.d.png", "plain": "plain.png"
    }  # fmt: skip
    assert choose_outputs(["a.jpg", "a.png"], {}) == {"a.jpg": "a.jpg.png", "a.png": "a.png.png"}
    assert choose_outputs(["a.png"], {"a.jpg": "a.png"}) == {"a.png": "a.png.png"}, "an earlier a.jpg keeps a.png"
    assert choose_outputs(["a.jpg", "A.png", "a.jpg.bmp"], {})["a.jpg.bmp"] != "a.jpg.png"
    assert choose_outputs(["x.jpg", "x.png/y.jpg"], {})["x.jpg"] != "x.png", "x.png is a folder"
    assert choose_outputs(["x.jpg"], {"x.png/y.jpg": "x.png/y.png"}) == {"x.jpg": "x.jpg.png"}, "of an earlier run"
    assert choose_outputs(["x.png/y.jpg"], {"x.jpg": "x.png"}) == {"x.png/y.jpg": "x.png_y.jpg.png"}, "x.png is a file"


PARTS = st.sampled_from(["a", "A", "a.png", "a.jpg", "b.png", "a.png.png", "a.jpg.png", "c"])
NAMES = st.lists(st.lists(PARTS, min_size=1, max_size=2).map("/".join), unique=True, max_size=8)


@given(NAMES, st.integers(0, 8))
def test_output_names_never_collide(names: list[str], done: int) -> None:
    earlier = choose_outputs(names[:done], {})
    outputs = choose_outputs(names, earlier)
    assert outputs.keys() == {*names} and outputs.items() >= earlier.items()
    assert len({output.casefold() for output in outputs.values()}) == len(names)
    assert all(output.endswith(".png") for output in outputs.values())
    results, before = ({output.casefold() for output in chosen.values()} for chosen in (outputs, earlier))
    for name, output in outputs.items():
        above, wanted = ({str(parent).casefold() for parent in PurePosixPath(p).parents} for p in (output, name))
        assert results.isdisjoint(above), "no result is a folder of another"
        assert os.path.dirname(output) == ("" if before & wanted else os.path.dirname(name))


def test_pictures_are_stored_exactly(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    with OutputFolder.claim(tmp_path / "out", "invert") as folder:
        folder.start(SETTINGS)
        folder.write_png(folder.root / "a.png", pixels)
    with Image.open(tmp_path / "out" / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
