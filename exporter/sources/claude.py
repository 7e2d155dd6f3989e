"""The source ``claude``: Claude Code's own login, from ``claude auth status --json`` and its credentials file.

A login ends 27 to 30 days after it was made, however often its access token is refreshed. Claude Code
calls it logged in even afterwards, so its date is what matters. One credential at a time serves Claude
Code; those in the environment precede the login. Observed on Claude Code 2.1.330.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exporter.config import ClaudeTarget
from exporter.lib import command
from exporter.lib.durations import parse_date
from exporter.lib.env_file import read_env_file
from exporter.lib.known_secrets import remember
from exporter.lib.loose_json import seconds
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile
from exporter.sources import Fingerprint, Source, SourceContext, as_typed
from exporter.sources.openclaw.source import ELSEWHERE, failure_of
from exporter.sources.openclaw.status import json_values
from exporter.sources.store.config import is_filled
from exporter.sources.store.paths import read_file
from exporter.verdict.invocation import Invocation, Programs

AGENT = ClaudeTarget.AGENT
PROVIDER = "anthropic"
LOGIN = "claude-code:login"

#: The variables that may hold the credential, in Claude Code's order of precedence, and the authMethod of each.
_VARIABLES = {
    "ANTHROPIC_AUTH_TOKEN": "oauth_token",
    "ANTHROPIC_API_KEY": "api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth_token",
}
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,79}")
_MAX_FILE = 1024 * 1024  # bytes; the real one is half a kilobyte


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The login in the credentials file. Times are Unix seconds."""

    ends_at: float | None = None
    access_expires_at: float | None = None
    has_refresh_token: bool | None = None


