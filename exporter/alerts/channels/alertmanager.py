"""Alertmanager: it is told the state, not the news, and groups, routes, repeats and silences by itself.

While anything fires, all of it goes to every configured instance each ``EVERY`` seconds with an
``endsAt`` a few minutes ahead: should we die, it resolves by itself. What ended is repeated for a while
with the time it ended, so that an instance that was away hears of it.

Labels are an alert's identity, and its severity to route by. So when the severity changes, the old
label set is ended as the new one begins. (API v2 as of Alertmanager 0.25: alerts with the same labels
are the same alert, the earliest ``startsAt`` wins, a later ``endsAt`` replaces an earlier one.)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.alerts.channels import ChannelContext, DeliveryError, http
from exporter.alerts.values import Alert
from exporter.alerts.values import NotificationReason as Why
from exporter.config import ConfigError
from exporter.config.channels import AlertmanagerChannel as Configured
from exporter.lib.durations import iso
from exporter.model import Family, Severity

EVERY = 60.0  # seconds between two publications
AHEAD = 240.0  # seconds from now to the endsAt of what fires: three publications may fail
REPEATED = 900.0  # seconds for which what ended is repeated
BATCH = 500  # alerts in one request

RUNBOOK = "https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/runbook.md"

_NAMES = {
    Family.DEADLINE: "OpenClawAuthDeadline",
    Family.AVAILABILITY: "OpenClawAuthAvailability",
    Family.WATCH: "OpenClawAuthWatch",
}
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A label set that fires no more. Times are Unix seconds."""

    alert: Alert
    at: float
    until: float  # how long to repeat it


@dataclass(frozen=True, slots=True)
class Memory:
    """What Alertmanager was told last: by label set. It may be lost: what is not repeated ends by itself."""

    firing: Mapping[Labels, Alert] = field(default_factory=dict)
    ended: Mapping[Labels, Ended] = field(default_factory=dict)


def labels(alert: Alert) -> Labels:
    """Who an alert is to Alertmanager, sorted by name."""
    found = {
        "alertname": alertname(alert),
        "severity": str(alert.severity),
        "target": alert.target,
        "provider": alert.provider,
        "profile": alert.profile,
        "fingerprint": alert.fingerprint,  # tells apart credentials by one name, and windows of one quota
    }
    return tuple(sorted((name, _sayable(value)) for name, value in found.items() if value))


def alertname(alert: Alert) -> str:
    """One name for a family, which is one alert's life; a notice has its own, it turns into no other."""
    if alert.reason is Why.TEST:
        return "OpenClawAuthTest"
    words = str(alert.condition).split("_")
    return _NAMES.get(alert.family) or "OpenClawAuth" + "".join(map(str.capitalize, words))


def advance(
    memory: Memory, firing: Iterable[Alert], resolved: Iterable[Alert], now: float
) -> tuple[Memory, list[tuple[Alert, float | None]]]:
    """What to remember, and all there is to tell: each alert with when it ended, None where it fires.

    Whatever fired the last time and does not now has ended, by ``resolved`` or now: a changed severity
    ends the old label set. What is in ``resolved`` and unknown (a restart) is ended all the same.
    """
    fires = {labels(alert): alert for alert in firing}
    over = {alert.fingerprint: alert for alert in resolved}
    ended = {key: end for key, end in memory.ended.items() if end.until > now and key not in fires}
    for key, alert in memory.firing.items():
        if key not in fires:
            end = over.get(alert.fingerprint)
            at = end.ended_at if end is not None and end.ended_at is not None else now
            ended[key] = Ended(alert, min(at, now), now + REPEATED)
    for alert in over.values():
        key, at = labels(alert), alert.ended_at if alert.ended_at is not None else now
        if key not in fires and key not in ended and at > now - REPEATED:
            ended[key] = Ended(alert, min(at, now), now + REPEATED)
    told: list[tuple[Alert, float | None]] = [(alert, None) for alert in fires.values()]
    # After the clock was set back an end would be ahead of us, and fire until then.
    told += [(end.alert, min(end.at, now)) for end in ended.values()]
    return Memory(fires, ended), told


def entry(
    alert: Alert, ended_at: float | None, now: float, external_url: str = "", ahead: float = AHEAD
) -> dict[str, Any]:
    """One alert as ``POST /api/v2/alerts`` takes it; where it fires, until ``ahead`` seconds from now."""
    ends = now + ahead if ended_at is None else ended_at
    starts = min(now if alert.since is None else alert.since, now, ends)
    found: dict[str, Any] = {
        "labels": dict(labels(alert)),
        "annotations": said_of(alert),
        "startsAt": iso(max(starts, 0.0)),
        "endsAt": iso(ends),
    }
    if external_url:
        found["generatorURL"] = external_url
    return found


