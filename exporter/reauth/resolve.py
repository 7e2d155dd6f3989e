"""Who tells of alerts hears that something was mended: a daemon is asked to look, or the channels are told.

Called by ``exporter.reauth.guide`` when something was done.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.config import Config, ConfigError
from exporter.lib.durations import in_words

#: A daemon answers when it has looked, which takes a command's time. Seconds.
_PATIENCE = 120.0


def tell(config: Config, targets: list[str], once: Callable[[list[str]], bool | None]) -> str | None:
    """What became of the alerts about ``targets``, as a sentence; None where nobody tells of any.

    ``once`` runs the alert lifecycle over a look at them like ``check --notify``: whether everything was
    handed over, None where a daemon does it.
    """
    if _asked_daemon(config, targets):
        return "The daemon has looked too: its alerts end."
    if not config.channels:
        return None
    delivered = once(targets)
    if delivered is None:
        slowest = max(config.interval_of(t) for t in config.targets if t.name in targets)
        return f"The daemon tells that it is over: at its next look, in {in_words(slowest)} at the latest."
    if delivered:
        return "The channels are told."
    return "A notification could not be handed over: the next `check --notify` tries again."


def _asked_daemon(config: Config, targets: list[str]) -> bool:
    """Ask a daemon of this configuration to look now, where the token for that is known. Never raises."""
    web = config.web
    try:
        token = web.secret("token")
    except ConfigError:
        return False
    if token is None or web.tls.cert_file:
        return False  # TLS is for other hosts: its names are not ours to guess
    import httpx

    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 - read
    url = f"http://{f'[{host}]' if ':' in host else host}:{web.port}/api/v1/check"
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(timeout=_PATIENCE, trust_env=False, headers=headers) as client:
            return all(client.post(url, json={"target": name}).is_success for name in targets)
    except (httpx.HTTPError, ValueError):
        return False
