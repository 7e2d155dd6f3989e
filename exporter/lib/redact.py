"""Makes text from other programs safe to show: one line, bounded, without control characters or secrets.

Used wherever such text goes into an error, a log or a page.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata

from exporter.lib.known_secrets import KNOWN, MAX_SECRET, REDACTED

_MAX_INPUT = 16_384  # characters; the rest is not shown
#: Terminal colours and titles. Every repetition stops at the next escape, so matching is linear.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def safe_text(text: str, limit: int = 200) -> str:
    """At most ``limit`` characters of ``text`` on one line, without known secrets and what looks like a secret.

    These look like a secret: the user part of a URL; a value named token, secret, password or key; ``sk-…`` and
    similar prefixes; masked secrets; every run of 20 or more characters of base64 or hex that looks random. Paths,
    ids, versions, times, UUIDs and words stay as they are.
    """
    head = text[: _MAX_INPUT + MAX_SECRET]
    head = ANSI.sub("", head)
    head = "".join(" " if _is_space(char) else char for char in head if not _is_hidden(char))
    shown = KNOWN.redact(" ".join(head.split()))
    if len(text) > _MAX_INPUT:
        # A word that is cut off could be the harmless-looking start of a secret, so leave it out.
        shown = shown[:_MAX_INPUT]
        shown = shown[: shown.rfind(" ") + 1]
    # Imported at the first text, because most checks have none and the patterns take long to compile.
    from exporter.lib.secret_patterns import redact_lookalikes

    shown = redact_lookalikes(shown).strip()
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


#: A key with its issuer's prefix. No profile, provider or model has such a name.
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+/=_-]{16,}")


#: The longest name from outside in UTF-8, in bytes, and how many characters of a longer one are kept.
MAX_NAME, _KEPT = 4096, 256


def bounded_name(text: str) -> str:
    """``text``, or of a text that is too long for a name its beginning and a hash, so that two stay different."""
    if len(text) <= MAX_NAME // 4:
        return text
    data = text.encode("utf-8", "surrogatepass")
    return text if len(data) <= MAX_NAME else f"{text[:_KEPT]}…{hashlib.sha256(data).hexdigest()[:16]}"


def safe_name(text: str) -> str:
    """An id, provider or model in at most MAX_NAME bytes, with a secret that was pasted in place of a name redacted.

    The replacement differs from key to key. Lone surrogates, which JSON can contain and no output can encode, are
    escaped.
    """
    if len(text) <= _KEPT:
        return _safe_name(text, KNOWN.version)
    # Redacted before it is cut, because the part of a secret is no known secret.
    name = _safe_name.__wrapped__(text[: MAX_NAME + MAX_SECRET], KNOWN.version)
    if bounded_name(text) is text and len(name.encode()) <= MAX_NAME:
        return name
    return f"{name[:_KEPT]}…{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


@functools.lru_cache(maxsize=16384)
def _safe_name(text: str, known: int) -> str:
    """As ``safe_name``; ``known`` is the version of the known secrets. The same names come with every check."""
    text = text.encode("utf-8", "backslashreplace").decode()
    text = _KEY.sub(lambda found: _numbered(found[0]), text)
    shown = KNOWN.redact(text, in_names=True)
    return shown if shown == text else f"{shown}-{_numbered(text).rpartition('-')[2]}"


def _numbered(secret: str) -> str:
    return f"{REDACTED}-{hashlib.sha256(secret.encode()).hexdigest()[:8]}"


def internal_error(error: BaseException, doing: str) -> str:
    """A sentence for a bug of our own. The text of the error is left out: it may quote a secret."""
    return f"Internal error while {doing} ({type(error).__name__})"


def _is_space(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) == "Cc"


def _is_hidden(char: str) -> bool:
    """Format characters (which can reverse a line), lone surrogates, private and unassigned characters."""
    return unicodedata.category(char) in ("Cf", "Cs", "Co", "Cn")
