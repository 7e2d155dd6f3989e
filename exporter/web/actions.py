"""What people do to alerts over HTTP: silence them, acknowledge them, and press the buttons of notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from exporter.alerts.delivery.about import MessageFilter, SentAlert
from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.overview import lines_by_profile, overview, silence_matchers
from exporter.alerts.lifecycle.policy import Silence
from exporter.alerts.values import AlertState
from exporter.lib.durations import in_words, iso
from exporter.model import ConditionName
from exporter.present.explanation import Alerts
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import links


class NoChannelError(Exception):
    """No channel is configured, so there is nothing to silence or to acknowledge."""


async def _nothing(target: str, profile: str) -> None:
    pass


class AlertActions:
    """Silences, acknowledgements and buttons. Methods that change something raise NoChannelError without a channel."""

    def __init__(
        self,
        ledger: CredentialDatabase,
        notifier: Callable[[], Notifier | None],
        external_url: Callable[[], str],
        now: Callable[[], float],
        acknowledge_gone: Callable[[str, str], Awaitable[None]] = _nothing,
        announce: Callable[[], None] = lambda: None,
        renews: Callable[[], bool] = lambda: False,
    ) -> None:
        """``notifier`` and ``external_url`` are called each time, because a reload changes them.

        ``acknowledge_gone`` ends the reports that a profile of a target has vanished. ``announce`` is called after
        each change. ``renews``: whether the page renews credentials.
        """
        self._ledger = ledger
        self._key = ledger.keyed_hash(links.KEY).encode()
        self._notifier = notifier
        self._now = now
        self._acknowledge_gone = acknowledge_gone
        self._announce = announce
        #: Makes the links of buttons in notifications.
        self.link = links.maker(self._key, external_url, now, renews)

    def _configured(self) -> Notifier:
        notifier = self._notifier()
        if notifier is None:
            raise NoChannelError
        return notifier

    async def silences(self) -> list[dict[str, Any]]:
        """The silences in effect."""
        notifier = self._notifier()
        silences = await notifier.outbox.run(notifier.outbox.silences, self._now()) if notifier else ()
        return [_as_dict(silence) for silence in silences]

    async def add_silence(self, matchers: dict[str, str], seconds: float, reason: str) -> dict[str, Any]:
        """Mute alerts that match all ``matchers``."""
        notifier, now = self._configured(), self._now()
        added = await notifier.outbox.run(notifier.outbox.add_silence, matchers, now + seconds, reason, now)
        await self._changed(notifier)
        return _as_dict(added)

    async def remove_silence(self, id: str) -> bool:
        """End a silence early. False if no silence has this id."""
        notifier = self._configured()
        known = await notifier.outbox.run(notifier.outbox.remove_silence, id)
        await self._changed(notifier)
        return known

    async def _changed(self, notifier: Notifier) -> None:
        """Let the notifier see a change, and then the pages."""
        notifier.wake()
        await notifier.wait_until_idle()
        self._announce()

    async def overview(self, limit: int | None = None) -> dict[str, Any] | None:
        """The status of each channel and of at most ``limit`` alerts. None if no channel is configured."""
        notifier = self._notifier()
        if notifier is None:
            return None
        return await asyncio.to_thread(overview, await notifier.status(), self._now(), limit)

    async def explanations(self) -> Alerts:
        """The status of each alert as ``explain`` prints it."""
        notifier = self._notifier()
        if notifier is None:
            return {}
        status, now = await notifier.status(), self._now()
        return await asyncio.to_thread(lines_by_profile, status.states, status.policy, now, status.undelivered)

    async def messages_about(self, wanted: MessageFilter) -> tuple[list[SentAlert], list[str]] | None:
        """What was sent about a credential or target, and what will be. None without a channel. Raises StateError."""
        notifier = self._notifier()
        return await notifier.messages_about(wanted) if notifier is not None else None

    async def acknowledge(self, fingerprint: str) -> bool:
        """A person has seen the alert. False if no alert has this fingerprint."""
        return await self._acknowledge(fingerprint)

    async def _acknowledge(self, fingerprint: str, channel: str | None = None) -> bool:
        notifier = self._configured()
        states = [state for state in notifier.states().values() if state.fingerprint == fingerprint]
        known = await notifier.acknowledge(fingerprint, channel)
        for state in states:
            if state.condition is ConditionName.VANISHED:
                await self._acknowledge_gone(state.subject.target, state.subject.profile)
        await self._changed(notifier)
        return known

    # --- buttons ---------------------------------------------------------------------------

    def _read(self, token: str) -> tuple[links.LinkAction, AlertState | None]:
        """The action of a link and its alert; without an alert, it is a test notification. Raises ValueError."""
        action = links.read(self._key, token, self._now(), self._ledger.is_used)
        notifier = self._notifier()
        if notifier is not None and notifier.tested_channel(action.fingerprint) is not None:
            return action, None
        states = notifier.states().values() if notifier else ()
        state = next((state for state in states if state.fingerprint == action.fingerprint), None)
        if state is None or not state.firing:
            raise ValueError("The alert of this link is resolved.")
        return action, state

    def question(self, token: str) -> str:
        """What the link would do, as a question. Raises ValueError with a sentence if it does nothing (any more)."""
        action, state = self._read(token)
        if state is None:
            return f"Confirm that notifications of the channel {action.channel} reach you?"
        if action.name == "silence":
            return f"Silence this alert for {in_words(links.SILENCE)}? {state.summary}"
        return f"Acknowledge this alert, so that it is not repeated? {state.summary}"

    async def act(self, token: str) -> str:
        """Do what the link says, once. Returns a sentence. Raises ValueError with one.

        Raises StateError, and does nothing, if the disk cannot hold that the link was used.
        """
        action, state = self._read(token)
        if not await self._ledger.run(self._ledger.use, action.nonce):
            raise ValueError(links.USED)
        if state is not None and action.name == "silence":
            await self.add_silence(silence_matchers(state), links.SILENCE, "button of a notification")
            return f"Silenced for {in_words(links.SILENCE)}: {state.summary}"
        await self._acknowledge(action.fingerprint, action.channel)
        if state is None:
            return f"Confirmed: notifications of the channel {action.channel} reach you."
        return f"Acknowledged: {state.summary}"


def _as_dict(silence: Silence) -> dict[str, Any]:
    """A silence as the API shows it."""
    return {
        "id": silence.id,
        "matchers": dict(silence.matchers),
        "until": iso(silence.until),
        "reason": silence.reason,
        "created_at": iso(silence.created_at),
    }
