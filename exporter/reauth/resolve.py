"""After a renewal, ends the alerts about it: asks the daemon for a check, or notifies the channels."""

from __future__ import annotations

import json
from collections.abc import Callable

from exporter.config import Config, ConfigError
from exporter.lib.durations import in_words

#: How long a daemon may take for its check, seconds.
_TIMEOUT = 120.0


def resolve_alerts(config: Config, targets: list[str], notify: Callable[[list[str]], bool | None]) -> str | None:
    """Have the alerts about ``targets`` ended. Says in a sentence how; None if nothing notifies anyone.

    ``notify`` runs the alert lifecycle over a check of them, like ``check --notify``: whether every
    message was delivered, None if a daemon holds the alert state.
    """
    if _daemon_checked(config, targets):
        return "The daemon has checked it too: its alerts end."
    if not config.channels:
        return None
    delivered = notify(targets)
    if delivered is None:
        slowest = max(config.interval_of(t) for t in config.targets if t.name in targets)
        return f"The daemon notifies the channels at its next check, in {in_words(slowest)} at the latest."
    if delivered:
        return "The channels are notified."
    return "A notification could not be delivered: the next `check --notify` tries again."


def _daemon_checked(config: Config, targets: list[str]) -> bool:
    """Ask the daemon of this configuration for a check, if its token is known. Never raises."""
    web = config.web
    try:
        token = web.read_secret("token")
    except ConfigError:
        return False
    if token is None or web.tls.cert_file or web.config_file:
        return False  # a certificate is for a public name, which we cannot know
    from exporter.lib import http  # costs start-up time

    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 - read, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{web.port}/api/v1/check"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    requests = (json.dumps({"target": name}).encode() for name in targets)
    try:
        return all(
            http.send_and_wait("POST", url, timeout=_TIMEOUT, content=request, headers=headers).is_success
            for request in requests
        )
    except http.RequestError:
        return False
