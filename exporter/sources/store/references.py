"""References to secrets that are kept elsewhere (``keyRef``, ``oauthRef``), and whether they resolve. Pure.

Nothing is resolved and no program is run. A reference counts as unresolvable only where OpenClaw could not
resolve it whatever the secret's keeper says. The grammar is that of OpenClaw 2026.5 to 2026.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from exporter.lib.loose_json import items, mapping
from exporter.lib.redact import safe_name
from exporter.sources.store.config import is_filled
from exporter.sources.store.environment import WHOLE_TEMPLATE, Environment

_SOURCES = ("env", "file", "exec", "store")
_BUILT_IN = ("env", "store")  # need no entry in secrets.providers under their default name
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_IDS = {
    "env": re.compile(r"[A-Z][A-Z0-9_]{0,127}"),
    "store": re.compile(r"[A-Z][A-Z0-9_]{0,127}"),
    "file": re.compile(r"value|(?:/(?:[^~/]|~0|~1)*)+"),
    "exec": re.compile(r"(?!(?:.{0,255}/)?\.{1,2}(?:/|\Z))[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}"),
}
_OLD_MARKERS = ("secretref-env:", "__env__:")
_SIDECAR = re.compile(r"[a-f0-9]{32}")
_MAX_LABEL = 160

#: Whether there is a file; None if this user cannot tell.
Exists = Callable[[Path], bool | None]


class Reference(NamedTuple):
    """Where a secret is kept: OpenClaw's ``source``, the name in ``secrets.providers``, and the keeper's id."""

    source: str
    provider: str
    id: str

    def __str__(self) -> str:
        """As OpenClaw writes it. An id that is not valid may be anything, even a secret, and is not shown."""
        grammar = _IDS.get(self.source)
        is_valid = grammar is not None and grammar.fullmatch(self.id) and _PROVIDER.fullmatch(self.provider)
        label = ":".join(self) if is_valid else f"{self.source if grammar else 'unknown'}:(not valid)"
        return safe_name(label)[:_MAX_LABEL]


def reference_in(value: object, config: object) -> Reference | None:
    """The reference that ``value`` is: an object, or a text like ``${NAME}``."""
    defaults = mapping(config, "secrets", "defaults")

    def default(source: str) -> str:
        return name.strip() if is_filled(name := defaults.get(source)) else "default"

    if isinstance(value, Mapping):
        source, provider, id = value.get("source"), value.get("provider"), value.get("id")
        if source not in _SOURCES or not is_filled(id) or (provider is not None and not is_filled(provider)):
            return Reference("unknown", "", "") if value else None
        return Reference(str(source), provider if is_filled(provider) else default(str(source)), id)
    if isinstance(value, str):
        if found := WHOLE_TEMPLATE.fullmatch(value):
            return Reference("env", default("env"), found[1] or found[2])
        for marker in _OLD_MARKERS:
            if value.strip().startswith(marker):
                return Reference("env", default("env"), value.strip().removeprefix(marker))
    return None


def resolves(ref: Reference, config: object, env: Environment, exists: Exists, home: Path) -> bool | None:
    """Whether OpenClaw can resolve ``ref``; None if that depends on what cannot be seen here.

    ``home`` is what ``~`` stands for in the configuration.
    """
    grammar = _IDS.get(ref.source)
    if grammar is None or not grammar.fullmatch(ref.id) or not _PROVIDER.fullmatch(ref.provider):
        return False
    keeper = mapping(config, "secrets", "providers", ref.provider)
    if keeper.get("source") != ref.source:
        named = mapping(config, "secrets", "defaults").get(ref.source)
        if ref.source not in _BUILT_IN or ref.provider != (named.strip() if is_filled(named) else "default"):
            return False
        keeper = {}
    if ref.source == "env":
        allowed = keeper.get("allowlist")
        return False if isinstance(allowed, list) and ref.id not in items(allowed) else env.has(ref.id)
    if ref.source == "file":
        if (keeper.get("mode") == "singleValue") != (ref.id == "value"):
            return False
        path = keeper.get("path")
        return exists(_expanded(path, home)) if is_filled(path) else None
    return None


def _expanded(path: str, home: Path) -> Path:
    return home / path.strip()[2:] if path.strip().startswith("~/") else Path(path.strip())


def sidecar(raw: Mapping[str, Any], state_dir: Path) -> tuple[str, Path | None] | None:
    """The label of an ``oauthRef`` and the file with its encrypted secret; None if ``raw`` has no such reference.

    OpenClaw 2026.5 writes such files; later releases import them, and do not read them again.
    """
    ref = raw.get("oauthRef")
    if not isinstance(ref, Mapping):
        return None
    id, provider = ref.get("id"), ref.get("provider")
    if ref.get("source") != "openclaw-credentials" or not (isinstance(id, str) and _SIDECAR.fullmatch(id)):
        return "oauthRef:(not valid)", None
    owner = provider if isinstance(provider, str) and _PROVIDER.fullmatch(provider) else "unknown"
    return f"openclaw-credentials:{owner}:{id}", state_dir / "credentials" / "auth-profiles" / f"{id}.json"
