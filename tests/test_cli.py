"""The `restyle` command as a user runs it: real processes, exit statuses, messages, kills and full disks."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from restyle_jax.cli import main
from restyle_jax.commands.arguments import compilation_cache
from restyle_jax.edit.direction import Direction
from restyle_jax.edit.files import write_directions
from tests import official, tiny


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One compilation cache for all processes, as users have."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(24):
        path = folder / ("nested" if i % 2 else "") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((400, 300)).save(path)
    return folder


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from restyle_jax.cli import main
sys.exit(main(sys.argv[2:]))
"""


def start(cache: Path, *arguments: object, limit: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """A running `restyle`; no file of it may grow beyond `limit` bytes."""
    program = ["-m", "restyle_jax"] if limit is None else ["-c", LIMITED, str(limit)]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=120)
    assert "Traceback" not in error, error
    return process.returncode, out, error


def invert(photos: Path, output: Path) -> list[object]:
    return ["invert", "--checkpoint", tiny.checkpoint(), "--input", photos, "--output", output, "--batch-size", 2]


def results(folder: Path) -> dict[str, bytes | dict]:
    """Contents of all visible files; of the metrics, all but the times."""
    found: dict[str, bytes | dict] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".restyle" not in path.parts
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    found["metrics.json"] = {key: value for key, value in metrics.items() if "seconds" not in key}
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path, photos: Path) -> dict[str, bytes | dict]:
    """The results of a job that nobody disturbs."""
    output = tmp_path_factory.mktemp("whole") / "out"
    status, out, error = finish(start(cache, *invert(photos, output)))
    assert status == 0, error
    assert "24 photo(s) inverted" in out and str(cache) in error and "24/24" in error
    assert list(cache.iterdir()), "compiled programs are kept"
    return results(output)


def test_killed_at_any_moment_and_started_again(tmp_path: Path, cache: Path, photos: Path, whole: dict) -> None:
    output = tmp_path / "out"
    for finished in (1, 5):
        process = start(cache, *invert(photos, output))
        while len(list(output.glob(".restyle/batches/*"))) < finished:
            assert process.poll() is None, "the job ended before it could be killed"
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    done = len(list(output.glob(".restyle/batches/*")))
    assert 5 <= done < 12 and not (output / "latents.npz").exists()
    for path in output.glob("steps/**/*.png"):
        with Image.open(path) as picture:
            picture.load()
    status, _, error = finish(start(cache, *invert(photos, output)))
    assert status == 0, error
    assert results(output) == whole


def test_no_space_left(tmp_path: Path, cache: Path, photos: Path, whole: dict) -> None:
    output = tmp_path / "out"
    largest = max(len(content) for name, content in whole.items() if isinstance(content, bytes))
    for limit in (20_000, largest - 1):  # no batch can be recorded; the last report does not fit
        status, _, error = finish(start(cache, *invert(photos, output), limit=limit))
        assert status == 1
        assert "cannot be written (File too large)" in error and "run the same command again" in error
        assert not (output / "metrics.json").exists()
        assert not list((output / ".restyle" / "unfinished").iterdir())
    assert len(list(output.glob(".restyle/batches/*"))) == 12
    assert finish(start(cache, *invert(photos, output)))[0] == 0
    assert results(output) == whole


