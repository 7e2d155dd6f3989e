"""What the lifecycle goes by, as values: times, channels, quiet hours, silences, acknowledgements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from exporter.alerts.values import AlertState
from exporter.config import Config, Policy
from exporter.config import QuietHours as ConfiguredHours
from exporter.lib.durations import format_duration
from exporter.model import AgentReport, ProfileReport, Report, Severity
from exporter.verdict import remedies


@dataclass(frozen=True, slots=True)
class QuietPeriod:
    """Hours of the wall clock in a person's time zone; ``starts`` and ``ends`` in minutes after midnight."""

    starts: int
    ends: int
    zone: ZoneInfo
    passes: Severity | None = None  # from this severity on they do not hold back

    @classmethod
    def of(cls, hours: ConfiguredHours) -> QuietPeriod:
        passes = Severity(hours.except_) if hours.except_ else None
        return cls(_minutes(hours.from_), _minutes(hours.to), ZoneInfo(hours.timezone), passes)

    def hold(self, now: float) -> bool:
        """Whether ``now`` is within them. Hours that end when they begin are none."""
        wall = dt.datetime.fromtimestamp(now, self.zone)
        minute = wall.hour * 60 + wall.minute
        if self.starts <= self.ends:
            return self.starts <= minute < self.ends
        return minute >= self.starts or minute < self.ends

    def end(self, now: float) -> float:
        """The first moment after ``now`` that is outside them."""
        day = dt.datetime.fromtimestamp(now, self.zone).date()
        for days in range(3):
            then = dt.datetime.combine(
                day + dt.timedelta(days), dt.time(self.ends // 60, self.ends % 60), tzinfo=self.zone
            )
            for moment in sorted(then.replace(fold=fold).timestamp() for fold in (0, 1)):
                if moment > now and not self.hold(moment):
                    return self._earliest(now, moment)
        return now + 86400.0  # not reached: every day has an end of the quiet hours

    def _earliest(self, now: float, end: float) -> float:
        """Where the clock springs over the configured end, they end at the spring."""
        held, free = max(now, end - 3 * 3600.0), end
        if not self.hold(held):
            return end
        while free - held > 0.5:
            middle = (held + free) / 2
            held, free = (middle, free) if self.hold(middle) else (held, middle)
        return float(round(free))


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """What the lifecycle knows of a channel."""

    name: str
    min_severity: Severity = Severity.INFO
    quiet: QuietPeriod | None = None
    step: int = 0  # its place in ``order``: how often a critical must climb to get there


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds back whatever matches every matcher, until ``until``."""

    id: str
    matchers: Mapping[str, str]  # of target, agent, provider, profile, condition
    until: float
    reason: str = ""
    created_at: float = 0.0

    def matches(self, state: AlertState) -> bool:
        """An alert is silenced for an agent only where it is about no other."""
        slot = state.subject
        said = {
            "target": slot.target,
            "provider": slot.provider,
            "profile": slot.profile,
            "condition": str(state.condition),
        }
        return bool(self.matchers) and all(
            all(agent == value for agent in state.agents) if name == "agent" else said.get(name) == value
            for name, value in self.matchers.items()
        )


#: What a silence can be about.
MATCHERS = ("target", "agent", "provider", "profile", "condition")


Renew = Callable[[AgentReport, ProfileReport], tuple[str, ...]]


def _no_commands(agent: AgentReport, profile: ProfileReport) -> tuple[str, ...]:
    return ()


def commands_of(config: Config) -> Renew:
    """The commands that renew a profile before anything is wrong with it, as the target's OpenClaw calls them."""
    from exporter.checks.monitor import openclaw_words

    openclaw = {target.name: openclaw_words(target) for target in config.targets}
    life = format_duration(config.policy.setup_token_lifetime)

    def renew(agent: AgentReport, profile: ProfileReport) -> tuple[str, ...]:
        words = openclaw.get(agent.target, "openclaw")
        spelling = remedies.CommandContext(agent.agent, remedies.dialect_of(agent), words, life)
        return remedies.renew(profile.id, profile.provider, profile.kind, spelling)

    return renew


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """All that decides beside the facts. Durations in seconds."""

    channels: tuple[ChannelPolicy, ...] = ()  # those that are told news: not Alertmanager
    targets: frozenset[str] = frozenset()  # that alarm: those looked at without being asked for
    remind_before: tuple[float, ...] = ()  # the longest first
    repeat_every: float = 6 * 3600.0
    confirm_checks: int = 2
    cooldown_after: float = 900.0
    group_wait: float = 10.0
    escalate_after: float | None = None
    prove_every: float | None = None
    verdict: Policy = field(default_factory=Policy)  # which profiles are ignored
    silences: tuple[Silence, ...] = ()
    acknowledged: Mapping[str, float] = field(default_factory=dict)  # fingerprint -> when
    #: The commands that renew a profile nothing is wrong with yet, for reminders.
    renew: Renew = _no_commands

    @classmethod
    def of(
        cls,
        config: Config,
        silences: tuple[Silence, ...] = (),
        acknowledged: Mapping[str, float] | None = None,
        renew: Renew = _no_commands,
    ) -> AlertPolicy:
        """The policy that a configuration, and what people said since, come to."""
        alerts = config.alerts
        told = [channel for channel in config.channels if channel.NOTIFIED]
        order = alerts.order or [channel.name for channel in told]
        channels = tuple(
            ChannelPolicy(
                name=channel.name,
                min_severity=Severity(channel.min_severity),
                quiet=QuietPeriod.of(channel.quiet_hours) if channel.quiet_hours else None,
                step=order.index(channel.name) if channel.name in order else 0,
            )
            for channel in told
        )
        return cls(
            channels=channels,
            targets=frozenset(target.name for target in config.targets if target.schedule),
            remind_before=tuple(sorted(set(alerts.remind_before), reverse=True)),
            repeat_every=alerts.repeat_every,
            confirm_checks=alerts.confirm_checks,
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
        """Whether a report has all that alarms: not so right after the start."""
        return self.targets <= {target.target for target in report.targets}

    def is_silenced(self, state: AlertState, now: float) -> bool:
        return any(now < silence.until and silence.matches(state) for silence in self.silences)

    def acknowledged_at(self, state: AlertState) -> float | None:
        """When a person acknowledged it as bad as it is now."""
        at = self.acknowledged.get(state.fingerprint) if self.acknowledged else None
        return at if at is not None and at >= max(state.started_at, state.worsened_at) else None

    def step_at(self, deadline: float, now: float) -> float | None:
        """The nearest reminder step that is behind us: seconds before ``deadline``; None before the first."""
        passed = [step for step in self.remind_before if deadline - step < now]
        return passed[-1] if passed else None
