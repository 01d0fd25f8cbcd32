"""`restyle demo --serve`: the page on which one can try models, on this machine only."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from PIL import Image
from tqdm import tqdm

from restyle_jax.demo.live import Live
from restyle_jax.demo.material import edits, pictures
from restyle_jax.demo.studio import Stopwatch, Studio
from restyle_jax.jobs.environment import CompileClock
from restyle_jax.jobs.options import load_model
from restyle_jax.ops.images import to_bytes

ADDRESS = "127.0.0.1"  # never reachable from other machines


class ServeError(Exception):
    """The page cannot be served. The message says what to do."""


def serve(
    models: Mapping[str, Path],
    directions: Sequence[Path] = (),
    *,
    inputs: Sequence[Path] = (),
    steps: int = 5,
    port: int | None = None,
    dtype: str = "float32",
    say: Callable[[str], None] = tqdm.write,
) -> None:
    """Serve the page until Ctrl-C, and print its address to stdout when it can be opened.

    Uploaded pictures and results lie in a temporary folder, which is removed at the end. SIGTERM and SIGHUP remove it, too, and end
    the process with the status 128 + their number.

    Args:
      models: checkpoints by the names that the page shows, the chosen one first.
      directions: files whose first directions become sliders; none for principal components.
      inputs: photos and folders of photos to pick from; none for drawn avatars.
      steps: from 1 to 10, where the slider stands at first.
      port: None for the first free one from 7860 upwards.

    Raises:
      ServeError: gradio is missing, or the port cannot be used.
      ImageError: an input does not exist, or none can be read.
      CheckpointError: a checkpoint or a direction cannot be read or does not fit, or a checkpoint cannot invert.
    """
    with (
        ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="restyle_demo_") as folder,
        CompileClock() as clock,
        tqdm(disable=True) as bar,
    ):
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            import gradio  # noqa: F401

            from restyle_jax.demo import interface
        except ImportError as error:
            raise ServeError(f"--serve needs gradio ({error}): pip install 'restyle_jax[demo]'") from error
        lives = {}
        for name, checkpoint in models.items():
            say(f"Loading {name}")
            model = load_model(checkpoint, dtype, of_photos=True)
            chosen = edits(directions, checkpoint, model, batch_size=1)
            lives[name] = Live(Studio(model, 1, bar, Stopwatch(clock)), chosen)
        # Drawn for the encoder that sees most; the others get them smaller.
        finest = max((live.studio.model for live in lives.values()), key=lambda model: model.geometry.width)
        examples = []
        for i, picture in enumerate(pictures(inputs, finest, say)[1]):
            examples.append(Path(folder) / f"example_{i}.png")
            Image.fromarray(to_bytes(picture)).save(examples[-1])
        page = interface.page(lives, examples, steps)
        try:
            address = interface.open_page(page, ADDRESS, port)
        except OSError as error:
            ports = f"port {port}" if port else "any port from 7860 to 7959"
            raise ServeError(
                f"{ADDRESS}: cannot use {ports}, perhaps because another program does; choose another with --port"
            ) from error
        print(address, flush=True)
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)  # before its folder goes


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process by an exception, so that what is temporary is removed. `nohup` stays in force."""

    def end(number: int, _: FrameType | None) -> None:
        for ending in taken:
            signal.signal(ending, signal.SIG_IGN)  # nothing interrupts the removal
        sys.exit(128 + number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    here = threading.current_thread() is threading.main_thread()  # no other may set handlers
    taken = [number for number in numbers if here and signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
