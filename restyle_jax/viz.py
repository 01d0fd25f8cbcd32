"""Pictures of results: grids with captions, heat maps of change and animations. Pure functions from numpy arrays to u8[H, W, 3]."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 33, 36)
FAINT_INK: Colour = (112, 117, 122)
EMPTY_CELL: Colour = (232, 234, 237)

GAP = 4  # pixels between pictures
MARGIN = 16  # around a figure

# Blue, cyan, green, yellow, red with steadily changing hue and no dark ends: for change, blue least and red most.
HEAT_COLOURS = np.array(
    [(44, 62, 160), (45, 125, 220), (40, 185, 200), (110, 215, 120), (225, 215, 65), (245, 140, 45), (200, 30, 30)],
    np.float32,
)


@dataclass(frozen=True)
class GridRow:
    """One row of a grid: a caption above it, u8[h, w, 3] pictures (None for one that is missing) and a note under each."""

    caption: str
    pictures: Sequence[np.ndarray | None]
    notes: Sequence[str] = ()


def text_size(cell_width: int) -> int:
    """Size in pixels of captions that stay readable beside pictures of that width."""
    return max(11, min(18, cell_width // 14))


def picture_grid(columns: Sequence[str], rows: Iterable[GridRow], cell_height: int, cell_width: int) -> np.ndarray:
    """Rows of equally large pictures under column titles.

    Args:
      columns: one title for each column; their number is the width of the grid.
      rows: read once; only the finished part of the figure and one row are held.
      cell_height, cell_width: pixels; pictures of another size are resized.

    Returns:
      u8[H, W, 3]. Raises ValueError if a row has more pictures than there are columns.
    """
    size = text_size(cell_width)
    font, line = _font(size), round(1.5 * size)
    width = 2 * MARGIN + len(columns) * (cell_width + GAP) - GAP
    header = Image.new("RGB", (width, MARGIN + (line + GAP if any(columns) else 0)), PAPER)
    for i, title in enumerate(columns):
        _write(header, title, _left(i, cell_width) + cell_width // 2, MARGIN + size, font, INK, "ms", cell_width)

    strips = [np.asarray(header)]
    for row in rows:
        if len(row.pictures) > len(columns):
            raise ValueError(f"row {row.caption!r} has {len(row.pictures)} pictures for {len(columns)} columns")
        above = line if row.caption else 0
        below = line if any(row.notes) else 0
        strip = Image.new("RGB", (width, above + cell_height + below + 2 * GAP), PAPER)
        _write(strip, row.caption, MARGIN, size, font, INK, "ls", width - 2 * MARGIN)
        for i, picture in enumerate(row.pictures):
            strip.paste(_cell(picture, cell_height, cell_width), (_left(i, cell_width), above))
        for i, note in enumerate(row.notes):
            middle = _left(i, cell_width) + cell_width // 2
            _write(strip, note, middle, above + cell_height + GAP + size, font, FAINT_INK, "ms", cell_width)
        strips.append(np.asarray(strip))
    strips.append(np.full((MARGIN - GAP, width, 3), PAPER, np.uint8))
    return np.concatenate(strips)


def heat_map(values: np.ndarray, top: float) -> np.ndarray:
    """Colours from blue (0) to red (`top` and above) for f32[...] >= 0, u8[..., 3]. All blue if `top` is 0."""
    position = (
        np.clip(np.asarray(values, np.float32) / top, 0, 1) if top > 0 else np.zeros(np.shape(values), np.float32)
    )
    stops = np.linspace(0, 1, len(HEAT_COLOURS))
    channels = [np.interp(position, stops, HEAT_COLOURS[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def change_figure(change: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """Where and how much each step changed the images (as figure 5 of arXiv 2104.02699 shows it).

    The upper row scales each step's map by its own maximum: where the step changed most. The lower row has one scale for
    all steps, so that later and smaller changes look smaller. The bars show mean(change[t]) / sum over t.

    Args:
      change: f32[N, H, W] >= 0, mean over colours (and images) of |y_t - y_(t-1)|.
      steps: N captions.

    Returns:
      u8[height, width, 3].
    """
    count, height, width = change.shape
    size = text_size(width)
    font, line = _font(size), round(1.5 * size)
    total = float(change.mean(axis=(1, 2)).sum())
    shares = change.mean(axis=(1, 2)) / total if total > 0 else np.zeros(count)
    top = float(change.max())

    rows = [
        GridRow("Within a step: own scale", [heat_map(c, float(c.max())) for c in change]),
        GridRow("Across steps: one scale", [heat_map(c, top) for c in change]),
    ]
    maps = picture_grid(steps, rows, height, width)

    bar_height = height // 2
    base = 2 * line + bar_height
    bars = Image.new("RGB", (maps.shape[1], base + 2 * line + MARGIN), PAPER)
    _write(bars, "Share of the total change", MARGIN, size, font, INK, "ls", maps.shape[1] - 2 * MARGIN)
    draw = ImageDraw.Draw(bars)
    for i, share in enumerate(shares):
        left = _left(i, width)
        level = base - round(bar_height * share / max(shares.max(), 1e-12))
        draw.rectangle((left + width // 4, level, left + width - width // 4, base), fill=_bar_colour(share, shares))
        _write(bars, f"{share:.1%}", left + width // 2, level - size // 3, font, INK, "mb", width)
    right = maps.shape[1] - MARGIN
    draw.line((MARGIN, base, right, base), fill=FAINT_INK)
    _colour_scale(bars, top, base + line, line, font)
    return np.concatenate([maps, np.asarray(bars)])


def there_and_back(frames: Sequence[np.ndarray], milliseconds: int) -> bytes:
    """An endless GIF that shows N > 1 pictures u8[H, W, 3] forwards and then backwards, each for `milliseconds`.

    Each frame has a palette of its own: between the ends of a morph there may be colours that neither has.
    """
    shown = [Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT) for frame in frames]
    shown += shown[-2:0:-1]
    file = io.BytesIO()
    shown[0].save(file, "GIF", save_all=True, append_images=shown[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "this Pillow was built without FreeType; install the usual wheel"
    return font


def _bar_colour(share: float, shares: np.ndarray) -> Colour:
    red, green, blue = heat_map(np.array(share), float(shares.max())).tolist()
    return red, green, blue


def _colour_scale(figure: Image.Image, top: float, upper: int, line: int, font: ImageFont.FreeTypeFont) -> None:
    """A horizontal colour bar from least to most, with the value of most in the lower row (images range over 2)."""
    text_width = int(font.getlength("least"))
    left, length = MARGIN + text_width + 2 * GAP, min(160, figure.width // 3)
    ramp = np.broadcast_to(heat_map(np.linspace(0, 1, length), 1.0), (line // 2, length, 3))
    figure.paste(Image.fromarray(np.ascontiguousarray(ramp)), (left, upper + line // 4))
    _write(figure, "least", MARGIN, upper + line // 2, font, FAINT_INK, "lm", text_width)
    start = left + length + 2 * GAP
    most = f"most ({top:.2g})"
    _write(figure, most, start, upper + line // 2, font, FAINT_INK, "lm", figure.width - start - MARGIN)


def _left(column: int, cell_width: int) -> int:
    return MARGIN + column * (cell_width + GAP)


def _cell(picture: np.ndarray | None, height: int, width: int) -> Image.Image:
    if picture is None:
        return Image.new("RGB", (width, height), EMPTY_CELL)
    image = Image.fromarray(picture)
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def _write(
    figure: Image.Image, text: str, x: int, y: int, font: ImageFont.FreeTypeFont, colour: Colour, anchor: str, room: int
) -> None:
    """Draw one line of text, its middle replaced by dots where it is longer than `room` pixels, and escapes for what the font,
    Pillow's own, does not have."""
    text = "".join(c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    shown = text
    kept = len(text)
    while kept > 1 and font.getlength(shown) > room:
        kept -= 1
        shown = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
    ImageDraw.Draw(figure).text((x, y), shown, font=font, fill=colour, anchor=anchor)
