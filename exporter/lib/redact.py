"""Words of other programs, made safe to show: one line, bounded, without control characters or secrets.

Used wherever a message that we did not write ourselves goes into an error, a log or a page.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

REDACTED = "<redacted>"

_ENOUGH = 16_384  # characters looked at; what follows is not shown
#: Terminal colours and titles. Every repetition stops at the next escape, so the whole is linear.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_URL_PASSWORD = re.compile(r"(?<=://)[^\s/@]{1,512}@")
_NAMED = re.compile(
    r"(?i)((?:token|secret|password|passwd|api[_-]?key|authorization|credential)s?[\"']?\s{0,4}[=:]\s{0,4})"
    r"(?:bearer\s+|basic\s+)?(?!<redacted>)[\"']?[^\s\"',;]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!<redacted>)\S{6,}")
_PREFIXED = re.compile(r"\b(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+/=_.…-]{3,}")
#: The first and last characters of a secret with dots between, as OpenClaw masks them.
_MASKED = re.compile(r"[A-Za-z0-9+/=_-]{4,}(?:\.{3}|…)[A-Za-z0-9+/=_-]{4,}")
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{20,}")


def safe_text(text: str, limit: int = 200) -> str:
    """At most ``limit`` characters of ``text`` on one line, anything that looks like a secret redacted.

    What looks like one: a value named token, secret, password or key; ``sk-…`` and its like; masked
    secrets; every run of 20 or more characters of base64 or hex. Harmless long words go with them:
    a message that is worse to read is better than one that tells.
    """
    if len(text) > _ENOUGH:
        # A word that is cut could be the harmless-looking head of a secret: leave it out.
        head = text[:_ENOUGH]
        text = head[: max(map(head.rfind, " \n\t")) + 1]
    text = ANSI.sub("", text)
    text = "".join(" " if _is_space(char) else char for char in text if not _is_hidden(char))
    text = _URL_PASSWORD.sub(f"{REDACTED}@", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _NAMED.sub(rf"\1{REDACTED}", text)
    for pattern in (_PREFIXED, _LONG, _MASKED):  # in this order no pattern meets a long run twice
        text = pattern.sub(REDACTED, text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


#: What nobody names a profile, provider or model: a key with its issuer's prefix.
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+/=_-]{16,}")


def safe_name(text: str) -> str:
    """An id, provider or model as it is, except for a key pasted where a name belongs.

    Such a key becomes a mark that differs from key to key. Half characters, which JSON can spell and
    no output could encode, are written out.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    return _KEY.sub(lambda found: f"{REDACTED}-{hashlib.sha256(found[0].encode()).hexdigest()[:8]}", text)


def _is_space(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cc"


def _is_hidden(char: str) -> bool:
    """Format characters (they can reverse a line), lone surrogates, private and unassigned ones."""
    return unicodedata.category(char) in ("Cf", "Cs", "Co", "Cn")
