"""The settings of the alert lifecycle as plain values: times, channels, quiet hours, silences, acknowledgements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from exporter.alerts.lifecycle.routing import Route
from exporter.alerts.values import AlertState
from exporter.config import Config, Policy, QuietHours
from exporter.lib.zones import UTC
from exporter.model import AgentReport, ProfileReport, Report, Severity, Step

#: Seconds added to a threshold, so that rounding cannot put us just before it. The verdict does the same.
EPSILON = 0.001
#: Clocks are changed at multiples of so many seconds of Unix time.
_CLOCK_CHANGES = 900.0


@dataclass(frozen=True, slots=True)
class QuietPeriod:
    """Daily quiet hours in a person's time zone; ``starts`` and ``ends`` are minutes after midnight."""

    starts: int
    ends: int
    zone: ZoneInfo
    passes: Severity | None = None  # alerts of this severity and above are sent all the same

    @classmethod
    def of(cls, hours: QuietHours, zone: ZoneInfo = UTC) -> QuietPeriod:
        """The configured hours, in ``zone`` unless they name another."""
        passes = Severity(hours.except_) if hours.except_ else None
        return cls(_minutes(hours.from_), _minutes(hours.to), hours.zone(zone), passes)

    def is_active(self, now: float) -> bool:
        """Whether ``now`` is inside the quiet hours. Hours that end when they begin are never active."""
        wall = dt.datetime.fromtimestamp(now, self.zone)
        minute = wall.hour * 60 + wall.minute
        if self.starts <= self.ends:
            return self.starts <= minute < self.ends
        return minute >= self.starts or minute < self.ends

    def lets_through(self, severity: Severity) -> bool:
        """Whether an alert of this severity is sent during the quiet hours."""
        return self.passes is not None and severity.rank >= self.passes.rank

    def end(self, now: float) -> float:
        """The first moment after ``now`` that is outside the quiet hours."""
        day = dt.datetime.fromtimestamp(now, self.zone).date()
        for days in range(3):
            then = dt.datetime.combine(
                day + dt.timedelta(days), dt.time(self.ends // 60, self.ends % 60), tzinfo=self.zone
            )
            for moment in sorted(then.replace(fold=fold).timestamp() for fold in (0, 1)):
                if moment > now and not self.is_active(moment):
                    return self._earliest(now, moment)
        return now + 86400.0  # not reached: quiet hours end every day

    def _earliest(self, now: float, end: float) -> float:
        """``end``, or an earlier one: a clock that is changed skips it, or repeats an hour before the hours begin."""
        if self._offset(now) == self._offset(end):
            return end
        first = (now // _CLOCK_CHANGES + 1) * _CLOCK_CHANGES
        moments = (first + step * _CLOCK_CHANGES for step in range(int((end - first) // _CLOCK_CHANGES) + 1))
        return next((moment for moment in moments if not self.is_active(moment)), end)

    def _offset(self, now: float) -> dt.timedelta | None:
        return dt.datetime.fromtimestamp(now, self.zone).utcoffset()


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """The settings of one channel that the lifecycle needs."""

    name: str
    min_severity: Severity = Severity.INFO
    quiet: QuietPeriod | None = None
    step: int = 0  # its place in ``order``: how many times a critical alert escalates before it gets here
    for_machines: bool = False  # a program reads it: it gets every end at once
    can_withdraw: bool = False  # it can take a notification away again
    last_success: float | None = None  # when it last delivered a message (Unix seconds)
    route: Route = field(default_factory=Route)

    def accepts(self, severity: Severity) -> bool:
        return severity.rank >= self.min_severity.rank

    def is_quiet_for(self, severity: Severity, at: float) -> bool:
        """Whether quiet hours hold back an alert of ``severity`` at ``at``."""
        return self.quiet is not None and self.quiet.is_active(at) and not self.quiet.lets_through(severity)

    def next_allowed(self, severity: Severity, at: float) -> float:
        """``at``, or the end of the quiet hours that would hold the alert back."""
        return self.quiet.end(at) if self.quiet is not None and self.is_quiet_for(severity, at) else at


@dataclass(frozen=True, slots=True)
class Silence:
    """Suppresses every alert that all its matchers match, until ``until``."""

    id: str
    matchers: Mapping[str, str]  # by the names in MATCHERS
    until: float
    reason: str = ""
    created_at: float = 0.0

    def matches(self, state: AlertState, profile: str | None = None) -> bool:
        """Whether it matches an alert, or one ``profile`` of an alert about a provider.

        A matcher for an agent matches only if it matches every agent that a message about the alert would name.
        """
        subject = state.subject
        values = {
            "target": subject.target,
            "provider": subject.provider,
            "profile": profile if profile is not None else subject.profile,
            "condition": str(state.condition),
        }
        named = [agent for agent, fact in state.facts.items() if fact.confirmed and not fact.inhibited]
        agents = named or state.facts or state.agents
        return bool(self.matchers) and all(
            all(agent == value for agent in agents) if name == "agent" else values.get(name) == value
            for name, value in self.matchers.items()
        )


#: The names that a silence can match on.
MATCHERS = ("target", "agent", "provider", "profile", "condition")


_NO_LABELS: Mapping[str, str] = {}

Renew = Callable[[AgentReport, ProfileReport], tuple[Step, ...]]


def no_steps(agent: AgentReport, profile: ProfileReport) -> tuple[Step, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Everything that decides about alerts besides the facts. Durations are in seconds."""

    exporter: str = ""  # its name, part of the identity of each alert
    channels: tuple[ChannelPolicy, ...] = ()  # without Alertmanager, which has policies of its own
    targets: frozenset[str] = frozenset()  # the targets that alert: those that are checked on a schedule
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # a person's, by target
    remind_before: tuple[float, ...] = ()  # the longest first; ``steps`` are those of one credential
    repeat_every: float = 6 * 3600.0
    confirm_checks: int = 2
    check_failed_after: float = 900.0
    cooldown_after: float = 900.0
    group_wait: float = 10.0
    escalate_after: float | None = None
    prove_every: float | None = None
    verdict: Policy = field(default_factory=Policy)  # says which profiles are ignored
    silences: tuple[Silence, ...] = ()
    acknowledged: Mapping[str, float] = field(default_factory=dict)  # fingerprint -> when
    renew: Renew = no_steps  # the steps in reminders of a profile that still works
    has_own_steps: bool = field(init=False)  # whether any credential has reminders of its own

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_own_steps", self.verdict.has_reminders)

    @classmethod
    def of(
        cls,
        config: Config,
        silences: tuple[Silence, ...] = (),
        acknowledged: Mapping[str, float] | None = None,
        renew: Renew = no_steps,
        exporter: str = "",
        last_success: Mapping[str, float | None] | None = None,
    ) -> AlertPolicy:
        """The policy of a configuration, with the silences and acknowledgements that people have added since.

        ``last_success`` says when each channel last delivered a message.
        """
        alerts = config.alerts
        notified = [channel for channel in config.channels if channel.NOTIFIED]
        order = alerts.order or [channel.name for channel in notified]
        channels = tuple(
            ChannelPolicy(
                name=channel.name,
                min_severity=Severity(channel.min_severity),
                quiet=QuietPeriod.of(channel.quiet_hours, config.zone()) if channel.quiet_hours else None,
                step=order.index(channel.name) if channel.name in order else 0,
                for_machines=channel.FOR_MACHINES,
                can_withdraw=channel.CAN_WITHDRAW,
                last_success=(last_success or {}).get(channel.name),
                route=Route.of(channel.match),
            )
            for channel in notified
        )
        return cls(
            exporter=exporter,
            channels=channels,
            targets=frozenset(target.name for target in config.targets if target.schedule),
            labels={target.name: target.labels for target in config.targets if target.labels},
            remind_before=in_order(alerts.remind_before),
            repeat_every=alerts.repeat_every,
            confirm_checks=alerts.confirm_checks,
            check_failed_after=alerts.check_failed_after,
            cooldown_after=alerts.cooldown_after,
            group_wait=alerts.group_wait,
            escalate_after=alerts.escalate_after,
            prove_every=alerts.prove_every,
            verdict=config.policy,
            silences=silences,
            acknowledged=acknowledged or {},
            renew=renew,
        )

    def is_complete(self, report: Report) -> bool:
        """Whether a report covers every target that alerts. It does not right after the start."""
        return self.targets <= {target.target for target in report.targets}

    def labels_of(self, state: AlertState) -> Mapping[str, str]:
        """A person's labels of the alert's target, and of its profile, which win."""
        subject = state.subject
        labels = self.labels.get(subject.target, _NO_LABELS)
        if not subject.profile or not self.verdict.profiles:
            return labels
        own = (self.verdict.of(subject.target, agent, subject.profile).labels for agent in state.agents)
        return {**labels, **next(filter(None, own), _NO_LABELS)}

    def is_silenced(self, state: AlertState, now: float) -> bool:
        return self.silenced_until(state, now) is not None

    def silenced_until(self, state: AlertState, now: float) -> float | None:
        """When the last silence that matches at ``now`` ends (Unix seconds); None if there is none.

        An alert about a provider is also silenced while each of its profiles is.
        """
        active = [silence for silence in self.silences if now < silence.until]
        ends = [silence.until for silence in active if silence.matches(state)]
        profiles = {credential.profile for credential in state.credentials}
        if active and profiles:
            by_profile = (
                max((silence.until for silence in active if silence.matches(state, profile)), default=None)
                for profile in profiles
            )
            until = [end for end in by_profile if end is not None]
            if len(until) == len(profiles):
                ends.append(min(until))
        return max(ends, default=None)

    def acknowledged_at(self, state: AlertState) -> float | None:
        """When a person acknowledged the alert; None if it has begun again or got worse since."""
        if not self.acknowledged:
            return None
        at = self.acknowledged.get(state.fingerprint)
        if state.forked_from is not None:  # the trouble that a person saw goes on under another fingerprint
            before = self.acknowledged.get(state.forked_from)
            at = before if at is None or (before is not None and before > at) else at
        return at if at is not None and at >= max(state.started_at, state.worsened_at) else None

    def steps(self, target: str, agents: Iterable[str], provider: str | None, profile: str | None) -> tuple[float, ...]:
        """The reminder steps of a credential, in seconds before its deadline, the longest first.

        Of agents that share it, the first one with steps of its own decides.
        """
        if not self.has_own_steps:
            return self.remind_before
        known = (self.verdict.remind_before_of(target, agent, provider or "", profile or "") for agent in agents)
        own = next((steps for steps in known if steps is not None), None)
        return self.remind_before if own is None else in_order(own)

    def steps_of(self, state: AlertState) -> tuple[float, ...]:
        """The reminder steps of an alert's credential."""
        if not self.has_own_steps:
            return self.remind_before
        subject = state.subject
        return self.steps(subject.target, state.agents, subject.provider, subject.profile)


def in_order(steps: Iterable[float]) -> tuple[float, ...]:
    """Reminder steps, the longest first."""
    return tuple(sorted(set(steps), reverse=True))


def passed_step(steps: Iterable[float], deadline: float, now: float) -> float | None:
    """The latest of the reminder ``steps`` that has passed, in seconds before ``deadline``; None before the first."""
    passed = [step for step in steps if deadline - step < now]
    return passed[-1] if passed else None
