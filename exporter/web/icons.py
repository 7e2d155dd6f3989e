"""The icon of the pages: in the colour of the verdict for tabs, and as an image for home screens."""

from __future__ import annotations

import json
import math
import struct
import zlib
from functools import cache
from urllib.parse import quote

_COLOURS = {"ok": "#1a7f45", "warning": "#b36b00", "critical": "#b3261e", "info": "#2b5fad", "soft": "#5b6575"}
#: Not by colour alone: a tick, an exclamation mark, a cross, a question mark's dot.
_MARKS = {"ok": "M4.5 8.5l2.5 2.5 4.5-5", "warning": "M8 4v5M8 12v.01", "critical": "M5.5 5.5l5 5m0-5l-5 5"}
SIZE = 192  # pixels, of the image
#: What a browser needs to put the page on a home screen.
MANIFEST = json.dumps(
    {
        "name": "OpenClaw credentials",
        "short_name": "OpenClaw auth",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f6f7f9",
        "theme_color": _COLOURS["info"],
        "icons": [{"src": "icon.png", "sizes": f"{SIZE}x{SIZE}", "type": "image/png", "purpose": "any maskable"}],
    }
)


@cache
def icon(tone: str) -> str:
    """A data URL of the icon in the colour of ``tone``."""
    mark = (
        f'<path d="{_MARKS.get(tone, "M8 8v.01")}" stroke="#fff" stroke-width="2" fill="none" stroke-linecap="round"/>'
    )
    disc = f'<circle cx="8" cy="8" r="8" fill="{_COLOURS.get(tone, _COLOURS["soft"])}"/>'
    return "data:image/svg+xml," + quote(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{disc}{mark}</svg>'
    )


@cache
def png() -> bytes:
    """The image for home screens: a tick in a ring. Takes a moment."""
    blue, white = bytes.fromhex(_COLOURS["info"][1:]), b"\xff\xff\xff"
    rows = (b"\0" + b"".join(white if _is_drawn(x, y) else blue for x in range(SIZE)) for y in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)  # 8 bits each of red, green and blue
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _is_drawn(x: int, y: int) -> bool:
    ring = abs(math.hypot(x - 96, y - 96) - 58) < 6
    tick = (abs((y - 118) - (x - 86)) < 8 and 66 < x <= 88) or (abs((y - 120) + (x - 88)) < 8 and 86 <= x < 126)
    return ring or tick


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