class ClaudeSource(Source):
    """Runs ``claude auth status --json``."""

    kind = "claude"

    def __init__(self, target: ClaudeTarget, context: SourceContext) -> None:
        self._target = target
        self._context = context
        self._command = [os.path.expanduser(target.command[0]), *target.command[1:]]
        # Elsewhere, neither the file nor the environment are the command's.
        self._on_this_host = os.path.basename(target.command[0]) not in ELSEWHERE
        self._typed = as_typed(target.command, context.environ or os.environ)
        self._checking = asyncio.Lock()
        self._thread = IsolatedThread("claude")

    async def agents(self) -> list[str]:
        """Always ``claude-code``."""
        return [AGENT]

    async def check(self, agent: str) -> Observation:
        """Run one process, or read the file and the environment if there is no command. Raises CheckError."""
        if agent != AGENT:
            raise CheckError(FailureReason.UNKNOWN_AGENT, f"Claude Code has no agents: its login is called {AGENT}")
        async with self._checking:
            notes: list[str] = []
            environ, stored = await self._read(notes)
            try:
                status = await self._status(environ)
            except CheckError as error:
                status = self._without_command(environ, stored)
                if error.reason is not FailureReason.COMMAND_NOT_FOUND or not status:
                    raise
                notes.append(f"{error.message}; the credentials file and the environment were read instead")
            observed_at = self._context.now()
            profiles = tuple(self._profiles(status, stored or StoredLogin(), environ))
        if stored is not None and not any(profile.id == LOGIN for profile in profiles):
            notes.append("there is a stored login too, but it does not serve Claude Code now")
        elsewhere = status.get("authMethod") == "third_party"
        if elsewhere:
            notes.append("another cloud serves Claude Code; its credentials are not checked")
        return Observation(
            target=self._target.name,
            agent=AGENT,
            source=self.kind,
            dialect=Dialect.LOGIN,
            observed_at=observed_at,
            profiles=profiles,
            providers_in_use=() if elsewhere else (PROVIDER,),
            notes=tuple(notes),
        )

    def fingerprint(self) -> Fingerprint | None:
        """Of the login's date and the environment's credentials, not of the access token, which rotates.

        None if there is no credentials file here. Raises CheckError if the env_file cannot be read.
        """
        environ = self._environment()
        stored = self._stored(environ, [])
        if stored is None:
            return None
        values = [environ.get(name, "") for name in _VARIABLES]
        hashed = self._context.keyed_hash(json.dumps([stored.ends_at, stored.has_refresh_token, values]))
        return Fingerprint(hashed)

    def slot(self) -> AbstractAsyncContextManager[object]:
        return self._context.slots

    def configured_agents(self) -> Sequence[str] | None:
        return [AGENT]

    def programs(self) -> Programs:
        claude = Invocation(self._typed)
        return Programs(claude=claude, env_file=self._target.env_file)

    async def _read(self, notes: list[str]) -> tuple[dict[str, str], StoredLogin | None]:
        """The environment of the command, and the login in the credentials file."""

        def read() -> tuple[dict[str, str], StoredLogin | None]:
            environ = self._environment()
            return environ, self._stored(environ, notes)

        try:
            return await self._thread.run(read, self._target.timeout)
        except TimeoutError:
            raise CheckError(FailureReason.TIMEOUT, "the file system of this host does not answer") from None

    # --- running ---------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        environ = dict(self._context.environ or os.environ)
        if self._target.env_file:
            environ.update(read_env_file(self._target.env_file))
        # A check must not update the program or send anything.
        return {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", **environ}

    async def _status(self, environ: Mapping[str, str]) -> Mapping[str, Any]:
        argv = [*self._command, "auth", "status", "--json"]
        finished = await command.run(argv, env=environ, timeout=self._target.timeout)
        unread = CheckError(FailureReason.INVALID_OUTPUT, "the command printed no login status of Claude Code")
        try:
            for value in json_values(finished.stdout):
                if isinstance(value, dict) and isinstance(value.get("loggedIn"), bool):
                    return value
        except CheckError as error:
            unread = error
        raise failure_of(finished, unread)

    def _without_command(self, environ: Mapping[str, str], stored: StoredLogin | None) -> Mapping[str, Any]:
        """The status that the command would print, from what it reads; empty if that is nothing."""
        methods = [method for name, method in _VARIABLES.items() if self._on_this_host and environ.get(name)]
        methods += ["claude.ai"] if stored else []
        return {"loggedIn": True, "authMethod": methods[0]} if methods else {}

    # --- reading ---------------------------------------------------------------------------------

    def _profiles(
        self, status: Mapping[str, Any], stored: StoredLogin, environ: Mapping[str, str]
    ) -> Iterator[ObservedProfile]:
        """The credential that serves Claude Code; none if it is not logged in."""
        word = status.get("authMethod")
        method = word if isinstance(word, str) and _WORD.fullmatch(word) else "unknown"
        if status["loggedIn"] is not True or method == "third_party":
            return
        ends_at = _date(status.get("loginExpiresAt")) or stored.ends_at
        if method == "claude.ai" or status.get("loginExpiresAt"):
            login = ObservedProfile(LOGIN, PROVIDER, "oauth", expires_at=stored.access_expires_at)
            yield replace(login, login_ends_at=ends_at, has_refresh_token=stored.has_refresh_token)
        elif method in _VARIABLES.values():
            yield self._from_environment(status, method, environ)
        else:
            yield ObservedProfile(f"claude-code:{method}", PROVIDER, "api_key" if "key" in method else "unknown")

    def _from_environment(self, status: Mapping[str, Any], method: str, environ: Mapping[str, str]) -> ObservedProfile:
        names = [name for name in _VARIABLES if _VARIABLES[name] == method]
        kind = "api_key" if method == "api_key" else "token"
        visible = environ if self._on_this_host else {}
        name = next((name for name in names if visible.get(name)), None)
        value = visible[name].strip() if name else None
        if name is None and kind == "api_key":
            source = status.get("apiKeySource")
            if source is not None and not (isinstance(source, str) and _VARIABLE.fullmatch(source)):
                return ObservedProfile("claude-code:api_key", PROVIDER, kind)  # created by a login, kept by Claude Code
        hashed = self._context.keyed_hash(value) if value else None
        return ObservedProfile(f"env:{name or names[-1]}", PROVIDER, kind, has_refresh_token=False, secret_hash=hashed)

    def _stored(self, environ: Mapping[str, str], notes: list[str]) -> StoredLogin | None:
        """The login in the credentials file; None if there is none. Problems with the file become notes."""
        if not self._on_this_host:
            return None
        path = credentials_file(environ)
        try:
            content = read_file(path, _MAX_FILE)
            return None if content is None else stored_login(content)
        except CheckError as error:
            if error.reason is FailureReason.PERMISSION:
                notes.append(error.message)
                return None
        except (ValueError, RecursionError):
            pass
        notes.append(f"{path} was ignored: Claude Code did not write it")
        return None


def credentials_file(environ: Mapping[str, str]) -> Path:
    """Where Claude Code keeps its login when it runs with ``environ``. (On macOS it uses the keychain.)"""
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(environ.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude"), ".credentials.json")


def stored_login(content: bytes) -> StoredLogin | None:
    """The login in a credentials file; None if it has none. Raises ValueError if it is not such a file."""
    data = json.loads(content)
    if not isinstance(data, dict):
        raise ValueError("no object")
    remember(data)
    login = data.get("claudeAiOauth")
    if login is None:
        return None
    if not isinstance(login, dict):
        raise ValueError("no login")
    ends_at, access_expires_at = seconds(login.get("refreshTokenExpiresAt")), seconds(login.get("expiresAt"))
    return StoredLogin(ends_at, access_expires_at, has_refresh_token=is_filled(login.get("refreshToken")))


def _date(value: object) -> float | None:
    """Unix seconds of an ISO 8601 time; None for anything else."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        seconds = parse_date(value)
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
