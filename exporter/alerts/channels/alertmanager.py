"""Alertmanager: it is sent the state and not the changes, and groups, routes, repeats and silences on its own.

While anything fires, all of it goes to every configured instance each ``PUBLISH_EVERY`` seconds, with an
``endsAt`` a few minutes ahead: when the exporter dies, Alertmanager resolves the alerts. An alert that ended is
repeated for a while with its end, so that an instance that was down receives it too.

The labels are an alert's identity, and the severity is among them because routes need it. When the severity
changes, the old label set is therefore ended and a new one begins. (API v2 since Alertmanager 0.25: alerts with
the same labels are the same alert, the earliest ``startsAt`` wins, a later ``endsAt`` replaces an earlier one.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.alerts.channels import ChannelContext, DeliveryError, Sender, _http, as_json
from exporter.alerts.values import Alert, NotificationReason
from exporter.config import ConfigError
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.lib.durations import iso
from exporter.model import Family, Severity

PUBLISH_EVERY = 60.0  # seconds between two publications
ENDS_AFTER = 240.0  # seconds from now to the endsAt of a firing alert: three publications may fail
REPEAT_ENDED_FOR = 900.0  # seconds for which an ended alert is repeated
BATCH_SIZE = 500  # alerts in one request

RUNBOOK = "https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/runbook.md"

_NAMES = {
    Family.DEADLINE: "OpenClawAuthDeadline",
    Family.AVAILABILITY: "OpenClawAuthAvailability",
    Family.WATCH: "OpenClawAuthWatch",
}
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EndedAlert:
    """A label set that no longer fires. Times are Unix seconds."""

    alert: Alert
    at: float
    repeat_until: float


@dataclass(frozen=True, slots=True)
class Publication:
    """What an Alertmanager was sent last, by label set. It may be lost: alerts that are not repeated end there."""

    firing: Mapping[Labels, Alert] = field(default_factory=dict)
    ended: Mapping[Labels, EndedAlert] = field(default_factory=dict)

    def alerts(self, now: float) -> list[tuple[Alert, float | None]]:
        """Each alert with the time it ended; None while it fires."""
        # After the clock was set back an end would lie ahead, and the alert would fire until then.
        ended = [(end.alert, min(end.at, now)) for end in self.ended.values()]
        return [*((alert, None) for alert in self.firing.values()), *ended]


def labels(alert: Alert) -> Labels:
    """The identity of an alert in Alertmanager, sorted by name."""
    found = {
        "alertname": alertname(alert),
        "severity": str(alert.severity),
        "target": alert.target,
        "provider": alert.provider,
        "profile": alert.profile,
        "fingerprint": alert.fingerprint,  # tells apart credentials with one name, and windows of one quota
    }
    return tuple(sorted((name, _valid(value)) for name, value in found.items() if value))


def alertname(alert: Alert) -> str:
    """One name for a family, which is one alert's life. A notice has a name of its own: it becomes no other."""
    if alert.reason is NotificationReason.TEST:
        return "OpenClawAuthTest"
    words = str(alert.condition).split("_")
    return _NAMES.get(alert.family) or "OpenClawAuth" + "".join(map(str.capitalize, words))


def next_publication(last: Publication, firing: Iterable[Alert], resolved: Iterable[Alert], now: float) -> Publication:
    """What to send after ``last``.

    An alert that fired in ``last`` and does not now has ended, at its time in ``resolved`` or now: a changed
    severity ends the old label set. An alert in ``resolved`` that is not in ``last`` (after a restart) has
    ended too.
    """
    fires = {labels(alert): alert for alert in firing}
    ends = {alert.fingerprint: alert for alert in resolved}
    ended = {key: end for key, end in last.ended.items() if end.repeat_until > now and key not in fires}
    for key, alert in last.firing.items():
        if key not in fires:
            end = ends.get(alert.fingerprint)
            at = end.ended_at if end is not None and end.ended_at is not None else now
            ended[key] = EndedAlert(alert, min(at, now), now + REPEAT_ENDED_FOR)
    for alert in ends.values():
        key, at = labels(alert), alert.ended_at if alert.ended_at is not None else now
        if key not in fires and key not in ended and at > now - REPEAT_ENDED_FOR:
            ended[key] = EndedAlert(alert, min(at, now), now + REPEAT_ENDED_FOR)
    return Publication(fires, ended)


