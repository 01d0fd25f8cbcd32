"""Reading a page back: its parts, its pictures, and whatever it should not have."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

EMPTY_TAGS = {"meta", "img", "br", "line", "polyline", "circle"}


class Page(HTMLParser):
    """A page that was read: `parts` in order; of each its `images` (kind, file, attributes) and its `text`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.images: dict[str, list[tuple[str, Image.Image, dict[str, str | None]]]] = {}
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert html.startswith("<!DOCTYPE html>") and not self._open, self._open

    @property
    def part(self) -> str:
        return self.parts[-1] if self.parts else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs)
        assert tag not in ("script", "link", "iframe", "object", "form")
        assert not any(name.startswith("on") or name in ("srcset", "action", "background") for name in attributes)
        if tag not in EMPTY_TAGS:
            self._open.append(tag)
        if tag == "section":
            self.parts.append(attributes["id"] or "")
        if tag == "a":
            assert (attributes["href"] or "").startswith("#")
        elif tag == "img":
            self._image(attributes)
        else:
            assert not {"src", "href"} & attributes.keys()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in EMPTY_TAGS
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            assert "url(" not in data and "@import" not in data
        self.text[self.part] = self.text.get(self.part, "") + data

    def _image(self, attributes: dict[str, str | None]) -> None:
        kind, _, data = (attributes["src"] or "").partition(";base64,")
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert kind == f"data:image/{(image.format or '').lower()}"
        image.load()
        assert image.size == (int(attributes["width"] or 0), int(attributes["height"] or 0)) and attributes["alt"]
        self.images.setdefault(self.part, []).append((kind, image, attributes))

    def pictures(self, part: str) -> list[np.ndarray]:
        """Its pictures, u8[h, w, 3]."""
        return [np.asarray(image.convert("RGB")) for _, image, _ in self.images[part]]
