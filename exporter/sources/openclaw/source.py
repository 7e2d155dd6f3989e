"""The source ``openclaw``: runs the openclaw command on this host, in a container, or over ssh.

One process answers one check, with its JSON and its exit code. ``status`` reads the JSON. The store adds
what the command does not print, if it is on this host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from exporter.config import OpenClawTarget
from exporter.config.targets import HostTarget
from exporter.lib import command
from exporter.lib.env_file import read_env_file
from exporter.lib.loose_json import mapping, text
from exporter.lib.redact import ANSI, safe_text
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, Dialect, FailureReason, Observation
from exporter.sources import Fingerprint, Source, SourceContext, as_typed, denied
from exporter.sources.openclaw import installation, roster, ssh
from exporter.sources.openclaw.status import (
    dialect_of,
    extract_json,
    json_values,
    observe,
    require_status,
    version_decides,
    with_other_uses,
)
from exporter.sources.store.local import LocalStore
from exporter.sources.store.paths import Stamp, StorePaths, read_file, stamp
from exporter.verdict.invocation import DEFAULT_STATE_DIR, FORMER_STATE_DIR, HOME_VARIABLES, Invocation, Programs

DAY = 86400.0
_AGENTS_FOR = DAY
_VERSION_FOR = 30 * DAY
_VERSION_FOR_LOGINS = 3600.0  # while the version alone tells whether a login is in trouble
_VERSION_TIMEOUT = 10.0
_STATUS = ("models", "status", "--json", "--check")
T = TypeVar("T")

#: Programs that run openclaw elsewhere: the paths it prints are not paths of this host.
ELSEWHERE = frozenset(
    ("docker", "podman", "nerdctl", "kubectl", "oc", "ssh", "lxc", "incus", "machinectl", "systemd-nspawn", "flatpak")
)
#: Programs that run a command on this host as another user.
_OTHER_USER = frozenset(("sudo", "doas", "su", "runuser", "setpriv"))
#: OpenClaw refuses a store or a configuration of another release, and asks for its doctor.
_NEEDS_DOCTOR = re.compile(
    r"openclaw doctor --fix|AUTH_PROFILE_MIGRATION_REQUIRED|requires legacy \w+ migration|"
    r"Invalid config at|Config invalid"
)
#: What marks the line with the reason, the best mark first. A group holds the reason; without one it is the whole line.
_REASONS = (
    re.compile(r"\bReason:(.+)", re.I),
    re.compile(r"\berror:(.+)", re.I),
    re.compile(r"\berror\b.", re.I),
    re.compile(r"^[^\"{}\]]."),
)
_VERSION = re.compile(
    r"(?:(?:openclaw|clawdbot)\s+)?v?(\d{1,5}(?:\.\d{1,5}){1,3}(?:[-+.][0-9A-Za-z.-]{1,40})?)(?:\s+\(\w+\))?", re.I
)


def is_on_this_host(target: HostTarget) -> bool:
    """Whether the target's OpenClaw runs on this host, so that the paths that it prints are paths of this host."""
    if not isinstance(target, OpenClawTarget):
        return True
    return target.ssh is None and os.path.basename(target.command[0]) not in ELSEWHERE