def postable(
    alert: Alert, ended_at: float | None, now: float, external_url: str = "", ends_after: float = ENDS_AFTER
) -> dict[str, Any]:
    """One alert as ``POST /api/v2/alerts`` accepts it; a firing one lasts ``ends_after`` seconds from now."""
    ends = now + ends_after if ended_at is None else ended_at
    starts = min(now if alert.since is None else alert.since, now, ends)
    found = {
        "labels": dict(labels(alert)),
        "annotations": annotations_of(alert),
        "startsAt": iso(max(starts, 0.0)),
        "endsAt": iso(ends),
        "generatorURL": external_url,
    }
    return {name: value for name, value in found.items() if value}


def annotations_of(alert: Alert) -> dict[str, str]:
    """The texts of an alert. They do not depend on the time: a changed annotation would be a change of the alert."""
    agents = [f"Agents: {', '.join(alert.agents)}."] if alert.agents else []
    deadline = [f"Deadline: {iso(alert.deadline)}."] if iso(alert.deadline) else []
    remedy = ["Do:", *(f"  {command}" for command in alert.remedy)] if alert.remedy else []
    summary = alert.summary or f"{alert.condition} on {alert.target}"
    found = {
        "summary": summary,
        "description": "\n".join([f"{summary}.", *agents, *deadline, *remedy]),
        "condition": str(alert.condition),
        "agents": ", ".join(alert.agents),
        "runbook_url": f"{RUNBOOK}#{alert.condition.definition.runbook.lower()}",
    }
    return {name: _valid(text) for name, text in found.items() if text}


def _valid(text: str) -> str:
    """``text`` without surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


def build(config: AlertmanagerChannel, context: ChannelContext) -> AlertmanagerSender:
    """The channel. Raises ConfigError where an address cannot be one."""
    wrong = [
        f"urls: number {number} is not an address: write the instance's own, like http://127.0.0.1:9093"
        for number, url in enumerate(config.urls, 1)
        if not url.startswith(("http://", "https://"))
    ]
    if wrong:
        raise ConfigError(f"channel {config.name}", wrong)
    return AlertmanagerSender(config, context)


class AlertmanagerSender(Sender[AlertmanagerChannel]):
    """All instances of one Alertmanager cluster. Each is sent everything; they share what they have notified."""

    #: What was sent last. A reload passes it on.
    last = Publication()

    def assume_sent(self, alerts: Iterable[Alert]) -> None:
        """Take ``alerts`` as sent by an earlier process: those that no longer fire will be ended."""
        self.last = Publication({labels(alert): alert for alert in self._accepted(alerts)})

    async def publish(
        self, firing: Sequence[Alert], resolved: Sequence[Alert], now: float, ends_after: float = ENDS_AFTER
    ) -> list[DeliveryError | None]:
        """Send every instance all that fires and what has ended.

        Call it every ``PUBLISH_EVERY`` seconds and at every change; a caller that comes more rarely (a timer)
        says with ``ends_after`` how many seconds a firing alert lasts without being repeated. Returns None or
        the error for each instance, in the configured order. Nothing is retried here: the next call is the
        next try. When there is nothing to send, nothing is sent and the list is empty.
        """
        self.last = next_publication(self.last, self._accepted(firing), self._accepted(resolved), now)
        return await self._send(self.last.alerts(now), now, ends_after)

    def _accepted(self, alerts: Iterable[Alert]) -> list[Alert]:
        least = Severity(self.config.min_severity).rank
        return [alert for alert in alerts if alert.severity.rank >= least]

    async def test(self, alert: Alert, now: float) -> None:
        """Send every instance a test alert that ends on its own. What fires stays as it is. Raises DeliveryError."""
        for error in filter(None, await self._send([(alert, None)], now, ENDS_AFTER)):
            raise error

    async def _send(
        self, alerts: Sequence[tuple[Alert, float | None]], now: float, ends_after: float
    ) -> list[DeliveryError | None]:
        batches = []
        for start in range(0, len(alerts), BATCH_SIZE):
            batch = [
                postable(alert, ended_at, now, self.context.external_url, ends_after)
                for alert, ended_at in alerts[start : start + BATCH_SIZE]
            ]
            batches.append(as_json(batch))
            await asyncio.sleep(0)  # ten thousand alerts are megabytes: let others use the loop
        if not batches:
            return []
        return list(await asyncio.gather(*(self._send_to(url, batches) for url in self.config.urls)))

    async def _send_to(self, url: str, batches: Sequence[bytes]) -> DeliveryError | None:
        try:
            for batch in batches:
                await _http.send(self, "POST", f"{url.rstrip('/')}/api/v2/alerts", content=batch)
        except DeliveryError as error:
            return error
        return None
