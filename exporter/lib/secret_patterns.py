"""What looks like a secret in a text from another program: the patterns behind ``redact.safe_text``."""

from __future__ import annotations

import re

from exporter.lib.known_secrets import REDACTED


def redact_lookalikes(text: str) -> str:
    """``text`` on one line, with "<redacted>" in place of what ``safe_text`` says looks like a secret."""
    for pattern, replace in _PATTERNS:
        text = pattern.sub(replace, text)
    return text


#: The user part of a URL. A password may contain "@", and "/" although a URL demands that it is escaped.
_URL_USER = re.compile(r"(?<=://)(?:[^\s/?#]{1,512}|[^\s/?#@:]{0,128}:(?!\d{1,5}[/?#])[^\s@]{0,512})@")
_TELEGRAM = re.compile(r"(?<=/bot)\d{3,20}:[^\s/\"']+")
_PARAMETER = re.compile(r"(?i)([?&](?:key|auth|code|sig|signature|pass|pwd|access)=)[^\s&#\"']+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)(?!<redacted>)(\S{6,})")
#: After a name and "=" or ":", whatever follows. JSON in a JSON text has a backslash before its quotes.
_NAMED = re.compile(
    r"(?i)((?:token|secret|pass(?:word|wd|phrase|code)|pwd|credential|authorization|cookie|"
    r"(?:api|access|private)[ _-]?key)s?"
    r"\\?[\"']?\s{0,4}(?::?=>?|:|->)\s{0,4})"
    r"(?:(?:bearer|basic|token|digest|apikey|negotiate)\s{1,4})?"
    r"(?!<redacted>)(\\?\"[^\"]{0,512}\"|'[^']{0,512}'|[\"']?[^\s\"',;]+)"
)
#: After a name alone: a value in quotes or a word that is no word. "is" and the like may stand between them.
_SPOKEN = re.compile(
    r"(?i)((?:token|secret|pass(?:word|wd|phrase|code)|pwd|authorization|cookie|(?:api|access|private)[ _-]?key)s?)"
    r"(\\?[\"']?\s{1,4}(?:(?:is|was|are|were|value|equals|set to)\s{1,4})?)"
    r"(?!<redacted>)(\"[^\"\s]{1,512}\"|'[^'\s]{1,512}'|[^\s\"',;]{1,512})"
)
_XML = re.compile(r"(?i)((?:token|secret|pass(?:word|wd|phrase|code)|(?:api|access)_?key)>)(?!<)[^<>\s]{1,512}(?=</)")
#: ``curl -u me:secret``
_USER_OPTION = re.compile(r"(?<!\S)(-u|--user|--proxy-user)([ =])\S{1,128}?:\S{1,512}")
_PREFIXED = re.compile(r"\b(?:(?:sk|pk|rk|ghp|gho|tk|xox[abprs])[-_]|AKIA|AIza|eyJ)[A-Za-z0-9+=_.…-]{3,}")
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
#: The first and last characters of a secret with dots between them, as OpenClaw masks it.
_MASKED = re.compile(r"[A-Za-z0-9+/=_-]{4,40}(?:\.{3}|…)[A-Za-z0-9+/=_-]{4,}")

#: Words that follow "token:" or "Bearer" and are no secret.
_STATE = re.compile(
    r"(?:is|are|was|not|no|none|null|true|false|missing|expired|expiring|invalid|required|unknown|ok|static|auth|"
    r"authentication|authorization|realm|tokens?|credentials?)[]}.:!?)]*",
    re.I,
)
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?[/\\]\S*")
#: A UUID, and the hash in a path of Nix or Guix.
_NO_SECRET = re.compile(
    r"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z])|(?:nix|gnu)/store/[0-9a-z]{32}(?=-)",
    re.I,
)
#: The commit of a version: "2026.9.6 (4f3c…)", "1.2.3+g4f3c…".
_COMMIT = re.compile(r"(?:[0-9]*[+-])?g?[0-9a-f]{7,40}")
_AFTER_VERSION = re.compile(r"[0-9]\.[0-9]{1,20}(?:\.[0-9]{0,20}| ?\(){0,8}\Z")
#: Words, numbers and camelCase. A random text has many short ones.
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_HEX = re.compile("[0-9a-fA-F]{14,}")
_LONGEST_WORD = 20  # letters
_SEGMENT = re.compile(r"[A-Z]?[a-z]{2,15}(?:[-_][a-z]{2,15})*")  # words in a path
#: How many characters in random words make a run a secret; in a path, one temporary folder does not.
_RANDOM_ENOUGH = {False: 10, True: 16}


def _bearer(found: re.Match[str]) -> str:
    is_prose = _STATE.fullmatch(found[3]) or (found[1].lower() == "basic" and re.fullmatch(r"[a-z]+[.,;:)]*", found[3]))
    return found[0] if is_prose else f"{found[1]}{found[2]}{REDACTED}"