class OpenClawSource(Source):
    """Runs the configured command, one check of an agent at a time."""

    kind = "openclaw"

    def __init__(self, target: OpenClawTarget, context: SourceContext) -> None:
        self._target = target
        self._context = context
        self._command = [*target.command]
        if target.ssh is None:
            self._command[0] = os.path.expanduser(self._command[0])
        self._connection = ssh.Connection(target.ssh, self._own_environment()) if target.ssh else None
        self._on_this_host = is_on_this_host(target)
        self._checking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asking = asyncio.Lock()  # held while the agents or the version are asked for
        self._store = LocalStore(context, target.env_file)
        self._thread = IsolatedThread("openclaw")
        self._typed = as_typed(target.command, None if target.ssh else self._own_environment())
        self._home_variables: tuple[tuple[str, str], ...] = ()  # of the command's environment

    async def agents(self) -> list[str]:
        """The configured agents, or those of ``openclaw agents list``, cached for a day.

        A change of OpenClaw's configuration on this host ends the cache. Raises CheckError.
        """
        if self._target.agents != "all":
            return list(self._target.agents)
        return [agent.id for agent in await self._agents()]

    async def _agents(self) -> list[roster.ListedAgent]:
        async with self._asking:
            key, marker = self._key("agents"), await self._in_thread(self._config_marker)
            cached = roster.from_cache(self._context.cache.get_cached(key, _AGENTS_FOR), marker)
            if cached:
                return cached
            finished = await self._run(["agents", "list", "--json"], self._target.timeout)
            found = self._listed_agents(finished)
            self._context.cache.put_cached(key, roster.to_cache(found, marker))
            return found

    async def check(self, agent: str) -> Observation:
        """Run one process, or more if the version or the agents are not known. Raises CheckError."""
        async with self._checking[agent]:
            payload, finished = await self._ask(agent)
            now = self._context.now()
            observation = observe(
                payload,
                target=self._target.name,
                agent=agent,
                observed_at=now,
                exit_code=finished.exit_code,
                version=await self._version(_VERSION_FOR_LOGINS if version_decides(payload) else DAY),
            )
            # The paths that an OpenClaw elsewhere prints are not paths of this host.
            paths = StorePaths.from_status(payload) if self._on_this_host else None
            if paths is not None:
                # OpenClaw as this user takes a store that it may not read for an empty one.
                is_this_user = os.path.basename(self._command[0]) not in _OTHER_USER
                observation = await self._store.complete(observation, paths, must_be_readable=is_this_user)
            return with_other_uses(observation, payload)

    def fingerprint(self) -> Fingerprint | None:
        """Of the command's files and its env_file, and of the stores that the checks so far have named.

        Before the first check, of the stores that it will most likely name: then a store that the check did not change
        needs no second one. None if it runs elsewhere. Raises CheckError if the env_file cannot be read.
        """
        if not self._on_this_host:
            return None
        environ, home = self._environment(), self.programs().openclaw.home
        state_dir = None if home in (DEFAULT_STATE_DIR, FORMER_STATE_DIR) else home  # else OpenClaw searches it
        store = self._store.fingerprint(environ, state_dir, self.configured_agents())
        variables = read_env_file(self._target.env_file) if self._target.env_file else {}
        parts = [self._installation(), variables, store and store.hash]
        return Fingerprint(self._context.keyed_hash(json.dumps(parts)), bool(store and store.is_complete))

    def slot(self) -> AbstractAsyncContextManager[object]:
        return self._context.slots

    async def aclose(self) -> None:
        """Close the shared ssh connection."""
        if self._connection is None:
            return
        if closing := self._connection.close_argv():
            with contextlib.suppress(CheckError):  # it closes on its own within a minute
                await command.run(closing, env=self._own_environment(), timeout=5.0)
        self._connection.forget()

    def configured_agents(self) -> Sequence[str] | None:
        return None if self._target.agents == "all" else self._target.agents

    def programs(self) -> Programs:
        target = self._target
        openclaw = Invocation(self._typed, target.ssh, target.state_dir, self._home_variables)
        return Programs(openclaw, Invocation(("claude",), target.ssh), env_file=target.env_file)

    # --- running ---------------------------------------------------------------------------------

    def _own_environment(self) -> dict[str, str]:
        return dict(self._context.environ or os.environ)

    def _environment(self) -> dict[str, str]:
        """The command's environment. Over ssh the target's own variables are set on the remote host."""
        environment = self._own_environment()
        if self._target.ssh is None:
            if self._target.env_file:
                environment.update(read_env_file(self._target.env_file))
            given = (name for name in HOME_VARIABLES if environment.get(name, "").strip())
            self._home_variables = tuple((name, environment[name]) for name in given)
            if self._target.state_dir:
                folder = os.path.expanduser(self._target.state_dir)
                environment |= {
                    "OPENCLAW_STATE_DIR": folder,
                    "CLAWDBOT_STATE_DIR": folder,
                }  # the latter before 2026.1.29
        environment.pop("FORCE_COLOR", None)
        environment["NO_COLOR"] = "1"
        return environment

    async def _ask(self, agent: str) -> tuple[dict[str, Any], command.Finished]:
        """OpenClaw's status of ``agent``, and the process that printed it.

        Remembers if the release has no ``--agent``, until that form of the command fails or another release answers.
        """
        cache, identity = self._context.cache, await self._in_thread(self._installation)
        key = self._key("no-agent-option", identity)
        if cache.get_cached(key, _VERSION_FOR if identity else DAY):
            try:
                payload, finished = await self._ask_without_option(agent)
            except CheckError:
                cache.put_cached(key, "")
                raise
            if dialect_of(payload["auth"], None) is Dialect.DATES:
                return payload, finished
        finished = await self._run([*_STATUS, "--agent", agent], self._target.timeout)
        if not roster.lacks_agent_option(finished):
            cache.put_cached(key, "")
            return self._status(finished), finished
        answer = await self._ask_without_option(agent)
        cache.put_cached(key, "yes")
        return answer

    async def _ask_without_option(self, agent: str) -> tuple[dict[str, Any], command.Finished]:
        if agent == roster.MAIN:
            finished = await self._run(_STATUS, self._target.timeout)
            return self._status(finished), finished
        known = {entry.id: entry for entry in await self._agents()}
        if agent not in known:
            sentence = f"`openclaw agents list` names no agent {safe_text(agent, 80)!r}"
            raise CheckError(FailureReason.UNKNOWN_AGENT, sentence)
        words = roster.command_for(self._command, known[agent])
        finished = await self._run(_STATUS, self._target.timeout, words)
        payload, model = self._status(finished), known[agent].model
        # It prints the models of the defaults.
        return payload | ({"resolvedDefault": model, "defaultModel": model} if model else {}), finished

    async def _run(
        self, arguments: Sequence[str], seconds: float, words: Sequence[str] | None = None
    ) -> command.Finished:
        """Run ``words``, by default the configured command, with ``arguments``."""
        environment = await self._in_thread(self._environment)
        argv = [*(words or self._command), *arguments]
        if self._connection is not None:
            target = self._target
            remote = ssh.remote_command(argv, timeout=seconds, state_dir=target.state_dir, env_file=target.env_file)
            argv = self._connection.argv(remote)
        # Over ssh, the remote guard ends the command when its standard input closes.
        return await command.run(argv, env=environment, timeout=seconds, hold_stdin=self._connection is not None)

    async def _in_thread(self, read: Callable[[], T]) -> T:
        """What ``read`` finds in files of this host."""
        try:
            return await self._thread.run(read, self._target.timeout)
        except TimeoutError:
            raise CheckError(FailureReason.TIMEOUT, "the file system of this host does not answer") from None

    def _key(self, what: str, *more: object) -> str:
        target = self._target
        identity = [target.name, target.ssh, target.command, target.state_dir, target.env_file, *more]
        return f"openclaw-{what}:{self._context.keyed_hash(json.dumps(identity))}"

    # --- reading ---------------------------------------------------------------------------------

    def _status(self, finished: command.Finished) -> dict[str, Any]:
        try:
            payload = extract_json(finished.stdout)
        except CheckError as error:
            raise failure_of(finished, error, self._target.ssh) from None
        if "auth" not in payload:
            raise refusal_of(payload, finished)
        require_status(payload)
        return payload

    def _listed_agents(self, finished: command.Finished) -> list[roster.ListedAgent]:
        try:
            for value in json_values(finished.stdout, "[{"):
                if isinstance(value, dict) and value.get("ok") is False:
                    raise refusal_of(value, finished)
                if found := roster.listed(value):
                    return found
            unread = CheckError(FailureReason.INVALID_OUTPUT, "`agents list --json` printed no list of agents")
        except CheckError as error:
            if error.reason is not FailureReason.INVALID_OUTPUT:
                raise
            unread = error
        raise failure_of(finished, unread, self._target.ssh)

    def _config_marker(self) -> str | None:
        """Changes with OpenClaw's configuration file; None if there is none on this host."""
        if not self._on_this_host:
            return None
        found = stamp(StorePaths.from_environment(self._environment(), None, "main").config_path)
        return str(found) if found else None

    async def _version(self, max_age: float) -> str | None:
        """OpenClaw's version, from its package on this host, else from ``--version``. Never raises.

        Where nothing shows an update, it is asked for again after ``max_age`` seconds.
        """
        identity, version = await self._in_thread(self._installed)
        if version:
            return version
        async with self._asking:
            key, cache = self._key("version", identity), self._context.cache
            known = cache.get_cached(key, max_age)
            if known is None and identity:  # an unchanged installation still has its version
                known = cache.get_cached(key, _VERSION_FOR) or None
            if known is None:
                try:
                    known = _version_in(await self._run(["--version"], min(_VERSION_TIMEOUT, self._target.timeout)))
                except CheckError:
                    known = ""
                cache.put_cached(key, known)
            return known or None

    def _installed(self) -> tuple[list[tuple[str, Stamp]], str | None]:
        """The files of the command, and the version in their package, if the command is a single program."""
        files = self._installation()
        executable = Path(files[0][0]) if files and len(self._command) == 1 else None
        packages = [Path(name) for name, _ in files if name.endswith("/package.json")]
        return files, _package_version(packages[0]) if executable and packages else None

    def _installation(self) -> list[tuple[str, Stamp]]:
        """The files of the command on this host; empty if it runs elsewhere."""
        path = self._environment().get("PATH", os.defpath)
        return installation.identity(self._command, path) if self._on_this_host else []


