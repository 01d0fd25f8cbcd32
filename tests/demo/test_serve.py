"""What the served page computes, without a browser (tests/browser has one), and what is refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import restyle_jax as rs
from data_pipelines.folder import ImageError
from restyle_jax import model as models
from restyle_jax.cli import main
from restyle_jax.demo.live import Live
from restyle_jax.demo.material import edits
from restyle_jax.demo.serve import ended_by_signals
from restyle_jax.demo.studio import Stopwatch, Studio
from restyle_jax.edit import stylespace
from restyle_jax.edit.direction import Direction, apply
from restyle_jax.edit.files import write_directions
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.ops.images import to_bytes, to_float
from tests import tiny

random = np.random.default_rng(0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(random.integers(0, 256, (tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def directions(tmp_path: Path) -> dict[Path, Direction]:
    """Of W, of W+ in some layers, and of S."""
    generator, w_avg = rs.load(tiny.checkpoint()).require_generator()
    widths = generator.config.style_widths
    smile = Direction("smile", random.standard_normal(tiny.STYLE_DIM), "W")
    age = Direction("age", random.standard_normal(w_avg.shape), "W+", layers=(1, 2))
    hair = Direction("hair", random.standard_normal(sum(widths)), "S", widths=widths)
    files = {tmp_path / f"{direction.name}.npz": direction for direction in (smile, age, hair)}
    for file, direction in files.items():
        write_directions([direction], file)
    return files


@pytest.fixture
def live(directions: dict[Path, Direction]) -> Iterator[Live]:
    model = rs.load(tiny.checkpoint())
    with CompileClock() as clock, tqdm(disable=True) as bar:
        yield Live(Studio(model, 1, bar, Stopwatch(clock)), edits([*directions], tiny.checkpoint(), model, 1))


def test_an_inversion_is_that_of_the_library_and_one_program_makes_any_number_of_steps(live: Live, photo: Path):
    model = live.studio.model
    x = to_float(np.asarray(Image.open(photo)))[None]
    expected = rs.invert(model, x, 10, resize_outputs=True)
    compiled = models._refine._cache_size()
    for steps in (1, 4, 10):
        found = live.invert(photo, steps)
        assert found.estimates.shape == (1, steps + 1, tiny.SIZE, tiny.SIZE, 3)
        np.testing.assert_array_equal(found.estimates[0, 1:], expected.images[:steps, 0])
        np.testing.assert_array_equal(found.latents, expected.latents[steps - 1])
    assert models._refine._cache_size() == compiled


def test_strengths_add_up(live: Live, directions: dict[Path, Direction]):
    smile, age, hair = directions.values()
    model = live.studio.model
    generator, w_avg = model.require_generator()
    latents = np.asarray(w_avg)[None] + random.standard_normal((1, *w_avg.shape)).astype(np.float32)

    def drawn(codes: np.ndarray) -> np.ndarray:
        return to_bytes(models.synthesise(model, codes, batch_size=1))[0].astype(int)

    np.testing.assert_array_equal(live.picture(latents, [0, 0, 0]), drawn(latents))
    step = 2 * smile.vector
    in_w = (latents + step).astype(np.float32)
    in_w[:, 1:3] -= age.vector[1:3].astype(np.float32)
    assert np.abs(live.picture(latents, [2, -1, 0]) - drawn(in_w)).max() <= 1
    styles = np.asarray(apply(hair, stylespace.styles(generator, in_w, batch_size=1), 0.5))
    both = to_bytes(stylespace.pictures(generator, styles, batch_size=1))[0].astype(int)
    assert np.abs(live.picture(latents, [2, -1, 0.5]) - both).max() <= 1
    assert np.abs(drawn(in_w) - both).max() > 10 and np.abs(drawn(in_w) - drawn(latents)).max() > 10


def test_what_is_no_picture_is_named(live: Live, tmp_path: Path):
    (tmp_path / "notes.png").write_text("none")
    with pytest.raises(ImageError, match=r"notes\.png: not a picture"):
        live.invert(tmp_path / "notes.png", 1)


def test_sigterm_removes_what_people_uploaded(tmp_path: Path, directions: dict[Path, Direction], photo: Path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = ["demo", "--serve", "--checkpoint", tiny.checkpoint(), "--direction", *directions, "--input", photo]
    environment = {**os.environ, "TMPDIR": str(temporary), "MPLCONFIGDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "restyle_jax", *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        (folder,) = temporary.glob("restyle_demo_*")
        assert (folder / "example_0.png").exists()
        process.terminate()
        assert process.wait(timeout=60) == 143
        assert "Traceback" not in process.stderr.read()
    assert not folder.exists()


def test_sighup_does_the_same_unless_it_is_ignored_as_by_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with pytest.raises(SystemExit) as ended, ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert ended.value.code == 129 and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_gradio_is_missing():
    code = "import sys; sys.modules['gradio'] = None; from restyle_jax.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["demo", "--serve", "--no-compilation-cache", "--checkpoint", str(tiny.checkpoint())]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and "pip install 'restyle_jax[demo]'" in done.stderr
    assert "Traceback" not in done.stderr and "Loading" not in done.stderr


def test_what_is_refused(
    tmp_path: Path, directions: dict[Path, Direction], photo: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint, alone = str(tiny.checkpoint()), str(tiny.checkpoint(encoder=False))

    def refused(*arguments: str, checkpoints: tuple[str, ...] = (checkpoint,)) -> str:
        assert main(["demo", "--no-compilation-cache", *arguments, "--checkpoint", *checkpoints]) == 1
        return capsys.readouterr().err

    assert "has no encoder" in refused("--serve", checkpoints=(alone,))
    assert "is a sketch (channels: 1)" in refused("--serve", checkpoints=(str(tiny.checkpoint(in_channels=1)),))
    assert "nowhere.pt" in refused("--serve", checkpoints=(str(tmp_path / "nowhere.pt"),))
    assert "expected at most 10 with --serve" in refused("--serve", "--steps", "11")
    assert "--port needs --serve" in refused("--port", "7860")
    assert "--batch-size has no use with --serve" in refused("--serve", "--batch-size", "4")
    write_directions([Direction("wide", np.ones(7), "W")], tmp_path / "wide.npz")
    assert "wide.npz" in refused("--serve", "--direction", str(tmp_path / "wide.npz"))
    smile = ["--direction", str(next(iter(directions)))]
    assert "there is no such file" in refused("--serve", *smile, "--input", str(tmp_path / "none"))
    assert "has 2 values, expected one" in refused("--output", str(tmp_path / "out"), checkpoints=(checkpoint, alone))
    with create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = refused("--serve", *smile, "--input", str(photo), "--port", port)
    assert f"cannot use port {port}" in message and "--port" in message
    for wrong in (["--serve", "--port", "0"], ["--serve", "--port", "65536"], ["--serve", "--output", "out"]):
        with pytest.raises(SystemExit):
            main(["demo", "--checkpoint", checkpoint, *wrong])
