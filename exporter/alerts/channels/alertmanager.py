"""Alertmanager: it is sent the state and not the changes, and groups, routes, repeats and silences on its own.

While anything fires, all of it goes to every configured instance each ``PUBLISH_EVERY`` seconds, with an
``endsAt`` some minutes ahead: when the exporter dies, Alertmanager resolves the alerts. An alert that ended is
repeated for a while with its end, so that an instance that was down receives it too.

The labels are an alert's identity, and the severity is among them because routes need it. When the severity changes,
the old label set is ended and a new one begins. Alertmanager notifies of every end that is not inhibited, so the
configuration that we ship lets the new label set inhibit the end of the old one. When the alert is over, all its label
sets are ended (again): a receiver that was notified of an earlier severity is then notified of the real end.

``startsAt`` is when an alert was first published: Alertmanager sends a group at once, without its ``group_wait``, if
an alert in it began long ago. (API v2 since Alertmanager 0.25: alerts with the same labels are the same alert, the
earliest ``startsAt`` wins, a later ``endsAt`` replaces an earlier one.)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.alerts.channels import ChannelContext, DeliveryError, Sender, _http, as_json
from exporter.alerts.message import text
from exporter.alerts.values import Alert, NotificationReason
from exporter.config import ConfigError
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.lib.durations import iso
from exporter.lib.printable import one_line
from exporter.model import Family, Severity

PUBLISH_EVERY = 60.0  # seconds between two publications
#: Seconds from now to the ``endsAt`` of a firing alert. More than the rule OpenClawAuthExporterDown needs to fire (five
#: minutes, a scrape, an evaluation and its group's wait), so that nobody reads "resolved" of an exporter that died.
ENDS_AFTER = 600.0
REPEAT_ENDED_FOR = 900.0  # seconds for which an ended alert is repeated
BATCH_SIZE = 500  # alerts in one request

_NAMES = {
    Family.DEADLINE: "OpenClawAuthDeadline",
    Family.AVAILABILITY: "OpenClawAuthAvailability",
    Family.WATCH: "OpenClawAuthWatch",
}
Labels = tuple[tuple[str, str], ...]
_KEPT = frozenset({"alertname", "exporter", "target", "provider", "profile", "fingerprint"})


@dataclass(frozen=True, slots=True)
class PublishedAlert:
    """One label set. Times are Unix seconds. It has ended if ``ended_at`` is set."""

    labels: Labels
    alert: Alert  # for its texts
    starts_at: float  # when it was first published
    ended_at: float | None = None
    repeat_until: float = math.inf  # it is published until then
    is_superseded: bool = False  # the same alert fires with another severity


@dataclass(frozen=True, slots=True)
class Publication:
    """What an Alertmanager was sent last, by label set. It may be lost: alerts that are not repeated end there."""

    alerts: Mapping[Labels, PublishedAlert] = field(default_factory=dict)

    @property
    def firing(self) -> list[PublishedAlert]:
        return [one for one in self.alerts.values() if one.ended_at is None]

    def at(self, now: float) -> list[PublishedAlert]:
        """What to send at ``now``, each alert after those that inhibit it: see ``_order``."""
        # After the clock was set back an end would lie ahead, and the alert would fire until then.
        shown = [
            one if one.ended_at is None else replace(one, ended_at=min(one.ended_at, now))
            for one in self.alerts.values()
            if one.repeat_until > now
        ]
        place = {_identity(one.labels): number for number, one in enumerate(shown) if one.ended_at is None}
        return sorted(shown, key=lambda one: _order(one, place.get(_identity(one.labels), len(shown))))


def _order(one: PublishedAlert, place: int) -> tuple[bool, int, bool]:
    """Where to publish this one, if its alert has this place among those that fire.

    An Alertmanager that was started again notifies of what began earlier as soon as it has read a request. So an alert
    without a profile (nothing works) comes before those of single credentials, which it inhibits, and a label set after
    the one that supersedes it.
    """
    return (any(name == "profile" for name, _ in one.labels), place, one.ended_at is not None)


def labels(alert: Alert) -> Labels:
    """The identity of an alert in Alertmanager, sorted by name."""
    found = {
        **alert.labels,  # none of them has a name that follows
        "alertname": alertname(alert),
        "severity": str(alert.severity),
        "exporter": alert.exporter,
        "target": alert.target,
        "provider": alert.provider,
        "profile": alert.profile,
        "fingerprint": alert.key or alert.fingerprint,  # tells apart credentials with one name
    }
    return tuple(sorted((name, _valid(value)) for name, value in found.items() if value))


def alertname(alert: Alert) -> str:
    """One name for a family, which is one alert's life. A notice has a name of its own: it becomes no other."""
    if alert.reason is NotificationReason.TEST:
        return "OpenClawAuthTest"
    words = str(alert.condition).split("_")
    return _NAMES.get(alert.family) or "OpenClawAuth" + "".join(map(str.capitalize, words))


