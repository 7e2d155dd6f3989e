"""Starts the daemon's notifier and heartbeat, replaces them on reload, and stops them.

Either may be absent: without a channel there is no notifier, without a URL no heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.config import Config
from exporter.daemon.heartbeat import HeartbeatSender
from exporter.lib import tasks
from exporter.lib.supervisor import Supervisor

#: Seconds after which a message that waits for delivery fails the heartbeat.
UNDELIVERED_AFTER = 3600.0


class Alerting:
    """The notifier and the heartbeat of one daemon."""

    def __init__(
        self,
        config: Config,
        make_notifier: Callable[[Config], Notifier],
        daemon_problem: Callable[[], str | None],
        now: Callable[[], float],
        supervisor: Supervisor,
    ) -> None:
        """``daemon_problem`` returns the daemon's own trouble as a sentence, or None.

        Raises ConfigError for a channel that cannot be used.
        """
        self._make_notifier = make_notifier
        self._daemon_problem = daemon_problem
        self._now = now
        self._supervisor = supervisor
        self._config = config
        self._heartbeat = self._make_heartbeat(config)
        self.notifier = make_notifier(config) if config.channels else None

    def _make_heartbeat(self, config: Config) -> HeartbeatSender | None:
        if config.heartbeat is None:
            return None
        return HeartbeatSender(config.heartbeat, self.problem, self._now, supervisor=self._supervisor)

    def start(self) -> None:
        if self.notifier is not None:
            self.notifier.start()
        if self._heartbeat is not None:
            self._heartbeat.start()

    async def stop(self) -> None:
        if self._heartbeat is not None:
            await self._heartbeat.stop()
        if self.notifier is not None:
            await self.notifier.stop()

    async def reconfigure(self, config: Config) -> None:
        """Continue with another configuration. Raises ConfigError, and then everything stays as it is."""
        if self.notifier is not None:
            await self.notifier.reconfigure(config)
        elif config.channels:
            self.notifier = await self._make_in_thread(config)
            self.notifier.start()
        if config.heartbeat != self._config.heartbeat:
            if self._heartbeat is not None:
                await self._heartbeat.stop()
            self._heartbeat = self._make_heartbeat(config)
            if self._heartbeat is not None:
                self._heartbeat.start()
        self._config = config

    async def _make_in_thread(self, config: Config) -> Notifier:
        """A notifier, made in a thread because it opens files. If nobody waits for it any more, it is closed."""
        making = tasks.begin(asyncio.to_thread(self._make_notifier, config), name="opening the alert state")
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close)
            raise

    async def notify(self) -> None:
        """Evaluate a new report; returns when its messages were tried once, or after a moment."""
        if self.notifier is not None:
            self.notifier.wake()
            await self.notifier.wait_until_idle()

    def poll_outbox(self) -> None:
        """Notice what another process wrote to the outbox, as ``silence add`` does."""
        if self.notifier is not None:
            self.notifier.poll_outbox()

    def problem(self) -> str | None:
        """Why the daemon cannot do its work at present, as a sentence for the heartbeat; None while it can."""
        if (problem := self._daemon_problem() or self.state_problem) is not None:
            return problem
        limit = self._now() - UNDELIVERED_AFTER
        late = [name for name, known in self.statistics().items() if (known.oldest_pending or limit) < limit]
        return f"notifications are not delivered: {', '.join(sorted(late))}" if late else None

    @property
    def state_problem(self) -> str | None:
        """The problem with the alert state, which must survive a restart."""
        return self.notifier.problem if self.notifier is not None else None

    def statistics(self) -> Mapping[str, ChannelStatistics]:
        """By channel; empty without one."""
        return self.notifier.statistics() if self.notifier is not None else {}

    @property
    def silences(self) -> int | None:
        """How many silences are active; None without a channel, because then nothing can be silenced."""
        return self.notifier.silences if self.notifier is not None else None

    @property
    def heartbeat_success_at(self) -> float | None:
        """When "all is well" last arrived, Unix seconds; 0 if it never did, None without a heartbeat."""
        return (self._heartbeat.success_at or 0.0) if self._heartbeat is not None else None


def _close(made: asyncio.Task[Notifier]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().outbox.close()