def test_help_starts_without_jax() -> None:
    script = (
        "import sys; from restyle_jax.cli import main\n"
        "try: main(['invert', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('jax' in sys.modules)"
    )
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "latents.npz" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("command", [[], ["invert"], ["edit"], ["eval"]])
def test_help_names_every_kind_of_encoder(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    assert re.search(r"ReStyle, pSp, e4e (and the|or) Style Transformer", " ".join(capsys.readouterr().out.split()))


def test_user_errors_are_one_message(tmp_path: Path, cache: Path, photos: Path) -> None:
    text = tmp_path / "model.pt"
    text.write_text("not a checkpoint")
    (tmp_path / "empty").mkdir()
    for arguments, expected in (
        (invert(tmp_path / "empty", tmp_path / "out"), "no photos found"),
        (["inspect", text], "model.pt"),
        (["generate", "--checkpoint", text, "--output", tmp_path / "out", "--seeds", "0"], "model.pt"),
    ):
        status, out, error = finish(start(cache, *arguments))
        assert status == 1 and not out
        assert expected in error and error.splitlines()[-1].startswith("restyle: error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "arguments are required"),
        (["invert", "--checkpoint", "a", "--input", "b", "--output", "c", "--steps", "0"], "at least 1"),
        (["invert", "--checkpoint", "a", "--input", "b", "--output", "c", "--batch-size", "two"], "got 'two'"),
        (["invert", "--check", "a", "--input", "b", "--output", "c"], "no option --check; did you mean --checkpoint?"),
        (["invert", "--checkpoint", "a", "--input", "b", "--output", "c", "--steps", "99999999999"], "at most 1000"),
        (["invert", "--checkpoint", "a", "--input", "b", "--output", "c", "--bootstrap-steps", "1001"], "at most 1000"),
        (
            ["generate", "--checkpoint", "a", "--output", "b", "--seeds", "0", "--truncation-psi", "nan"],
            "a finite number",
        ),
        (
            ["generate", "--checkpoint", "a", "--output", "b", "--seeds", "0", "--truncation-psi", "inf"],
            "a finite number",
        ),
        (
            ["invert", "--checkpoint", "a", "--input", "", "--output", "c"],
            "argument --input: is empty, expected a path",
        ),
        (["generate", "--checkpoint", "a", "--output", "", "--seeds", "0"], "argument --output: is empty"),
        (["edit", "--checkpoint", "", "--input", "b", "--output", "c"], "argument --checkpoint: is empty"),
        (["eval", "--checkpoint", "a", "--data", "", "--output", "c"], "argument --data: is empty"),
        (["train", "a.py", "--workdir", ""], "argument --workdir: is empty"),
        (["inspect", ""], "argument FILE: is empty"),
        (["generate", "--checkpoint", "a", "--output", "b", "--seeds", "3-1"], "ascending range"),
        (["generate", "--checkpoint", "a", "--output", "b", "--seeds", "1,,2"], "neither a seed nor a range"),
        (["generate", "--checkpoint", "a", "--output", "b", "--seeds", "0-99999999999"], "ascending range"),
    ],
)
def test_wrong_usage(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_generate(tmp_path: Path, cache: Path) -> None:
    output = tmp_path / "faces"
    arguments = ["generate", "--checkpoint", tiny.checkpoint(), "--output", output, "--seeds", "0-2,9"]
    status, out, error = finish(start(cache, *arguments, "--no-compilation-cache"))
    assert status == 0, error
    assert "4 picture(s)" in out and "cache" not in error
    assert {path.name for path in output.glob("seed*.png")} == {f"seed{i:04d}.png" for i in (0, 1, 2, 9)}


def test_streams_that_are_closed_or_narrow(tmp_path: Path, cache: Path) -> None:
    def shell(line: str, **environment: str) -> tuple[int, bytes, bytes]:
        script = f'restyle() {{ {sys.executable} -m restyle_jax "$@"; }}; set -o pipefail; {line}'
        done = subprocess.run(["bash", "-c", script], env={**os.environ, **environment}, capture_output=True)
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    assert shell("restyle zoo 2>&1 | true")[0] == 141
    assert shell("restyle inspect nowhere 2>&-") == (1, b"", b"")
    status, _, error = shell("restyle zoo > /dev/full")
    assert status == 1 and b"No space left" in error
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    generate = f"restyle generate --checkpoint {tiny.checkpoint()} --seeds 0 --output $OUTPUT"
    strict = {"OUTPUT": name, "JAX_COMPILATION_CACHE_DIR": str(cache), "PYTHONIOENCODING": "utf-8:strict"}
    status, out, _ = shell(f"{generate} 2>&-", **strict)
    assert status == 0 and rb"\udcff" in out and os.path.exists(f"{name}/seed0000.png")
    for platform in ("nonsense", "cuda" if jax.default_backend() == "cpu" else "nonsense"):
        status, _, error = shell(generate, **strict, JAX_PLATFORMS=platform)
        assert status == 1 and f"JAX_PLATFORMS={platform}: JAX finds no such device".encode() in error


IGNORED = """
import gc, os, signal, sys, threading, time
from restyle_jax.cli import command

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

def interrupt(phase, info):  # as a signal that comes during a collection is handled in its callback
    if sys.unraisablehook is not sys.__unraisablehook__ and not asked:
        asked.append(phase)
        if sys.argv.pop() == "finalizer":
            Finalized()
        else:
            os.kill(os.getpid(), signal.SIGINT)

asked = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # which jobs in the background of a shell ignore
threading.Thread(target=time.sleep, args=(30,)).start()  # as XLA's, which compile on
gc.callbacks.append(interrupt)
command()
"""


@pytest.mark.parametrize("place", ["collection", "finalizer"])
def test_an_interrupt_always_ends_a_command(place: str, tmp_path: Path):
    """Also where Python ignores exceptions, as in callbacks of the garbage collector, and while other threads work."""
    arguments = ["generate", "--checkpoint", tiny.checkpoint(), "--output", tmp_path / "out", "--seeds", "0-999999"]
    done = subprocess.run(
        [sys.executable, "-c", IGNORED, *map(str, arguments), place], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 130 and done.stderr.startswith("restyle: interrupted"), done.stderr
    assert not (tmp_path / "out").exists()


def test_names_beyond_the_encoding_of_the_system(tmp_path: Path, cache: Path) -> None:
    photos, names = tmp_path / "photos", ["\u00fc.png", "\u65e5\u672c/1.png"]
    for name in names:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (9, 200, 30)).save(photos / name)
    write_directions([Direction("smile", np.ones(tiny.STYLE_DIM), "W")], tmp_path / "smile.npz")
    inverted, edited = tmp_path / "inverted", tmp_path / "edited"
    edit = ["edit", "--checkpoint", tiny.checkpoint(), "--input", inverted / "latents.npz", "--output", edited]
    for arguments in (invert(photos, inverted), [*edit, "--direction", tmp_path / "smile.npz", "--morph", "0,1"]):
        environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        status, _, error = finish(start(cache, *arguments, **environment))
        assert status == 0, error
    for file in (*(inverted / "steps" / "5" / name for name in names), *(edited / "strips" / name for name in names)):
        assert file.exists()
    assert all((edited / "morphs" / name).with_suffix(".gif").exists() for name in names)
    for folder in (inverted, edited):
        report = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        assert {name: image["file"] for name, image in report["images"].items()} == {name: name for name in names}


def test_an_interrupted_command_promises_no_more_than_it_keeps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("restyle_jax.jobs.convert_files.convert", interrupt)
    assert main(["convert", "a.pt", "b"]) == 130
    assert "what is finished is kept" in capsys.readouterr().err


def test_official_files_through_every_command(
    tmp_path: Path, cache: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, ours, decoder = (tmp_path / name for name in ("whole.pt", "ours", "decoder.pt"))
    official.write(whole, official.checkpoint("ResNetBackboneEncoder", resolution=8))
    assert main(["convert", str(whole), str(ours)]) == 0
    capsys.readouterr()
    for file in (whole, ours):
        assert main(["inspect", "--json", str(file)]) == 0
        assert json.loads(capsys.readouterr().out)["num_styles"] == 4
    assert main(["inspect", str(ours)]) == 0
    assert "K = 4 styles" in capsys.readouterr().out

    official.write(
        decoder, {"g_ema": official.generator(resolution=8, narrow=1), "latent_avg": np.zeros(512, np.float32)}
    )
    assert main(["export", str(decoder), str(tmp_path / "again.pt"), "--format", "rosinality"]) == 0
    assert main(["export", str(whole), str(tmp_path / "narrow.pt"), "--format", "restyle"]) == 1
    assert main(["inspect", str(tmp_path / "nowhere")]) == 1
    printed = capsys.readouterr().err
    assert "keep the model in our own format" in printed and "nowhere" in printed

    output = tmp_path / "out"
    arguments = ["invert", "--checkpoint", whole, "--input", photos / "0.png", "--output", output, "--steps", 2]
    status, _, error = finish(start(cache, *arguments))
    assert status == 0, error
    with np.load(output / "latents.npz", allow_pickle=False) as found:
        assert list(found) == ["0.png"] and found["0.png"].shape == (2, 4, 128)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert compilation_cache() == tmp_path
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert compilation_cache() == tmp_path / "restyle_jax" / "xla"

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    assert compilation_cache() == Path(tempfile.gettempdir()) / "restyle_jax" / "xla"
