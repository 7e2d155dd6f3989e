"""Makes text from other programs safe to show: one line, bounded, without control characters or secrets.

Used wherever such text goes into an error, a log or a page.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

REDACTED = "<redacted>"

_MAX_INPUT = 16_384  # characters; the rest is not shown
#: Terminal colours and titles. Every repetition stops at the next escape, so matching is linear.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_URL_PASSWORD = re.compile(r"(?<=://)[^\s/@]{1,512}@")
_NAMED = re.compile(
    r"(?i)((?:token|secret|password|passwd|api[_-]?key|authorization|credential)s?[\"']?\s{0,4}[=:]\s{0,4})"
    r"(?:bearer\s+|basic\s+)?(?!<redacted>)[\"']?[^\s\"',;]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!<redacted>)\S{6,}")
_PREFIXED = re.compile(r"\b(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+/=_.…-]{3,}")
#: The first and last characters of a secret with dots between them, as OpenClaw masks it.
_MASKED = re.compile(r"[A-Za-z0-9+/=_-]{4,}(?:\.{3}|…)[A-Za-z0-9+/=_-]{4,}")
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{20,}")


def safe_text(text: str, limit: int = 200) -> str:
    """At most ``limit`` characters of ``text`` on one line, with everything that looks like a secret redacted.

    These look like a secret: a value named token, secret, password or key; ``sk-…`` and similar prefixes; masked
    secrets; every run of 20 or more characters of base64 or hex. Harmless long words are redacted, too: an unclear
    message is better than a leaked secret.
    """
    if len(text) > _MAX_INPUT:
        # A word that is cut off could be the harmless-looking start of a secret, so leave it out.
        head = text[:_MAX_INPUT]
        text = head[: max(map(head.rfind, " \n\t")) + 1]
    text = ANSI.sub("", text)
    text = "".join(" " if _is_space(char) else char for char in text if not _is_hidden(char))
    text = _URL_PASSWORD.sub(f"{REDACTED}@", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _NAMED.sub(rf"\1{REDACTED}", text)
    for pattern in (_PREFIXED, _LONG, _MASKED):  # in this order no pattern scans a long run twice
        text = pattern.sub(REDACTED, text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


#: A key with its issuer's prefix. No profile, provider or model has such a name.
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+/=_-]{16,}")


def safe_name(text: str) -> str:
    """An id, provider or model, with a key that was pasted in place of a name redacted.

    The replacement differs from key to key. Lone surrogates, which JSON can contain and no output can encode, are
    escaped.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    return _KEY.sub(lambda found: f"{REDACTED}-{hashlib.sha256(found[0].encode()).hexdigest()[:8]}", text)


def _is_space(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cc"


def _is_hidden(char: str) -> bool:
    """Format characters (which can reverse a line), lone surrogates, private and unassigned characters."""
    return unicodedata.category(char) in ("Cf", "Cs", "Co", "Cn")


def internal_error(error: BaseException, doing: str) -> str:
    """A sentence for a bug of our own. The text of the error is left out: it may quote a secret."""
    return f"Internal error while {doing} ({type(error).__name__})"
