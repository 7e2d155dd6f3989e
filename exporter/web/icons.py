"""The icon of the pages, in the colour of the verdict."""

from __future__ import annotations

from urllib.parse import quote

_COLOURS = {"ok": "#1a7f45", "warning": "#b36b00", "critical": "#b3261e", "info": "#2b5fad", "soft": "#5b6575"}


def icon(tone: str) -> str:
    """A data URL of the icon in the colour of ``tone``."""
    colour = _COLOURS.get(tone, _COLOURS["soft"])
    body = f'<circle cx="8" cy="8" r="8" fill="{colour}"/><path d="{_MARKS.get(tone, "")}" stroke="#fff" '
    shape = f'{body}stroke-width="2" fill="none" stroke-linecap="round"/>'
    return "data:image/svg+xml," + quote(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{shape}</svg>')


#: Not by colour alone: a tick, an exclamation mark, a cross.
_MARKS = {"ok": "M4.5 8.5l2.5 2.5 4.5-5", "warning": "M8 4v5M8 12v.01", "critical": "M5.5 5.5l5 5m0-5l-5 5"}
