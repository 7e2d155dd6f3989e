"""How an output for people looks: its width, its colours, the zone of its times, and how much it lists."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

#: SGR codes by what they mark.
_CODES = {"critical": "1;31", "warning": "33", "info": "36", "ok": "32", "soft": "2"}
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Style:
    """The default is for output that another program may read: nothing is shortened or coloured."""

    width: int | None = None  # columns of the terminal; None: not a terminal
    colour: bool = False
    zone: dt.tzinfo = dt.UTC  # of times
    everything: bool = False  # no limit on what is listed

    def paint(self, text: str, tone: str) -> str:
        """``text`` in the colour of ``tone``: a severity, ``ok``, or ``soft`` for what matters less."""
        code = _CODES.get(tone)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def fit(self, text: str, room: int) -> str:
        """``text`` in at most ``room`` columns on a terminal: its middle is left out, its end tells names apart."""
        if self.width is None or len(text) <= room:
            return text
        room = max(room, 3)
        end = (room - 1) // 2
        return text[: room - 1 - end] + _ELLIPSIS + text[len(text) - end :]

    @property
    def columns(self) -> int:
        """The width of paragraphs, which are never wider than is easy to read."""
        return min(self.width or 80, 100)


PLAIN = Style()
