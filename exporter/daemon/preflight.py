"""What makes a valid configuration unusable on this host: ``config check`` reports it before ``serve`` refuses it.

``require_usable`` is the one place that refuses: for ``serve``, for a reload, and for ``config check``. Nothing here
changes anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.alerts.delivery import delivery
from exporter.config import Config, ConfigError, GatewayTarget, StoreTarget, Target, unreadable_secrets
from exporter.config.targets import HostTarget
from exporter.lib import http
from exporter.metrics import otlp
from exporter.model import CheckError, ObservedProfile
from exporter.sources import SourceContext
from exporter.sources.openclaw.source import is_on_this_host
from exporter.sources.store.source import StoreSource
from exporter.web import listen
from exporter.web.certificates import certificates_of
from exporter.web.users import users_of


def require_usable(config: Config) -> None:
    """Raises ConfigError with everything that keeps the daemon from running with ``config``.

    An address that another program uses is no mistake of the configuration.
    """
    problems = [problem for check in _CHECKS for problem in _problems_of(check, config)]
    if problems:
        raise ConfigError("", problems)


def warnings(config: Config) -> list[str]:
    """A sentence for each thing that the daemon can start with, but that will not work."""
    found = [problem for problem in unreadable_secrets(config) if not problem.startswith("channels[")]
    found = [f"{problem} (for this user; the service may run as another)" for problem in found]
    for problem in (_state_problem(config.state_directory()), shared_state(config.state_directory())):
        if problem is not None:
            found.append(problem)
    return [*found, *unbounded_lists(config), *delivery.warnings(config), *needless_credentials(config)]


def unbounded_lists(config: Config) -> list[str]:
    """A sentence for each list that decides where a token is sent."""
    return [
        f"targets_from[{number}].defaults.url_match is not set: whoever writes the list decides where the token is sent"
        for number, entry in enumerate(config.targets_from)
        if entry.defaults.url_match is None and entry.defaults.given_keys("token")
    ]


def needless_credentials(config: Config) -> list[str]:
    """A sentence for each profile on this host whose provider needs no credential by ``policy.providers``."""
    if all(map(config.policy.needs_credential, config.policy.providers)):
        return []
    found = []
    for target in config.targets:
        for profile in _stored_profiles(target):
            if not config.policy.needs_credential(profile.provider):
                key = f"policy.providers: {profile.provider} needs no credential"
                found.append(f"{key}, but {target.name} has the profile {profile.id}: nothing about it is reported")
    return list(dict.fromkeys(found))


def _stored_profiles(target: Target) -> Iterator[ObservedProfile]:
    """The profiles of all agents in the target's store, if it is on this host and can be read."""
    store = _store_of(target)
    if store is None:
        return

    async def check() -> list[ObservedProfile]:
        source = StoreSource(store, SourceContext(lambda text: "", environ=os.environ))
        seen = [await source.check(agent) for agent in await source.agents()]
        return [profile for observation in seen for profile in observation.profiles]

    try:
        yield from asyncio.run(check())
    except CheckError:
        return


def _store_of(target: Target) -> StoreTarget | None:
    """The target's store as a target of its own; None if it is not on this host."""
    name, state_dir = target.name, getattr(target, "state_dir", None)
    if isinstance(target, GatewayTarget):
        return StoreTarget(source="store", name=name, state_dir=state_dir) if state_dir else None
    if not isinstance(target, HostTarget) or not is_on_this_host(target):
        return None
    return StoreTarget(source="store", name=name, state_dir=state_dir, env_file=target.env_file)


def _problems_of(check: Callable[[Config], object], config: Config) -> list[str]:
    try:
        check(config)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _certificates(config: Config) -> None:
    certificates_of(config.web)


def _users(config: Config) -> None:
    if (users := users_of(config.web)) is not None:
        users.load()


def _address(config: Config) -> None:
    try:
        for host, port in config.web.addresses:
            if port:  # else any free port will do, or systemd has opened it
                listen.check(host, port)
    except listen.ListenError as error:
        raise ConfigError("web.listen", [error.message]) from None


def _heartbeat(config: Config) -> None:
    if config.heartbeat is None:
        return
    try:
        url = config.heartbeat.read_secret("url")
    except ConfigError:
        return  # a warning: it is read again for every heartbeat
    if not http.is_url(url or ""):
        raise ConfigError("heartbeat.url", ['is not valid: write it like "https://hc-ping.com/…"'])


def _otlp(config: Config) -> None:
    if config.otlp is None:
        return
    if not otlp.is_installed():
        raise ConfigError("otlp", ["needs OpenTelemetry: install it with pip install 'openclaw-auth-exporter[otlp]'"])
    try:
        url = config.otlp.read_secret("url")
    except ConfigError:
        return  # a warning: it is read again each time
    if not http.is_url(url or ""):
        raise ConfigError("otlp.url", ['is not valid: write it like "http://127.0.0.1:4318/v1/metrics"'])


_CHECKS: tuple[Callable[[Config], object], ...] = (
    *(delivery.build_senders, _certificates, _users, _address, _heartbeat),
    _otlp,
)


def shared_state(directory: Path) -> str | None:
    """A sentence if another user may replace the state, and so the alerts and the key of signed links."""
    try:
        mode = os.stat(directory).st_mode
    except OSError:
        return None
    if mode & 0o022 == 0:
        return None
    return f"state_dir: others may write to {directory} and replace the state: run chmod go-w {directory}"


def _state_problem(directory: Path) -> str | None:
    """Why nothing can be stored in ``directory``, which the daemon creates if it does not exist."""
    there = directory
    while not os.path.exists(there) and there != there.parent:  # Path.exists raises where this user may not look
        there = there.parent
    if not os.path.isdir(there):
        why = f"{there} is no directory"
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        why = "this user may not write there"
    else:
        return None
    return f"state_dir: {directory} cannot be used: {why}; everything would be kept in memory and lost at a restart"
