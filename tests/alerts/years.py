"""Simulated years of many credentials that people renew early, late or after they expired, and what must be told.

Seeded, so that they are the same years every time. ``expected`` is written from the contract, without the lifecycle.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerts.worlds import DAY, HOUR, MINUTE, NOW, STEPS, Life, P, World, policy, world
from exporter.alerts.lifecycle import next_event
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import NotificationReason
from exporter.config import QuietHours
from exporter.model import Report

QUIET = QuietPeriod.of(
    QuietHours.model_validate({"from": "22:00", "to": "07:00", "timezone": "Europe/Berlin", "except": "critical"})
)
CHANNELS = (ChannelPolicy("hook", for_machines=True), ChannelPolicy("phone", quiet=QUIET, can_withdraw=True))
BERLIN = ZoneInfo("Europe/Berlin")
#: How long before its end a credential is renewed, in seconds; the last two are after it.
RENEWED = (20 * DAY, 10 * DAY, 5 * DAY, 2 * DAY, 12 * HOUR, 3 * HOUR, 30 * MINUTE, -2 * HOUR, -DAY)
#: Serves the provider all the time, so that nothing is critical.
SPARE = P("anthropic:spare", ends=NOW + 100_000 * DAY, secret="spare")

#: What one channel is told: when (whole seconds), about which profile, why.
Told = tuple[int, str, NotificationReason]


@dataclass(frozen=True)
class Credential:
    """One credential of a profile, from when it is stored until the next one is."""

    profile: str
    begins: float
    ends: float
    renewed: float

    @property
    def is_late(self) -> bool:
        return self.renewed > self.ends


def credentials(profiles: int, days: float, seed: int) -> list[Credential]:
    """Of every profile one after another, until all ``days`` are covered."""
    chance = random.Random(seed)  # fixed years, no secret
    made = []
    for number in range(profiles):
        begins = NOW
        while begins < NOW + days * DAY:
            ends = begins + round(chance.uniform(25, 120) * DAY)
            renewed = ends - round(chance.choice(RENEWED) * chance.uniform(0.95, 1.0))
            made.append(Credential(f"anthropic:{number:02}", begins, ends, renewed))
            begins = renewed
    return made


def expected(made: list[Credential], until: float) -> list[Told]:
    """What a channel without quiet hours and silences must be told: each step once, the end, and the renewal."""
    told: list[Told] = []
    for one in made:
        steps = [one.ends - step for step in STEPS if one.ends - step < one.renewed]
        for place, at in enumerate(steps):
            reason = NotificationReason.FIRST if place == 0 else NotificationReason.REMINDER
            if STEPS[place] == DAY:  # the condition becomes a warning
                reason = NotificationReason.ESCALATED
            told.append((round(at), one.profile, reason))
        if one.is_late:
            told.append((round(one.ends), one.profile, NotificationReason.ESCALATED))
        if steps:
            told.append((round(one.renewed), one.profile, NotificationReason.RENEWED))
    return sorted(entry for entry in told if entry[0] < until)


def at(now: float, made: list[Credential]) -> World:
    """The world at ``now``."""
    present = [one for one in made if one.begins <= now < one.renewed]
    profiles = [P(one.profile, ends=one.ends, secret=f"{one.profile} {one.ends}") for one in present]
    return world(*profiles, SPARE, check_started_at=now)


def live(made: list[Credential], days: float, silences: tuple[Silence, ...] = ()) -> Life:
    """Lives through the days: a check a day and whenever something is renewed, and whatever is due by time alone.

    Every message is compared with the invariant checker.
    """
    until = NOW + days * DAY
    checks = {NOW + day * DAY for day in range(int(days))} | {one.renewed for one in made if one.renewed < until}
    checks |= {moment for silence in silences for moment in (silence.created_at, silence.until)}
    life = Life(policy(*CHANNELS))
    moments = [*sorted(checks), until]
    for check, following in itertools.pairwise(moments):
        now: float | None = check
        while now is not None and now < following:
            active = tuple(silence for silence in silences if silence.created_at <= now < silence.until)
            here = at(now, made)
            life.at(now, here, silences=active)
            report = Report(now, (here.report(now),))
            now = next_event(life.states, report, life.policy, now)
    return life


def is_night(now: float) -> bool:
    """Whether ``QUIET`` holds, by the clock on the wall."""
    return not 7 <= dt.datetime.fromtimestamp(now, BERLIN).hour < 22


def told(life: Life, channel: str) -> list[Told]:
    return sorted(
        (round(message.at), alert.profile or "", alert.reason)
        for message in life.messages
        if message.channel == channel
        for alert in message.alerts
    )