def _identity(labels: Labels) -> Labels:
    """The labels that an alert keeps for its life: not its severity, and not a person's."""
    return tuple(label for label in labels if label[0] in _KEPT)


def next_publication(
    last: Publication,
    firing: Iterable[Alert],
    resolved: Iterable[Alert],
    now: float,
    least: Severity = Severity.INFO,
) -> Publication:
    """What to send after ``last``; an alert below the severity ``least`` is not sent.

    A label set in ``last`` that does not fire now has ended: at the time of its alert in ``resolved``, or now. If its
    alert fires with another severity, it is only superseded, and its end is published again when the alert is over.
    An alert in ``resolved`` that is not in ``last`` (after a restart) has ended too.
    """
    fires = {labels(alert): alert for alert in firing}
    present = {_identity(key): alert for key, alert in fires.items()}
    ends = {_identity(labels(alert)): alert for alert in resolved}
    found = {}
    for key, alert in fires.items():
        before = last.alerts.get(key)
        starts_at = before.starts_at if before is not None and before.ended_at is None else now
        if alert.severity.rank >= least.rank:
            found[key] = PublishedAlert(key, alert, starts_at)
    for key, one in last.alerts.items():
        if key not in found:
            identity = _identity(key)
            if identity in present:
                found[key] = _superseded(one, present[identity], now)
            elif one.ended_at is None or one.is_superseded:
                found[key] = _ended(one, ends.get(identity), now)
            elif one.repeat_until > now:
                found[key] = one
    for identity, end in ends.items():
        key, at = labels(end), end.ended_at if end.ended_at is not None else now
        is_new = identity not in present and key not in found and at > now - REPEAT_ENDED_FOR
        if is_new and end.severity.rank >= least.rank:
            found[key] = _ended(PublishedAlert(key, end, now), end, now)
    return Publication(found)


def with_earlier_severities_ended(
    publication: Publication, assumed: Publication, now: float, least: Severity
) -> Publication:
    """The same, and that all other severities of the alerts which fire and are in ``assumed`` have ended.

    A process that was killed before it published a change of severity left the label set of before at Alertmanager.
    Until its ``endsAt`` that would inhibit the new one.
    """
    found = dict(publication.alerts)
    for one in (one for one in publication.firing if one.labels in assumed.alerts):
        for severity in Severity:
            before = replace(one.alert, severity=severity)
            if severity.rank >= least.rank and labels(before) not in found:
                found[labels(before)] = _superseded(PublishedAlert(labels(before), before, now), one.alert, now)
    return Publication(found)


def _superseded(one: PublishedAlert, present: Alert, now: float) -> PublishedAlert:
    """The end of a label set whose alert fires with another severity."""
    if one.ended_at is not None:
        return replace(one, is_superseded=True)
    words = f"This is not over, but {present.severity} now: {present.summary}"
    texts = replace(present, summary=words, remedy=())
    return replace(one, alert=texts, ended_at=now, repeat_until=now + REPEAT_ENDED_FOR, is_superseded=True)


