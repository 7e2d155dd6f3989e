"""Small worlds for the tests of alerting: profiles that age and break, as Reports evaluated at a moment.

The few rules of the verdict that the lifecycle depends on are written here by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.alerts.lifecycle import advance
from exporter.alerts.lifecycle.invariants import Ledger, violations
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason
from exporter.model import (
    AgentReport,
    Basis,
    Condition,
    ConditionName,
    Failure,
    FailureReason,
    ProfileReport,
    Report,
    Severity,
    Status,
    TargetReport,
    Unusable,
    command,
)
from exporter.verdict.remedies import NEEDS_PERSON

#: 2026-11-22T10:00:00Z, a Sunday
NOW = 1795341600.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
STEPS = (14 * DAY, 7 * DAY, 3 * DAY, DAY, 6 * HOUR, HOUR)

HOOK = ChannelPolicy("hook")


def policy(*channels: ChannelPolicy, **changes: Any) -> AlertPolicy:
    """The defaults, but with no group_wait."""
    facts: dict[str, Any] = {
        "channels": channels or (HOOK,),
        "targets": frozenset({"home"}),
        "remind_before": STEPS,
        "group_wait": 0.0,
    }
    return AlertPolicy(**(facts | changes))


@dataclass(frozen=True)
class P:
    """A profile of a small world at one agent.

    ``ends`` is its deadline, assumed if it is ``undated``. ``down`` is why it is unusable, ``until`` when that ends.
    ``owner`` is the agent whose store has it, if that is another.
    """

    id: str = "anthropic:default"
    ends: float | None = None
    secret: str | None = "secret-1"
    down: str | None = None
    down_since: float | None = None
    undated: bool = False
    until: float | None = None
    owner: str | None = None
    missing: bool = False

    def is_over(self, now: float) -> bool:
        """Whether nothing but a new credential makes it work."""
        return self.missing or (self.ends is not None and self.ends <= now)


def inherited(*profiles: P, owner: str = "main") -> tuple[P, ...]:
    """The same profiles as an agent has them that inherits them."""
    return tuple(replace(profile, owner=owner) for profile in profiles)


@dataclass(frozen=True)
class World:
    """One target; ``agents`` maps each agent to its profiles. A failing check keeps what was known before.

    Where the agents cannot be listed, the checks of all that are known fail with it.
    """

    agents: dict[str, tuple[P, ...]] = field(default_factory=dict)
    target: str = "home"
    failing: dict[str, float] = field(default_factory=dict)  # agent -> when the check failed
    check_started_at: float = NOW
    extra: dict[str, tuple[Condition, ...]] = field(default_factory=dict)
    expiring_within: float = DAY
    unused: frozenset[str] = frozenset()  # providers that no route uses
    unlisted: float | None = None  # when its agents could not be listed

    def report(self, now: float) -> TargetReport:
        agents = tuple(self._agent(name, profiles, now) for name, profiles in self.agents.items())
        failure = Failure(FailureReason.TIMEOUT, "no answer", self.unlisted) if self.unlisted is not None else None
        return TargetReport(self.target, "openclaw", agents, failure)

    def _agent(self, name: str, profiles: tuple[P, ...], now: float) -> AgentReport:
        conditions: list[Condition] = list(self.extra.get(name, ()))
        reports = []
        usable = {p for p in profiles if not p.is_over(now) and p.down is None}
        providers = {p.id.split(":")[0] for p in profiles}
        working = {p.id.split(":")[0] for p in usable}
        for p in profiles:
            provider = p.id.split(":")[0]
            relief = Severity.WARNING if provider in working else Severity.CRITICAL
            status = Status.OK
            if p.missing:
                status = Status.MISSING
                conditions.append(self._about(p, ConditionName.MISSING, relief))
            elif p.ends is not None and p.ends <= now:
                status = Status.EXPIRED
                conditions.append(self._about(p, ConditionName.EXPIRED, relief, since=p.ends))
            elif p.ends is not None and p.ends - now < self.expiring_within:
                status = Status.EXPIRING
                conditions.append(self._about(p, ConditionName.EXPIRING, Severity.WARNING))
            elif p.undated:
                conditions.append(self._about(p, ConditionName.UNDATED, Severity.INFO))
            if p.down is not None:
                severity = relief if p.down in NEEDS_PERSON else Severity.INFO
                conditions.append(self._about(p, ConditionName.UNUSABLE, severity, reason=p.down, since=p.down_since))
            reports.append(
                ProfileReport(
                    id=p.id,
                    provider=provider,
                    kind="token",
                    status=status,
                    expires_at=p.ends,
                    basis=None if p.ends is None else Basis.LEDGER if p.undated else Basis.REPORTED,
                    refreshable=False,
                    selected=None,
                    unusable=Unusable("cooldown", p.down, p.until) if p.down else None,
                    unusable_seen=True,
                    in_use=True,
                    usable=p in usable,
                    label=p.id,
                    secret_hash=p.secret,
                    owner=p.owner or name,
                    assumed=p.undated and p.ends is not None,
                )
            )
        for provider in sorted(providers - working - self.unused):
            conditions.append(
                Condition(
                    ConditionName.NO_USABLE_PROFILE,
                    Severity.CRITICAL,
                    provider=provider,
                    summary=f"No credential of {provider} works",
                    steps=(command("claude setup-token"),),
                )
            )
        failure = None
        failed_at = self.unlisted if self.unlisted is not None else self.failing.get(name)
        if failed_at is not None:
            failure = Failure(FailureReason.TIMEOUT, "no answer", failed_at)
            conditions.append(
                Condition(ConditionName.CHECK_FAILED, Severity.CRITICAL, summary="The check failed", reason="timeout")
            )
        return AgentReport(
            target=self.target,
            agent=name,
            source="openclaw",
            evaluated_at=now,
            checked_at=self.check_started_at,
            exit_code=0,
            profiles=tuple(reports),
            conditions=tuple(conditions),
            providers_usable={provider: provider in working for provider in providers - self.unused},
            failure=failure,
        )

    @staticmethod
    def _about(
        p: P, name: ConditionName, severity: Severity, reason: str | None = None, since: float | None = None
    ) -> Condition:
        return Condition(
            name,
            severity,
            provider=p.id.split(":")[0],
            profile=p.id,
            summary=f"{p.id} {name}",
            steps=(
                command("claude setup-token"),
                command(f"openclaw models auth paste-token --profile-id {p.id}"),
            ),
            reason=reason,
            since=since,
            deadline=p.ends,
        )


def world(*profiles: P, agent: str = "main", **changes: Any) -> World:
    return World({agent: profiles}, **changes)


SPARE = P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare")


def expiring(ends: float, **changes: Any) -> World:
    return world(P(ends=ends), SPARE, **changes)


def notice(severity: Severity) -> World:
    condition = Condition(ConditionName.CLOCK, severity, summary="odd")
    return World({"main": (SPARE,)}, extra={"main": (condition,)})


def _arrived(state: AlertState) -> AlertState:
    """``state`` after its messages arrived."""
    notified = {name: replace(last, has_arrived=True, before=None) for name, last in state.notified.items()}
    return replace(state, notified=notified)


def believe(messages: Iterable[Message], report: Report, policy: AlertPolicy, ledger: Ledger) -> None:
    """Checks messages with the invariant checker, and records them as sent."""
    for message in messages:
        found = violations(message, report, policy, ledger)
        assert not found, "\n".join(found)
        ledger.note(message, report, policy)


Notification = tuple[str, NotificationReason, ConditionName, Severity]


class Life:
    """Runs the lifecycle over worlds, keeps its messages, and checks that each can be believed."""

    def __init__(self, policy: AlertPolicy) -> None:
        self.policy = policy
        self.states: dict[str, AlertState] = {}
        self.messages: list[Message] = []
        self.ledger = Ledger()

    def at(self, now: float, *worlds: World, **changes: Any) -> list[Notification]:
        """Advances to ``now``. Returns the notifications, one per alert and channel."""
        return self.sees(Report(now, tuple(one.report(now) for one in worlds)), now, **changes)

    def sees(self, report: Report, now: float, **changes: Any) -> list[Notification]:
        policy = replace(self.policy, **changes)
        self.ledger.observe(report, policy, now)
        self.states, messages = advance(self.states, report, policy, now)
        again, more = advance(self.states, report, policy, now)
        assert (again, more) == (self.states, ()), "the same moment twice sends nothing"
        self.states = {key: _arrived(state) for key, state in self.states.items()}
        believe(messages, report, policy, self.ledger)
        self.messages += messages
        return [(m.channel, a.reason, a.condition, a.severity) for m in messages for a in m.alerts]


def last(life: Life) -> Alert:
    """The only alert of the last message."""
    (alert,) = life.messages[-1].alerts
    return alert


def last_reasons(life: Life) -> list[tuple[NotificationReason, tuple[str, ...]]]:
    """The reasons and agents of the last message."""
    return [(alert.reason, alert.agents) for alert in life.messages[-1].alerts]
