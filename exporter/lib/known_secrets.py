"""The secrets that this process has read, so that no text repeats one, whatever it looks like.

Only keyed hashes are kept: a dump of this module shows no secret. Reading a text takes time in proportion to its
length, however many secrets are known.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Container, Iterator, Mapping
from urllib.parse import quote, urlsplit

REDACTED = "<redacted>"

#: The longest secret that is compared as a whole; a longer one is known by its pieces. Characters.
MAX_SECRET = 4096
_MAX_KNOWN = 30_000  # secrets; those that were read long ago are forgotten
_END = 6  # characters at the end of a secret that are looked up; beginnings like sk-ant- and eyJ are common
_MAX_LENGTHS = 8  # different lengths that are tried for one ending
_WORDS = re.compile(r"[a-z]+(?:[-_./ ][a-z]+)*|\d+")
#: A secret that may also be a word of our own sentences and commands. Hiding it there would hide nothing: everybody
#: knows the sentence, and whoever reads "<redacted> models status" knows the secret.
_OUR_WORD = re.compile(r"[a-z]{1,15}")
#: Words that are no secrets even if somebody uses them as one: every other message has them.
_NEVER = frozenset({"openclaw", "openclaw-auth-exporter", "openclaw-gateway", "password", "passwords", "credentials"})
_PLAIN = re.compile(r"[\w.~-]*", re.A)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)


class KnownSecrets:
    """A bounded set of secrets, as keyed hashes."""

    def __init__(self, limit: int = _MAX_KNOWN) -> None:
        self._limit = limit
        self._key = os.urandom(16)
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[int, int]] = {}  # digest -> (hash of the ending, length), oldest first
        self._lengths: dict[int, tuple[int, ...]] = {}  # hash of the ending -> lengths, longest first
        self.version = 0  # changes with every new secret

    def add(self, secret: str) -> None:
        """Know ``secret``. Of a URL only the secret parts count. A short word or number is no secret."""
        digest = self._digest(secret)
        with self._lock:
            if digest in self._known:
                self._known[digest] = self._known.pop(digest)  # now the latest
                return
        forms = [(self._digest(form), (hash(form[-_END:]), len(form))) for form in _forms(secret)]
        with self._lock:
            self.version += 1
            for digest, place in forms:
                self._known[digest] = place
                self._note(*place)
            if len(self._known) > self._limit:
                self._known = dict(list(self._known.items())[self._limit // 2 :])
                self._lengths = {}
                for place in self._known.values():
                    self._note(*place)

    def _note(self, ending: int, length: int) -> None:
        known = self._lengths.get(ending, ())
        if length not in known:
            self._lengths[ending] = tuple(sorted((*known, length), reverse=True))

    def clear(self) -> None:
        """Forget everything, for tests."""
        with self._lock:
            self._known, self._lengths = {}, {}
            self.version += 1

    def redact(self, text: str, *, in_names: bool = False, of_ours: bool = False) -> str:
        """``text`` without known secrets.

        ``in_names`` keeps those that are plain words or numbers: a name may be the same. ``of_ours`` keeps those that
        are one short word: the text is our own sentence or command, and what it quotes is redacted already.
        """
        kept = _WORDS if in_names else _OUR_WORD if of_ours else None
        if not self._known:
            return text
        shown, shown_to = [], 0
        for start, end in self._found(text, kept):
            shown += [text[shown_to:start], REDACTED]
            shown_to = end
        return "".join([*shown, text[shown_to:]]) if shown else text

    def _found(self, text: str, kept: re.Pattern[str] | None) -> list[tuple[int, int]]:
        """Where known secrets are in ``text``, in order, without those that ``kept`` matches. Overlaps are one."""
        found: list[tuple[int, int]] = []
        get = self._lengths.get
        for end in range(_END, len(text) + 1):
            lengths = get(hash(text[end - _END : end]))
            if lengths is None:
                continue
            start = self._start(text, end, lengths)
            if start is None or (kept is not None and kept.fullmatch(text, start, end)):
                continue
            while found and start <= found[-1][1]:
                start = min(start, found.pop()[0])
            found.append((start, end))
        return found

    def _start(self, text: str, end: int, lengths: tuple[int, ...]) -> int | None:
        """Where the longest known secret begins that ends at ``end``; None if none ends there."""
        for length in lengths[:_MAX_LENGTHS]:
            if length <= end and self._digest(text[end - length : end]) in self._known:
                return end - length
        if len(lengths) > _MAX_LENGTHS:  # too many end alike to try all: take the whole word
            return max(map(text[:end].rfind, " \n\t")) + 1
        return None

    def _digest(self, value: str) -> bytes:
        data = value.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._key, digest_size=16).digest()


def _forms(secret: str) -> Iterator[str]:
    """The texts by which a secret can appear: its lines, the secret parts of a URL, escaped for JSON and for a URL."""
    for line in secret.splitlines():
        value = line.strip()
        for part in _parts(value) if _URL.match(value) else [value]:
            if part not in _NEVER and len(part) >= (8 if _WORDS.fullmatch(part) else _END):
                is_plain = _PLAIN.fullmatch(part)  # every way to write it is the same
                forms = {part} if is_plain else {part, " ".join(part.split()), json.dumps(part)[1:-1], _for_url(part)}
                for form in forms:
                    yield from (form[at : at + MAX_SECRET] for at in range(0, len(form) - _END + 1, MAX_SECRET))


def _for_url(text: str) -> str:
    try:
        return quote(text, "", errors="surrogateescape")  # bytes of the environment that are no UTF-8
    except UnicodeEncodeError:
        return quote(text, "", errors="surrogatepass")


def _parts(url: str) -> Iterator[str]:
    """The parts of a URL that may be secret: not the host of a web server, nor plain words."""
    try:
        parts = urlsplit(url)
        user, password, host = parts.username, parts.password, parts.hostname
    except ValueError:
        yield url
        return
    if password:
        yield password
    rest = [parts.path.strip("/"), *parts.path.split("/"), *re.split(r"[&=]", parts.query), user or ""]
    if parts.scheme not in ("http", "https"):
        rest += [parts.netloc.rpartition("@")[2]] if host else []
    yield from (part for part in rest if len(part) >= 8 and not _WORDS.fullmatch(part.lower()))


#: Names of environment variables and JSON keys whose values are secrets.
_SECRET_NAME = re.compile(r"(?:(?:token|password|passwd|secret|api_?key|private_?key)s?|_keys?(?:_\d+)?)\Z", re.I)
#: A path, or the name of another variable.
_REFERENCE = re.compile(r"[~./$]|[A-Z]:\\|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")

#: What this process knows.
KNOWN = KnownSecrets()


def remember(values: Mapping[str, object], also: Container[str] = (), but: Container[str] = ()) -> None:
    """Know the values whose names, at any depth, are those of secrets, or in ``also``. ``but`` holds no secrets."""
    pending: list[tuple[str, object]] = list(values.items())
    while pending:
        name, value = pending.pop()
        if isinstance(value, Mapping):
            pending += [(key, item) for key, item in value.items() if isinstance(key, str)]
        elif isinstance(value, list):
            pending += [(name, item) for item in value]
        elif isinstance(value, str) and (name in also or _SECRET_NAME.search(name)):
            for part in re.split("[,;]", value) if name.lower().endswith("s") else [value]:
                if part not in but and not _REFERENCE.match(part):
                    KNOWN.add(part)