# --- failures --------------------------------------------------------------------------------------


def refusal_of(payload: Mapping[str, Any], finished: command.Finished) -> CheckError:
    """The failure in OpenClaw's answer ``{"ok": false, "error": …}``: it could not check."""
    error = payload.get("error")
    message = error.get("message") if isinstance(error, Mapping) else error
    reason = message if isinstance(message, str) and message.strip() else _reason_line(finished.stderr)
    return _command_error(reason, finished)


def failure_of(finished: command.Finished, unread: CheckError, destination: str | None = None) -> CheckError:
    """Why a process printed no readable answer. ``unread`` is what reading its output raised."""
    code, blank = finished.exit_code, not finished.stdout.strip()
    reason = _reason_line(finished.stderr)
    if destination is not None and code == ssh.CONNECTION_FAILED:
        return ssh.failure(destination, finished.stderr.decode("utf-8", "replace"))
    if finished.truncated:
        return CheckError(FailureReason.INVALID_OUTPUT, f"the command printed more than {command.MAX_STDOUT >> 20} MiB")
    if code == 127:
        return CheckError(FailureReason.COMMAND_NOT_FOUND, _with("the command was not found", reason))
    if code == 126:
        return CheckError(FailureReason.PERMISSION, _with("the command may not be executed", reason))
    if 128 < code <= 128 + 64 and blank:
        return CheckError(FailureReason.KILLED, f"the command was killed by {command.signal_name(code - 128)}")
    if code != 0 and (blank or (reason and b"{" not in finished.stdout)):
        return _command_error(reason, finished)
    return unread


