"""What the store tells of one credential's secret, date and refresh token. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from exporter.lib.loose_json import mapping, seconds
from exporter.model import ObservedProfile
from exporter.sources.store.config import is_filled, provider_id
from exporter.sources.store.environment import Environment
from exporter.sources.store.references import Exists, reference_in, resolves, sidecar

_MAX_DATE = 8.64e15  # JavaScript's last date, Unix milliseconds
#: OpenClaw stores this in place of a login's tokens while it refreshes them, and after that failed.
_FENCE = re.compile(r"openclaw-oauth-refresh-fence:v1:[a-f0-9]{32}:(failed:)?access:")
#: The first release that keeps a login's secret in a file beside the store.
_FIRST_WITH_SIDECAR = (2026, 5)


def unknown(name: object) -> bool | None:
    """Whether there is a file or a login, for those who cannot look."""
    return None


class Surroundings(NamedTuple):
    """What OpenClaw finds around its store: where secrets that are not in it may be."""

    environment: Environment = Environment()
    state_dir: Path = Path("~/.openclaw")
    home: Path = Path("~")
    exists: Exists = unknown
    #: Whether the program that signs in for a provider (``claude-cli``: Claude Code) has a login; None: unknown.
    has_login: Callable[[str], bool | None] = unknown


def date(milliseconds: object) -> float | None:
    """Unix seconds of a date in the store."""
    return seconds(milliseconds, _MAX_DATE)


def release_of(version: str | None) -> tuple[int, int] | None:
    """The year and month of a version of OpenClaw; None if there is none."""
    numbers = re.match(r"(\d{4})\.(\d{1,2})(?!\d)", version or "")
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def version_of(config: object) -> str | None:
    """The version of the OpenClaw that wrote ``openclaw.json`` last."""
    written = mapping(config, "meta").get("lastTouchedVersion")
    is_version = isinstance(written, str) and re.fullmatch(r"\d{4}\.\d{1,2}(\.\d{1,5})?(-[\w.]{1,20})?", written)
    return written if is_version and isinstance(written, str) else None


def with_credential(
    profile: ObservedProfile,
    raw: Mapping[str, Any],
    config: object,
    keyed_hash: Callable[[str], str],
    around: Surroundings,
    is_json: bool,
    release: tuple[int, int] | None,
) -> ObservedProfile:
    """``profile`` with the facts of its secret, date and refresh token."""
    code = "setup_inactive" if mapping(raw, "setup").get("replacement") is True else None
    if profile.kind == "oauth":
        return _with_login(profile, raw, code, release, around, is_json)
    name = "key" if profile.kind == "api_key" else "token"
    value = raw.get(name, raw.get("apiKey") if name == "key" else None)
    kept = raw.get(f"{name}Ref") if reference_in(raw.get(f"{name}Ref"), config) else value
    ref = reference_in(kept, config)
    secret = kept.strip() if is_filled(kept) else json.dumps(kept, sort_keys=True) if ref else None
    ends = None
    if profile.kind == "token":
        ends = date(raw.get("expires"))
        if code is None and "expires" in raw and ends is None:
            code = "invalid_expires"
    if code != "setup_inactive":
        if secret is None:
            code = "missing_credential"
        elif ref and resolves(ref, config, around.environment, around.exists, around.home) is False:
            code = "unresolved_ref"
    return replace(
        profile,
        reason_code=code,
        expires_at=ends,
        has_refresh_token=False,
        secret_hash=keyed_hash(secret) if secret else None,
        reference=str(ref) if ref else None,
    )


def _with_login(
    profile: ObservedProfile,
    raw: Mapping[str, Any],
    code: str | None,
    release: tuple[int, int] | None,
    around: Surroundings,
    is_json: bool,
) -> ObservedProfile:
    fence = _FENCE.match(raw["access"]) if isinstance(raw.get("access"), str) else None
    refreshes: bool | None = is_filled(raw.get("refresh")) and not (fence and fence[1])
    if code is None and fence and fence[1]:
        code = "expired"
    label = None
    if not is_filled(raw.get("access")) and not is_filled(raw.get("refresh")):
        kept = sidecar(raw, around.state_dir)
        if kept is None:
            code = code or "missing_credential"
        else:
            label, path = kept
            # Only 2026.5 reads such files: what later releases could not import, they cannot use.
            reads_it = is_json and (release is None or release >= _FIRST_WITH_SIDECAR)
            is_there = around.exists(path) if path and reads_it else False
            # It holds the refresh token too.
            refreshes = is_there
            code = code or ("unresolved_ref" if is_there is False else None)
    ends = None if fence else date(raw.get("expires"))
    return replace(profile, reason_code=code, expires_at=ends, has_refresh_token=refreshes, reference=label)


def configured_key(config: object, provider: str, around: Surroundings) -> ObservedProfile | None:
    """The key of ``models.providers`` for ``provider`` if nothing can resolve it, named by where it should be."""
    value = mapping(own_provider(config, provider)).get("apiKey")
    ref = reference_in(value, config)
    if ref is None or resolves(ref, config, around.environment, around.exists, around.home) is not False:
        return None
    name = f"env:{ref.id}" if ref.source == "env" and ":(" not in str(ref) else f"models.providers.{provider}.apiKey"
    return ObservedProfile(
        name, provider, "api_key", reason_code="unresolved_ref", has_refresh_token=False, reference=str(ref)
    )


def own_provider(config: object, provider: str) -> Mapping[str, Any]:
    """The entry of ``models.providers`` for ``provider``, whatever its spelling; empty if there is none."""
    entries = mapping(config, "models", "providers")
    return next((mapping(entry) for name, entry in entries.items() if provider_id(name) == provider), {})