def _named(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    is_path = (
        _PATH.fullmatch(value)
        and not value.startswith('\\"')
        and (name.rstrip().endswith(":") or name.lower().startswith("pwd"))
    )
    return found[0] if is_path or _STATE.fullmatch(value) else f"{name}{REDACTED}"


#: A part of an ordinary word that contains digits: an algorithm, a version, a model.
_TERM = re.compile(
    r"[a-z]{0,2}\d{1,2}[a-z]?|\d{1,3}[a-z]{1,3}|gpt\d|v?\d[\d.:]{0,20}|(?:oauth|sha|base|utf|http|[a-z]s)\d{1,3}", re.I
)
_VARIABLE = re.compile(r"\$?\{?[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,20}\}?")
_FILE = re.compile(r"[\w.-]{1,128}\.(?:json5?|[cm]?[jt]s|py|sqlite|db|pem|key|txt|ya?ml|toml|env|sock|service)", re.I)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.]{5,15}Z?)?")
#: ``anthropic:work2``, a profile; after "password" it would be a strange one.
_PROFILE = re.compile(r"[a-z][a-z0-9-]{1,40}:[\w.@+-]{1,128}", re.I)
#: Behind these names a number is a secret, too. There are also numbers of tokens.
_STRICT = re.compile(r"(?:pass|pwd|(?:api|access|private)[ _-]?key)", re.I)
_BETWEEN = re.compile(r"[\W_]")
_STRICT_BETWEEN = re.compile(r"[-_./+,:()\[\]'’]")
_AROUND = "\"'`()[]{}<>.,;:!?…\\"


def _spoken(found: re.Match[str]) -> str:
    """The name of a secret, and its value unless that is an ordinary word, a date, a path or an id."""
    core, is_strict = found[3].strip(_AROUND), _STRICT.match(found[1]) is not None
    is_quoted = found[3][0] in "\"'" and found[1].lower().startswith("pass")
    if not any(map(str.isalnum, core)) or core[0] in "-$" or core == REDACTED.strip(_AROUND):
        return found[0]
    if _PATH.fullmatch(core) or _VARIABLE.fullmatch(core) or _FILE.fullmatch(core) or _DATE.fullmatch(core):
        return found[0]
    parts = _STRICT_BETWEEN.split(core) if is_strict else _BETWEEN.split(core)
    is_word = all(piece.isalpha() or piece.isdigit() or _TERM.fullmatch(piece) for piece in parts if piece)
    if is_strict:
        is_word = is_word and not is_quoted and not (core.isdigit() and len(core) > 3)
    else:
        is_word = is_word or _PROFILE.fullmatch(core) is not None
    return found[0] if is_word or _STATE.fullmatch(core) else f"{found[1]}{found[2]}{REDACTED}"


def _prefixed(found: re.Match[str]) -> str:
    is_word = len(found[0]) < _LONGEST_WORD and re.fullmatch(r"[a-z]+(?:[-_.][a-z]+)*\.?", found[0])
    return found[0] if is_word else REDACTED


def _masked(found: re.Match[str]) -> str:
    return found[0] if re.fullmatch(r"[A-Z]?[a-z/_=-]+(?:\.{3}|…)[A-Z]?[a-z/_=-]+", found[0]) else REDACTED


def _long(found: re.Match[str]) -> str:
    """A run of characters of which base64 and hex consist; if it looks random, only its words are kept."""
    run = found[0]
    if _COMMIT.fullmatch(run) and _AFTER_VERSION.search(found.string, max(0, found.start() - 32), found.start()):
        return run
    words = re.split(r"[^A-Za-z0-9]+", _NO_SECRET.sub("", run))
    segments = run.split("/")
    is_path = any(map(_SEGMENT.fullmatch, segments))
    if sum(len(word) for word in words if word and _looks_random(word)) < _RANDOM_ENOUGH[is_path]:
        return run
    return "/".join(part if not part or _SEGMENT.fullmatch(part) else REDACTED for part in segments)


def _looks_random(word: str) -> bool:
    """Whether letters and digits are no word, number or version: their kinds alternate too often."""
    pieces = _PIECE.findall(word)
    if len(word) < _LONGEST_WORD:
        if len(pieces) > 1 and _HEX.fullmatch(word):
            return True
        return len(pieces) > 2 and 6 * (len(pieces) - 1) > len(word)
    has_digits = any(piece.isdigit() for piece in pieces)
    return has_digits or max(map(len, pieces)) > _LONGEST_WORD or 5 * (len(pieces) - 1) > len(word)


#: Each takes linear time: what repeats is limited, or taken whole by one match.
_PATTERNS = (
    (_URL_USER, f"{REDACTED}@"),
    (_TELEGRAM, REDACTED),
    (_PARAMETER, rf"\1{REDACTED}"),
    (_BEARER, _bearer),
    (_NAMED, _named),
    (_XML, rf"\1{REDACTED}"),
    (_USER_OPTION, rf"\1\2{REDACTED}"),
    (_SPOKEN, _spoken),
    (_PREFIXED, _prefixed),
    (_LONG, _long),
    (_MASKED, _masked),
)
