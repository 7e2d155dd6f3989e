"""The alarm of a running daemon: who tells of alerts and who beats the heart, through one configuration after another.

Either may be absent: without a channel there is nobody to tell, without an address nobody to hear the heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.config import Config
from exporter.daemon.heartbeat import HeartbeatSender

#: A notification that waits longer than this is told to the dead-man's switch, seconds.
UNDELIVERED = 3600.0


class Alerting:
    """Of the daemon that gives ``make``, a notifier for a configuration, and ``unwell``, its own trouble as a sentence.

    Raises ConfigError for a channel that cannot be used.
    """

    def __init__(
        self,
        config: Config,
        make: Callable[[Config], Notifier],
        unwell: Callable[[], str | None],
        now: Callable[[], float],
    ) -> None:
        self._make = make
        self._unwell = unwell
        self._now = now
        self._config = config
        self._heartbeat = self._heart_of(config)
        self.notifier = make(config) if config.channels else None

    def _heart_of(self, config: Config) -> HeartbeatSender | None:
        return HeartbeatSender(config.heartbeat, self.problem, self._now) if config.heartbeat else None

    def start(self) -> None:
        """Begin to tell, and to beat."""
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
        """Take over another configuration. Raises ConfigError, and then everything stays as it is."""
        if self.notifier is not None:
            await self.notifier.reconfigure(config)
        elif config.channels:
            self.notifier = self._make(config)
            self.notifier.start()
        if config.heartbeat != self._config.heartbeat:
            if self._heartbeat is not None:
                await self._heartbeat.stop()
            self._heartbeat = self._heart_of(config)
            if self._heartbeat is not None:
                self._heartbeat.start()
        self._config = config

    async def raised(self) -> None:
        """There is a new report: until what it comes to is decided and was tried on the channels, once."""
        if self.notifier is not None:
            self.notifier.wake()
            await self.notifier.settled()

    def look_for_others(self) -> None:
        """See what another process wrote, a silence from the command line."""
        if self.notifier is not None:
            self.notifier.look_for_others()

    def problem(self) -> str | None:
        """Why the daemon cannot do its work at present, as a sentence for the heartbeat; None while it can."""
        if (why := self._unwell() or self.state_problem) is not None:
            return why
        late = [
            name
            for name, said in self.statistics().items()
            if said.oldest_pending is not None and self._now() - said.oldest_pending > UNDELIVERED
        ]
        return f"notifications wait undelivered: {', '.join(sorted(late))}" if late else None

    @property
    def state_problem(self) -> str | None:
        """What is wrong with the alert state, which must outlive a restart."""
        return self.notifier.problem if self.notifier is not None else None

    def statistics(self) -> Mapping[str, ChannelStatistics]:
        """Per channel; empty where there is none."""
        return self.notifier.statistics() if self.notifier is not None else {}

    @property
    def silences(self) -> int | None:
        """How many hold; None where nothing notifies, so nothing can be silenced."""
        return self.notifier.silences if self.notifier is not None else None

    @property
    def heartbeat_success_at(self) -> float | None:
        """When "all is well" last arrived, Unix seconds; 0: never, None: there is no heartbeat."""
        return (self._heartbeat.success_at or 0.0) if self._heartbeat is not None else None