def _ended(one: PublishedAlert, end: Alert | None, now: float) -> PublishedAlert:
    """The end of a label set whose alert is over. ``end`` is None if nothing is known but that it no longer fires."""
    at = end.ended_at if end is not None and end.ended_at is not None else now
    words = f"{text.subject(one.alert)}: this alert is over"
    texts = end or replace(one.alert, summary=words, remedy=(), deadline=None)
    until = now + REPEAT_ENDED_FOR
    return replace(one, alert=texts, ended_at=min(at, now), repeat_until=until, is_superseded=False)


def postable(one: PublishedAlert, now: float, external_url: str = "", ends_after: float = ENDS_AFTER) -> dict[str, Any]:
    """One alert as ``POST /api/v2/alerts`` accepts it; a firing one lasts ``ends_after`` seconds from now."""
    ends = now + ends_after if one.ended_at is None else one.ended_at
    found = {
        "labels": dict(one.labels),
        "annotations": annotations_of(one.alert),
        "startsAt": iso(max(min(one.starts_at, now, ends), 0.0)),
        "endsAt": iso(ends),
        "generatorURL": external_url,
    }
    return {name: value for name, value in found.items() if value}


def annotations_of(alert: Alert) -> dict[str, str]:
    """The texts of an alert. They do not depend on the time: a changed annotation would be a change of the alert."""
    summary = one_line(alert.summary or f"{alert.condition} on {alert.target}")
    agents = one_line(", ".join(alert.agents))
    lines = [f"{summary}."]
    if agents:
        lines.append(f"Agents: {agents}.")
    if alert.exporter:
        lines.append(f"Exporter: {one_line(alert.exporter)}.")
    if not alert.reason.ends:
        latest = " at the latest" if alert.is_assumed else ""
        lines += [f"Since: {iso(alert.since)}."] if iso(alert.since) else []
        lines += [f"Deadline: {iso(alert.deadline)}{latest}."] if iso(alert.deadline) else []
        lines += ["Do:", *(f"  {one_line(command)}" for command in alert.remedy)] if alert.remedy else []
    found = {
        "summary": summary,
        "description": "\n".join(lines),
        "condition": str(alert.condition),
        "agents": agents,
        "runbook_url": alert.condition.definition.runbook_url,
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
    #: What an earlier process sent, as far as is known, until the first publication of this one.
    _assumed = Publication()

    def assume_sent(self, alerts: Iterable[Alert], now: float) -> None:
        """Take ``alerts`` as sent by an earlier process: those that no longer fire will be ended."""
        self.last = self._assumed = next_publication(Publication(), alerts, [], now, Severity(self.config.min_severity))

    async def publish(
        self, firing: Sequence[Alert], resolved: Sequence[Alert], now: float, ends_after: float = ENDS_AFTER
    ) -> list[DeliveryError | None]:
        """Send every instance all that fires and what has ended.

        Call it every ``PUBLISH_EVERY`` seconds and at every change; a caller that comes more rarely (a timer)
        says with ``ends_after`` how many seconds a firing alert lasts without being repeated. Returns None or
        the error for each instance, in the configured order. Nothing is retried here: the next call is the
        next try. When there is nothing to send, nothing is sent and the list is empty.
        """
        least = Severity(self.config.min_severity)
        self.last = next_publication(self.last, firing, resolved, now, least)
        self.last = with_earlier_severities_ended(self.last, self._assumed, now, least)
        self._assumed = Publication()
        return await self._send(self.last.at(now), now, ends_after)

    async def test(self, alert: Alert, now: float) -> None:
        """Send every instance a test alert that ends on its own. What fires stays as it is. Raises DeliveryError."""
        test = PublishedAlert(labels(alert), alert, now)
        for error in filter(None, await self._send([test], now, ENDS_AFTER)):
            raise error

    async def _send(
        self, alerts: Sequence[PublishedAlert], now: float, ends_after: float
    ) -> list[DeliveryError | None]:
        batches = []
        for start in range(0, len(alerts), BATCH_SIZE):
            url = self.context.external_url
            batch = [postable(one, now, url, ends_after) for one in alerts[start : start + BATCH_SIZE]]
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
