"""What people say to the alarm: silences, acknowledgements, and the buttons of notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.overview import overview, silencing
from exporter.alerts.lifecycle.policy import Silence
from exporter.alerts.values import AlertState
from exporter.lib.durations import in_words, iso
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import links
from exporter.web.app import NoChannelError


class AlertActions:
    """The web side's way to the notifier, and the maker of the links in notifications."""

    def __init__(
        self,
        ledger: CredentialDatabase,
        notifier: Callable[[], Notifier | None],
        external_url: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        """``notifier`` and ``external_url`` are asked each time: a reload changes them."""
        self._ledger = ledger
        self._key = ledger.keyed_hash(links.KEY).encode()
        self._notifier = notifier
        self._now = now
        #: Makes the links of buttons.
        self.link = links.maker(self._key, external_url, now)

    def _notifies(self) -> Notifier:
        notifier = self._notifier()
        if notifier is None:
            raise NoChannelError
        return notifier

    async def silences(self) -> list[dict[str, Any]]:
        notifier = self._notifier()
        held = await asyncio.to_thread(notifier.outbox.silences, self._now()) if notifier else ()
        return [_shown(one) for one in held]

    async def add_silence(self, matchers: dict[str, str], seconds: float, reason: str) -> dict[str, Any]:
        notifier, now = self._notifies(), self._now()
        made = await asyncio.to_thread(notifier.outbox.add_silence, matchers, now + seconds, reason, now)
        notifier.wake()
        return _shown(made)

    async def remove_silence(self, id: str) -> bool:
        notifier = self._notifies()
        known = await asyncio.to_thread(notifier.outbox.remove_silence, id)
        notifier.wake()
        return known

    async def overview(self, limit: int | None = None) -> dict[str, Any] | None:
        """How each channel and each alert stands, at most ``limit`` of these; None where nothing notifies."""
        notifier = self._notifier()
        return await asyncio.to_thread(overview, notifier, self._now(), limit) if notifier is not None else None

    async def acknowledge(self, fingerprint: str) -> bool:
        return await self._notifies().acknowledge(fingerprint)

    # --- buttons ---------------------------------------------------------------------------

    def _read(self, token: str) -> tuple[links.LinkAction, AlertState | None]:
        """What a link is about; no alert: the test of a channel. Raises ValueError with a sentence."""

        def is_used(nonce: str) -> bool:
            return self._ledger.get_cached(f"link:{nonce}", links.LIFE + 60) is not None

        action = links.read(self._key, token, self._now(), is_used)
        notifier = self._notifier()
        if notifier is not None and notifier.tested(action.fingerprint) is not None:
            return action, None
        states = notifier.states().values() if notifier else ()
        state = next((one for one in states if one.fingerprint == action.fingerprint), None)
        if state is None or not state.firing:
            raise ValueError("What this link is about is over.")
        return action, state

    def action(self, token: str) -> str:
        action, state = self._read(token)
        if state is None:
            return f"Confirm that messages on the channel {action.channel} reach you?"
        if action.name == "silence":
            return f"Silence this for {in_words(links.SILENCE)}? {state.summary}"
        return f"Acknowledge this, so that it is not repeated? {state.summary}"

    async def act(self, token: str) -> str:
        action, state = self._read(token)
        self._ledger.put_cached(f"link:{action.nonce}", "used")
        if state is not None and action.name == "silence":
            await self.add_silence(silencing(state), links.SILENCE, "by a notification's button")
            return f"Silenced for {in_words(links.SILENCE)}: {state.summary}"
        await self._notifies().acknowledge(action.fingerprint, action.channel)
        if state is None:
            return f"Confirmed: messages on the channel {action.channel} reach you."
        return f"Acknowledged: {state.summary}"


def _shown(silence: Silence) -> dict[str, Any]:
    """A silence as the API shows it."""
    return {
        "id": silence.id,
        "matchers": dict(silence.matchers),
        "until": iso(silence.until),
        "reason": silence.reason,
        "created_at": iso(silence.created_at),
    }
