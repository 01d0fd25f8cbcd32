"""A web page in one file: HTML from text and pixels, with the pictures inside. Pure functions; they escape all text."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from restyle_jax.viz import GridRow

# Up to this side in pixels pictures are PNG: JPEG would smear them, and saves little.
LARGEST_PNG = 128
JPEG_QUALITY = 90

STYLE = """\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #202124; --faint: #5f6368; --line: #dadce0; --strong: #1a5fd0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --ink: #e8eaed; --faint: #a8adb3; --line: #3c4043; --strong: #8ab4f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
p { max-width: 44rem; }
a { color: var(--strong); }
nav a { display: inline-block; margin-right: 1rem; }
.scroll { overflow-x: auto; }
.sheet { display: grid; grid-template-columns: repeat(var(--columns), clamp(5.5rem, 11vw, 9.5rem)); gap: .3rem; }
.sheet .head { align-self: end; text-align: center; font-size: .85rem; font-weight: 600; }
.sheet .row { grid-column: 1 / -1; margin-top: .4rem; font-size: .85rem; overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { text-align: center; font-size: .75rem; color: var(--faint); }
img { display: block; width: 100%; height: auto; border-radius: 3px; }
img.single { max-width: 20rem; }
svg { display: block; width: 100%; min-width: 27rem; max-width: 44rem; font: 16px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); } svg .each { fill: none; stroke: var(--faint); opacity: .6; }
svg .mean { fill: none; stroke: var(--strong); stroke-width: 3; } svg .mark { fill: var(--strong); }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .15rem 1rem .15rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 400; color: var(--faint); }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: the anchor of its link, a title, paragraphs of plain text, and HTML below them."""

    anchor: str
    title: str
    paragraphs: Sequence[str]
    content: str = ""


def document(title: str, paragraphs: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page, which refers to nothing outside of it."""
    links = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a> ' for section in sections)
    body = "\n".join(
        f'<section id="{section.anchor}">\n<h2>{escape(section.title)}</h2>\n{_text(section.paragraphs)}\n{section.content}\n'
        "</section>"
        for section in sections
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{_text(paragraphs)}
<nav>{links}</nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def sheet(columns: Sequence[str], rows: Sequence[GridRow]) -> str:
    """Pictures u8[h, w, 3] in rows under column titles, with a caption above each row and a note under each picture.

    Narrow screens scroll it sideways. None leaves a place empty.
    """
    cells = [f'<div class="head">{escape(title)}</div>' for title in columns]
    for row in rows:
        cells.append(f'<div class="row">{escape(row.caption)}</div>' if row.caption else "")
        notes = [*row.notes, *[""] * (len(columns) - len(row.notes))]
        for title, picture, note in zip(columns, row.pictures, notes, strict=True):
            described = ", ".join(part for part in (row.caption, title) if part)
            below = f"<figcaption>{escape(note)}</figcaption>" if note else ""
            cells.append("<div></div>" if picture is None else f"<figure>{_image(picture, described)}{below}</figure>")
    inside = "\n".join(cell for cell in cells if cell)
    return f'<div class="scroll"><div class="sheet" style="--columns: {len(columns)}">\n{inside}\n</div></div>'


def animation(gif: bytes, height: int, width: int, described: str) -> str:
    """A GIF of that size."""
    return f'<img class="single" src="{_uri("image/gif", gif)}" width="{width}" height="{height}" alt="{escape(described)}">'


def table(rows: Mapping[str, object]) -> str:
    """Names and values."""
    lines = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>' for name, value in rows.items()
    )
    return f'<div class="scroll"><table>\n{lines}\n</table></div>'


def _text(paragraphs: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)


def _image(picture: np.ndarray, described: str) -> str:
    height, width = picture.shape[:2]
    file = io.BytesIO()
    if max(height, width) <= LARGEST_PNG:
        kind = "image/png"
        Image.fromarray(picture).save(file, "PNG", optimize=True)
    else:
        kind = "image/jpeg"
        Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f'<img src="{_uri(kind, file.getvalue())}" width="{width}" height="{height}" alt="{escape(described)}">'


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