def _command_error(reason: str, finished: command.Finished) -> CheckError:
    unknown = "unknown agent"
    if unknown in reason.lower():
        return CheckError(FailureReason.UNKNOWN_AGENT, safe_text(reason))
    if unknown in finished.stderr.decode("utf-8", "replace").lower():
        return CheckError(FailureReason.UNKNOWN_AGENT, safe_text(_reason_line(finished.stderr)))
    if denied(reason):
        return CheckError(FailureReason.PERMISSION, safe_text(reason))
    needs_doctor = bool(_NEEDS_DOCTOR.search(f"{reason}\n{finished.stderr.decode('utf-8', 'replace')}"))
    reason = reason or f"the command ended with exit code {finished.exit_code} and printed no reason"
    return CheckError(FailureReason.COMMAND_ERROR, safe_text(reason), needs_doctor=needs_doctor)


def _with(sentence: str, reason: str) -> str:
    return f"{sentence}: {safe_text(reason)}" if reason else sentence


def _reason_line(stderr: bytes) -> str:
    """The line with the reason: OpenClaw's ``Reason:``, else an ``Error:``, else the first that is not JSON."""
    lines = [line.strip() for line in ANSI.sub("", stderr.decode("utf-8", "replace")).splitlines()]
    for pattern in _REASONS:
        for line, following in pairwise([*lines, ""]):
            if found := pattern.search(line):
                reason = found[1] if pattern.groups else line
                return f"{reason.strip()} {following if line.endswith(':') else ''}".strip()
    return ""


# --- parsing ---------------------------------------------------------------------------------------


def _package_version(path: Path) -> str | None:
    """The version in a package.json of OpenClaw."""
    try:
        package = mapping(json.loads(read_file(path) or b"{}"))
    except (CheckError, ValueError, RecursionError):
        return None
    version = _VERSION.fullmatch(text(package.get("version")) or "")
    return version[1] if version and package.get("name") in roster.PROGRAMS else None


def _version_in(finished: command.Finished) -> str:
    """The version that ``--version`` printed; "" if there is none."""
    if finished.exit_code != 0:
        return ""
    lines = [line.strip() for line in finished.stdout[:4096].decode("utf-8", "replace").splitlines()]
    return next((version[1] for line in lines if (version := _VERSION.fullmatch(line))), "")
