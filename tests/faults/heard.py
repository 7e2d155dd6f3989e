"""A daemon, or a timer, that notifies a server of the trouble with one of two credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alerts.worlds import DAY, HOUR, NOW, P, world

from .servers import BadServer
from .worlds import Setting, config, webhook

SOON = P("anthropic:soon", ends=NOW + HOUR, secret="1")
OTHER = P("anthropic:other", ends=NOW + 300 * DAY, secret="2")


class Heard(Setting):
    """With the server behind its one channel."""

    server: BadServer


@contextmanager
def heard(folder: Path) -> Iterator[Heard]:
    with BadServer() as server:
        made = Heard(folder, config(webhook(server.url + "/hook")), world(SOON, OTHER))
        made.server = server
        yield made