def said_of(alert: Alert) -> dict[str, str]:
    """What is said of an alert: nothing in it depends on when it is said."""
    where = [f"Agents: {', '.join(alert.agents)}." if alert.agents else ""]
    until = [f"Deadline: {iso(alert.deadline)}." if iso(alert.deadline) else ""]
    remedy = ["Do:", *(f"  {command}" for command in alert.remedy)] if alert.remedy else []
    summary = alert.summary or f"{alert.condition} on {alert.target}"
    found = {
        "summary": summary,
        "description": "\n".join(filter(None, [f"{summary}.", *where, *until, *remedy])),
        "condition": str(alert.condition),
        "agents": ", ".join(alert.agents),
        "runbook_url": f"{RUNBOOK}#{alert.condition.definition.runbook.lower()}",
    }
    return {name: _sayable(text) for name, text in found.items() if text}


def _sayable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def build(config: Configured, context: ChannelContext) -> AlertmanagerSender:
    """The channel; raises ConfigError where an address cannot be one."""
    wrong = [
        f"urls: number {number} is no address: write the instance's own, like http://127.0.0.1:9093"
        for number, url in enumerate(config.urls, 1)
        if not url.startswith(("http://", "https://"))
    ]
    if wrong:
        raise ConfigError(f"channel {config.name}", wrong)
    return AlertmanagerSender(config, context)


class AlertmanagerSender:
    """All instances of one Alertmanager: each is told everything, they tell each other what was notified."""

    def __init__(self, config: Configured, context: ChannelContext, timeout: float = http.TIMEOUT) -> None:
        self.name = config.name
        self._min_severity = Severity(config.min_severity)
        self._urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in config.urls]
        self._context = context
        self._timeout = timeout
        #: What was told last; given on at a reload.
        self.memory = Memory()

    def remember(self, alerts: Iterable[Alert]) -> None:
        """Take it that these were told, by a process before us: what of it fires no more is ended."""
        self.memory = Memory({labels(alert): alert for alert in self._heard(alerts)})

    async def publish(
        self, firing: Sequence[Alert], resolved: Sequence[Alert], now: float, ahead: float = AHEAD
    ) -> list[DeliveryError | None]:
        """Tell every instance what fires (all of it, also what was told before) and what has ended.

        To be called every ``EVERY`` seconds and when something changes; whoever comes more rarely (a
        timer) says with ``ahead`` how many seconds what fires is to last without being repeated. For
        each instance, in the order configured: None, or why it was not told. Nothing is tried again
        here: the next call is the next try. Sends nothing, and has no results, where there is nothing to tell.
        """
        self.memory, told = advance(self.memory, self._heard(firing), self._heard(resolved), now)
        return await self._post(told, now, ahead)

    def _heard(self, alerts: Iterable[Alert]) -> list[Alert]:
        return [alert for alert in alerts if alert.severity.rank >= self._min_severity.rank]

    async def test(self, alert: Alert, now: float) -> list[DeliveryError | None]:
        """Tell every instance of a test alert that ends by itself; what fires stays as it is."""
        return await self._post([(alert, None)], now, AHEAD)

    async def _post(
        self, told: Sequence[tuple[Alert, float | None]], now: float, ahead: float
    ) -> list[DeliveryError | None]:
        batches = []
        for start in range(0, len(told), BATCH):
            some = told[start : start + BATCH]
            entries = [entry(alert, at, now, self._context.external_url, ahead) for alert, at in some]
            batches.append(json.dumps(entries, ensure_ascii=False).encode("utf-8"))
            await asyncio.sleep(0)  # ten thousand alerts are megabytes: others want the loop too
        if not batches:
            return []
        return list(await asyncio.gather(*(self._tell(url, batches) for url in self._urls)))

    async def _tell(self, url: str, batches: Sequence[bytes]) -> DeliveryError | None:
        try:
            for batch in batches:
                await http.send(
                    "POST",
                    url,
                    content=batch,
                    headers={"Content-Type": "application/json"},
                    transport=self._context.transport,
                    timeout=self._timeout,
                    clock=self._context.clock,
                )
        except DeliveryError as error:
            return error
        return None
