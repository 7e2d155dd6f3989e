"""Reads a program's screen and what a person pastes: links, codes, a token, what is wrong, what may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.lib.known_secrets import KNOWN, REDACTED
from exporter.lib.printable import one_line
from exporter.verdict.remedies import TOKEN_BEGINS, TOKEN_LENGTH

#: How much of a screen is shown.
MAX_LINES, MAX_WIDTH = 40, 2000
#: What boxes, progress bars and pictures are made of.
_DRAWING = re.compile(r"[\u2500-\u259f\u25a0-\u25ff]+")
#: What stands before each entry of a list to choose from: whether it is the chosen one.
_CHOICE = re.compile(r"[\s\u2500-\u257f]*([\u25cf\u25cb\u25fb\u25fc]) ")
#: Input that a program shows covered. The end of it may be readable.
_COVERED = re.compile(r"\*\*|▪▪|••|●●")
_LINK = re.compile(r"https://[^\s\"'<>\u2500-\u259f]+")
#: A code that a person enters at the address. OpenClaw's logins write "Code: X", "Enter code: X", "enter the code X".
_DEVICE_CODE = re.compile(
    r"(?:^|\b(?i:enter (?:the )?))(?i:code):? ([A-Z0-9]{4,16}(?:-[A-Z0-9]{3,16}){0,2})(?![A-Za-z0-9-])"
)
_TOKEN = re.compile(r"sk-ant-oat01-[A-Za-z0-9_-]*")  # TOKEN_BEGINS, and whatever follows
_TOKEN_GOES_ON = re.compile(r"[A-Za-z0-9_-]+")
#: What looks like a secret, and no link or device code does.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|ghp|gho|ghu|xox[abprs]|xai)[-_][A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_.-]{16,}"
)
_FAILED = re.compile(r"^(?:[✘✗✖×❌]|error\b|.{0,40}\berror:)", re.I)
_ASKS_ENTER = re.compile(r"^\W*press enter to (?:retry|try again|continue)\b", re.I)
#: Mirrors what the paste in ``terminal`` accepts.
_SECRET_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=:@%,-]+")
MAX_PASTED = 16_384


def links(lines: Sequence[str]) -> tuple[str, ...]:
    """The addresses on the screen, each once."""
    found = (match.rstrip(".,;:)") for line in lines for match in _LINK.findall(line))
    return tuple(dict.fromkeys(link for link in found if not _SECRET.search(link) and one_line(link) == link))


def device_code(lines: Sequence[str]) -> str:
    """The code that a person enters at the address on the screen; empty if there is none, or no address."""
    found = [match for line in shown(lines) for match in _DEVICE_CODE.findall(line)]
    return found[-1] if found and links(lines) else ""


def token(lines: Sequence[str]) -> str | None:
    """The setup-token on the screen, put together if it is wrapped; perhaps only the part that is drawn so far."""
    for number, line in enumerate(lines):
        if (found := _TOKEN.search(line)) is None:
            continue
        whole, at_end = found[0], found.end() == len(line.rstrip())
        for following in lines[number + 1 :]:
            if not at_end or len(whole) >= TOKEN_LENGTH or not _TOKEN_GOES_ON.fullmatch(following.strip()):
                break
            whole += following.strip()
        return whole
    return None


def is_whole(found: str) -> bool:
    return len(found) >= TOKEN_LENGTH


def shown(lines: Sequence[str]) -> tuple[str, ...]:
    """What a page may show of the screen: without drawings, covered input and secrets, and nothing after a token."""
    result: list[str] = []
    for line in lines:
        if TOKEN_BEGINS in line:
            break
        words = " ".join(_DRAWING.sub(" ", line).split())
        if not any(char.isalnum() for char in words) or _COVERED.search(line) or _LINK.fullmatch(words):
            continue
        if choice := _CHOICE.match(line):
            words = f"{choice[1]} {words}"
        safe = _SECRET.sub(REDACTED, KNOWN.redact(words))
        result.append(one_line(safe[:MAX_WIDTH]))
    return tuple(result[-MAX_LINES:])


def failure(lines: Sequence[str]) -> str:
    """What the program says went wrong with what was typed; empty if nothing did."""
    visible = shown(lines)
    for number, line in enumerate(visible):
        if _FAILED.match(line):
            after = visible[number + 1 : number + 2]
            more = [text for text in after if not _ASKS_ENTER.match(text) and not _LINK.search(text)]
            return " ".join([line.lstrip("✘✗✖×❌ "), *more])
    return ""


def asks_enter(lines: Sequence[str]) -> bool:
    """Whether the program waits for Enter before it goes on."""
    return any(_ASKS_ENTER.match(line.strip()) for line in lines)


def pasted(text: str, *, is_token: bool) -> tuple[str, str, str]:
    """The secret in what was pasted, why it cannot be one, and why it may not be a whole one; empty if not so."""
    secret = "".join(text.split())
    if not secret:
        return "", "Nothing was pasted.", ""
    if len(secret) > MAX_PASTED or not _SECRET_CHARACTERS.fullmatch(secret):
        return "", "This is more than a token or key. Copy only that.", ""
    if is_token and len(secret) < TOKEN_LENGTH:
        return secret, "", f"Only {len(secret)} of {TOKEN_LENGTH} characters arrived: it is cut off."
    if is_token and not secret.startswith(TOKEN_BEGINS):
        return secret, "", f"It does not begin with {TOKEN_BEGINS}: something else was copied."
    return secret, "", ""
