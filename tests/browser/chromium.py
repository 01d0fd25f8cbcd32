"""The browser of this machine."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")


def installed() -> str | None:
    """Its program, or None if there is no Chromium or Chrome."""
    return next(filter(None, map(shutil.which, NAMES)), None)
