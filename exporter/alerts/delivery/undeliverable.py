"""The undeliverable messages that the status page and the API show, with their titles."""

from __future__ import annotations

from typing import Any

from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.message import text
from exporter.lib.durations import iso

#: How many messages of one channel are shown, the latest ones.
MAX_SHOWN = 20
#: How many titles are kept: reading a message again may mean megabytes.
MAX_TITLES = 1000


class UndeliverableMessages:
    """Reads the latest undeliverable messages of an outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._titles: dict[str, str | None] = {}

    def latest(self) -> dict[str, list[dict[str, Any]]]:
        """By channel, ready for JSON. Raises StateError."""
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self._outbox.undeliverable():
            shown = found.setdefault(message.channel, [])
            if len(shown) < MAX_SHOWN:
                shown.append(
                    {
                        "id": message.id,
                        "reason": message.reason,
                        "made_at": iso(message.made_at),
                        "given_up_at": iso(message.given_up_at),
                        "what": self._title(message.id),
                    }
                )
        return found

    def _title(self, id: str) -> str | None:
        """The title of a message; None where it cannot be read."""
        if id not in self._titles:
            if len(self._titles) > MAX_TITLES:
                self._titles.clear()
            message = self._outbox.message(id)
            self._titles[id] = text.render(message, message.at).title if message is not None else None
        return self._titles[id]
