"""A stand-in for ``claude setup-token``: its screens as recorded from 2.1.330, drawn with cursor movements.

Usage: ``python tests/stand_ins/claude.py FILE setup-token``, where the file has the token. The code ``right#code``
signs in; another one is refused as the real one refuses it. It reads single keys and shows what was
typed covered, except for the end.
"""

from __future__ import annotations

import os
import sys
import termios
import tty
from pathlib import Path

LINK = "https://claude.ai/oauth/authorize?code=true&client_id=9d1c250a&state=" + "s" * 240
RIGHT = "right#code"


def moved(text: str) -> str:
    """``text`` with a cursor movement for each space."""
    return text.replace(" ", "\x1b[1C")


def draw(*lines: str) -> None:
    """Draw a screen; from 2.1 on it is a picture, then the lines."""
    art = "\x1b[2J\x1b[H\x1b[>0q\x1b[?2004h\x1b[?25l" + moved("Welcome to Claude Code v2.1.330") + "\r\r\n"
    os.write(1, (art + "".join(moved(line) + "\r\r\n" for line in lines)).encode())


def read_line() -> str:
    """What is typed up to Enter. ^C ends the program."""
    typed = b""
    while not typed.endswith(b"\r"):
        key = os.read(0, 1)
        if key in (b"", b"\x03"):
            sys.exit(130)
        typed += key
        if len(typed) > 4 and key != b"\r":
            os.write(1, b"\r\xe2\x94\x82 " + b"*" * (len(typed) - 4) + typed[-4:])
    return typed.decode().strip()


def ask(problem: tuple[str, ...] = ()) -> str:
    link = f"\x1b]8;id=1;{LINK}\x07{LINK}\x1b]8;;\x07"
    draw(" Browser didn't open? Use the URL below to sign in (c to copy)", "", link, "", *problem)
    os.write(1, moved(" Paste code here if prompted > ").encode())
    return read_line()


def main(file: str, command: str) -> int:
    token = Path(file).read_text()
    if command != "setup-token" or not sys.stdin.isatty() or not sys.stdout.isatty():
        return 64
    saved = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        code = ask()
        while code != RIGHT:
            if "#" in code:
                draw(
                    " ✘ OAuth error: Invalid code. Please make sure the full code was copied.",
                    "",
                    " Press Enter to retry",
                )
                read_line()
                code = ask()
            else:
                problem = (
                    " ✘ That doesn't look like the full code.",
                    "   Copy all of it, including the # in the middle.",
                )
                code = ask(problem)
        shown = [token[at : at + os.get_terminal_size().columns] for at in range(0, len(token), 600)]
        draw(
            " ✓ Long-lived authentication token created successfully!", "", " Your OAuth token (valid for 1 year):", ""
        )
        # In two pieces: a reader must not take the first one for all of it.
        for piece in (shown[0][:40], shown[0][40:]):
            os.write(1, piece.encode())
            termios.tcdrain(1)
        os.write(1, moved("\r\r\n\r\r\n Store this token securely. You won't be able to see it again.\r\r\n").encode())
        read_line()
        return 0
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
