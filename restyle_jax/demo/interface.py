"""The served page in gradio: what is seen, and what answers. Only `serve` imports it, since gradio is an extra."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.themes import Default

from data_pipelines.folder import IMAGE_EXTENSIONS, ImageError, read_photo
from restyle_jax.demo import MOST_STEPS
from restyle_jax.demo.live import Live
from restyle_jax.demo.studio import small
from restyle_jax.ops.images import to_bytes

NO_RESULTS = (None, [], None, None)  # of another picture or model

INTRODUCTION = (
    "# Invert a picture, then edit it\n"
    "A StyleGAN generator draws pictures from codes, which are lists of numbers. To *invert* a picture means to find the code from "
    "which the generator draws it. Once there is a code, the picture can be edited by changing the numbers."
)
STEPS = (
    "ReStyle begins with the average picture. In every step the encoder looks at the input and at its last result side by side and "
    "corrects the code. L2 is the mean squared difference to the input: 0 means equal."
)
SINGLE_STEP = "This model makes a single step: its encoder looks at the input once and gives the code."
EDITS = (
    "Each slider adds a direction to the code, as often as it says; together they add up. A principal component is a direction "
    "along which codes differ most, and has no name: what it changes is seen in the picture."
)
# Small pictures fill their places, those in rows share the width, and captions stand below them and are read whole.
STYLE = """
.gradio-container { max-width: 76rem !important; margin: 0 auto !important; }
.picture img { width: 100% !important; height: 100% !important; object-fit: contain !important; }
.grid-wrap { min-height: 0 !important; max-height: none !important; }
.grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; grid-auto-rows: auto !important; }
#gallery .grid-container { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)) !important; }
.thumbnail-item { aspect-ratio: auto !important; height: auto !important; }
.thumbnail-item img { aspect-ratio: 1; height: auto !important; }
.caption-label { position: static !important; max-width: none !important; border: none !important;
  padding: .2rem 0 !important; text-align: center !important; }
#gallery { min-height: 11rem; }
"""


def page(lives: Mapping[str, Live], examples: Sequence[Path], steps: int) -> gr.Blocks:
    """The page, not yet open.

    lives: models by name, which have equally many edits; the first is chosen. examples: picture files, of which the first is
    chosen. steps: where the slider stands at first.
    """
    names = list(lives)

    def pick(event: gr.SelectData) -> tuple[Any, ...]:
        return upload(str(examples[event.index]))

    def upload(file: str) -> tuple[Any, ...]:
        return file, _seen(Path(file)), *NO_RESULTS

    def choose(name: str) -> list[Any]:
        sliders = [gr.update(**settings) for settings in _sliders(lives[name])]
        return [gr.update(**_step_slider(lives[name])), *NO_RESULTS, *sliders]

    def invert(photo: str, name: str, steps: int, *strengths: float) -> tuple[Any, ...]:
        try:
            found = lives[name].invert(Path(photo), steps)
        except (ImageError, ValueError) as error:  # the second, if the encoder is not one for photos
            raise gr.Error(str(error), print_exception=False) from error
        made = zip(to_bytes(found.estimates[0, 1:]), found.errors[0, 1:].tolist(), strict=True)
        captioned = [(picture, f"step {i + 1}: L2 {error:.4f}") for i, (picture, error) in enumerate(made)]
        code = name, found.latents
        return code, captioned, lives[name].picture(found.latents, [0] * len(strengths)), edit(code, *strengths)

    def edit(code: tuple[str, np.ndarray] | None, *strengths: float) -> np.ndarray | None:
        return lives[code[0]].picture(code[1], strengths) if code else None

    with gr.Blocks(title="ReStyle", analytics_enabled=False) as blocks:
        photo, code = gr.State(str(examples[0])), gr.State()
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                gr.Markdown("### 1. Choose a picture")
                shown = _picture("Your picture", "photo", _seen(examples[0]))
                button = gr.UploadButton("Upload a picture", file_types=list(IMAGE_EXTENSIONS), elem_id="upload")
                gr.Markdown("… or pick one of these:")
                thumbnails = gr.Gallery(
                    [(_seen(path), None) for path in examples],
                    show_label=False,
                    object_fit="cover",
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    format="png",
                    elem_id="examples",
                )
            with gr.Column(scale=2, min_width=320):
                gr.Markdown("### 2. Invert it")
                with gr.Row():
                    model = gr.Dropdown(names, value=names[0], label="Model", elem_id="model")
                    count = gr.Slider(1, MOST_STEPS, steps, step=1, elem_id="steps", **_step_slider(lives[names[0]]))
                start = gr.Button("Invert", variant="primary", elem_id="invert")
                gr.Markdown(STEPS)
                gallery = gr.Gallery(show_label=False, buttons=[], interactive=False, format="png", elem_id="gallery")
                gr.Markdown("### 3. Edit it")
                with gr.Row():
                    rebuilt = _picture("Reconstruction", "rebuilt")
                    edited = _picture("Edited", "edited")
                sliders = [gr.Slider(**s, elem_id=f"edit{i}") for i, s in enumerate(_sliders(lives[names[0]]))]
                gr.Markdown(EDITS)
        results = [code, gallery, rebuilt, edited]
        thumbnails.select(pick, None, [photo, shown, *results])
        button.upload(upload, button, [photo, shown, *results])
        model.input(choose, model, [count, *results, *sliders])
        start.click(invert, [photo, model, count, *sliders], results)
        for slider in sliders:
            slider.input(edit, [code, *sliders], edited, trigger_mode="always_last", show_progress="hidden")
    return blocks


def open_page(blocks: gr.Blocks, host: str, port: int | None) -> str:
    """Open the page to `host` only; returns its address. Raises OSError if the port cannot be used."""
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        footer_links=[],
        theme=Default(font="system-ui", font_mono="monospace"),
        css=STYLE,
        _frontend=False,  # no look at its own page first, which fails after 3 seconds where a machine is busy
    )
    return address


def _picture(label: str, elem_id: str, value: np.ndarray | None = None) -> gr.Image:
    return gr.Image(
        value,
        label=label,
        format="png",
        height=300,
        interactive=False,
        buttons=["download"],
        elem_id=elem_id,
        elem_classes="picture",
    )


def _seen(photo: Path) -> np.ndarray:
    """u8[h, w, 3] for the screen, at most 256 px. Raises an error that the page shows, if the file is not a picture."""
    try:
        return small(np.asarray(read_photo(photo)))
    except ImageError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _step_slider(live: Live) -> dict[str, Any]:
    single = live.studio.model.passes(2) == 1
    return {"label": "Number of steps", "info": SINGLE_STEP if single else None, "interactive": not single}


def _sliders(live: Live) -> Sequence[dict[str, Any]]:
    return [
        {"label": edit.name, "minimum": -reach, "maximum": reach, "step": 0.1, "value": 0.0}
        for edit, reach in live.edits
    ]
