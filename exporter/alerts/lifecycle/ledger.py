"""What each channel was notified of, as the messages say it: what the invariant checker compares the next message with.

Pure. The alert states keep the same for themselves; the checker does not rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.alerts.lifecycle.moment import Held, Moment, is_later
from exporter.alerts.lifecycle.policy import AlertPolicy, passed_step
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason, States
from exporter.model import ConditionName, Family, Report

#: The name of what agents are known by from an alert that is no longer theirs.
_ORIGIN = "origin of "
#: A profile with the keyed hash of its secret.
Secret = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Notified:
    """The last notification of an alert on a channel."""

    alert: Alert
    at: float
    news_at: float  # when it was last notified that the alert began or got worse
    step: float | None = None  # the latest reminder step that had passed, in seconds before the deadline
    held: frozenset[Held] = frozenset()  # the credentials it was about; empty: not recorded
    before: Notified | None = None
    #: The agents that have had the trouble ever since.
    agents: frozenset[str] = frozenset()
    #: Those that were last seen without it.
    well: frozenset[str] = frozenset()
    #: When a further agent was last seen to have it.
    spread_at: float | None = None
    #: Whether the credential has been seen with a later date since, or with none, or as part of an outage.
    may_remind_again: bool = False
    #: The profiles of each agent with the hashes of their secrets, where these are recorded.
    secrets: Mapping[str, frozenset[Secret]] = field(default_factory=dict)


class Sent(NamedTuple):
    """That an alert was notified."""

    at: float
    is_end: bool


@dataclass(slots=True)
class Ledger:
    """The last notifications of the alerts that have not ended there."""

    notified: dict[tuple[str, str], Notified] = field(default_factory=dict)  # by channel and fingerprint
    #: When an alert was notified, ends too, by ``Message.at``. What never arrived is not among them.
    sent_at: dict[tuple[str, str], dict[float, Sent]] = field(default_factory=dict)

    @classmethod
    def of(cls, states: States) -> Ledger:
        """The ledger as the alert states have it, where nobody kept one."""
        ledger = cls()
        for state in states.values():
            for channel, last in state.notified.items():
                alert = replace(
                    _alert_like(state), reason=last.reason, condition=last.condition, severity=last.severity
                )
                # Nobody recorded where the trouble has spread since; the state knows when it last got worse.
                alert, news_at = replace(alert, agents=last.agents), max(state.worsened_at, last.at)
                # What a fork inherited was sent by another alert, and is found by its agents.
                name = f"{_ORIGIN}{state.fingerprint}" if last.is_inherited else state.fingerprint
                ledger.notified[channel, name] = Notified(
                    alert,
                    last.at,
                    news_at,
                    last.step,
                    agents=frozenset(last.agents),
                    spread_at=state.worsened_at,
                    secrets=_secrets_of(state),
                )
        return ledger

    def of_alert(self, channel: str, alert: Alert) -> Notified | None:
        """The channel's last notification of an alert. An agent that took its own credential goes on with it."""
        last = self.notified.get((channel, alert.fingerprint))
        if last is not None or alert.reason is NotificationReason.FIRST:
            return last
        known = (_naming(last, alert) for (where, _), last in self.notified.items() if where == channel)
        return max((last for last in known if last is not None), key=lambda last: last.at, default=None)

    def others(self, alert: Alert, channel: str) -> list[Notified]:
        """The channel's last notifications of other alerts with the same subject: of other credentials."""
        return [
            last
            for (where, fingerprint), last in self.notified.items()
            if where == channel and fingerprint != alert.fingerprint and _subject(last.alert) == _subject(alert)
        ]

    def note(self, message: Message, report: Report, policy: AlertPolicy) -> None:
        """Record that a message was sent."""
        moment = Moment.of(report, policy, message.at)
        # What a message says of an agent replaces what was known of it from an alert that the same message ends.
        for alert in sorted(message.alerts, key=lambda alert: not alert.reason.ends):
            place = (message.channel, alert.fingerprint)
            self.sent_at.setdefault(place, {})[message.at] = Sent(message.at, alert.reason.ends)
            before = self.of_alert(message.channel, alert)
            own = self.notified.pop(place, None)
            if alert.reason is not NotificationReason.TEST:
                self._forget_origins(message.channel, alert)
            if alert.reason.ends and own is not None:
                self._keep_for_forks(place, own, frozenset(alert.agents), moment)
            if alert.reason.ends or alert.reason is NotificationReason.TEST:
                continue
            is_news = alert.reason in (NotificationReason.FIRST, NotificationReason.ESCALATED)
            news_at = message.at if is_news or before is None else before.news_at
            steps = policy.steps(alert.target, alert.agents, alert.provider, alert.profile)
            step = passed_step(steps, alert.deadline, message.at) if alert.deadline is not None else None
            may_remind_again = before is not None and (
                before.may_remind_again or is_later(alert.deadline, _last_date(before))
            )
            if before is not None and before.step is not None and not may_remind_again:
                step = before.step if step is None else min(step, before.step)
            agents = frozenset(alert.agents)
            held = moment.held(alert)
            self.notified[place] = Notified(
                alert, message.at, news_at, step, held, before, agents, secrets=_secrets(held)
            )

    def _keep_for_forks(self, place: tuple[str, str], last: Notified, ended: frozenset[str], moment: Moment) -> None:
        """Agents that took their own credential, with the same trouble, are still known from the alert that ends.

        Not one that was last seen without it: that it cannot be checked now tells nothing of it. Nor one whose
        trouble is milder now, or of which its own alert has been sent since.
        """
        since = (other.alert.agents for other in self.others(last.alert, place[0]) if other.at >= last.at)
        known = set(last.alert.agents) - last.well - ended - set().union(*since)
        left = frozenset(a for a in known if moment.has_trouble(last.alert, a, last.alert.severity))
        if left:
            alert = replace(last.alert, agents=tuple(sorted(left)))
            self.notified[place[0], f"{_ORIGIN}{place[1]}"] = replace(last, alert=alert, agents=left)

    def _forget_origins(self, channel: str, alert: Alert) -> None:
        """What is said of agents replaces what was known of them from an alert that has ended."""
        for (where, name), last in list(self.notified.items()):
            if where == channel and name.startswith(_ORIGIN) and _subject(last.alert) == _subject(alert):
                left = frozenset(last.alert.agents) - set(alert.agents)
                del self.notified[where, name]
                if left:
                    kept = replace(last.alert, agents=tuple(sorted(left)))
                    self.notified[where, name] = replace(last, alert=kept, agents=left)

    def observe(self, report: Report, policy: AlertPolicy, now: float) -> None:
        """Record which agents lost their trouble or took another credential, so that it is news when they have it.

        Also where it spread, and whether a reminder may be sent again.
        """
        moment = Moment.of(report, policy, now)
        for place, last in self.notified.items():
            before, now_held = last.secrets, _secrets(moment.held(last.alert))
            agents = frozenset(
                agent
                for agent in last.agents
                if moment.has_trouble(last.alert, agent) and before.get(agent) in (None, now_held.get(agent))
            )
            others = (agent.agent for agent in moment.of_target(last.alert.target) if agent.agent not in last.agents)
            has_spread = any(moment.has_trouble(last.alert, agent) for agent in others)
            seen = {a: moment.has_trouble(last.alert, a) for a in last.alert.agents}
            seen = {a: has_it for a, has_it in seen.items() if not moment.is_unknown(last.alert, a)}
            well = frozenset(a for a in last.alert.agents if not seen.get(a, a not in last.well))
            may_remind_again = (
                last.may_remind_again or _has_later_date(last.alert, moment) or _is_down(last.alert, moment)
            )
            if has_spread or (agents, well, may_remind_again) != (last.agents, last.well, last.may_remind_again):
                spread_at = now if has_spread else last.spread_at
                self.notified[place] = replace(
                    last, agents=agents, well=well, spread_at=spread_at, may_remind_again=may_remind_again
                )

    def lose(self, message: Message) -> None:
        """Record that a message never arrived: what was sent before counts again."""
        for alert in message.alerts:
            place = (message.channel, alert.fingerprint)
            self.sent_at.get(place, {}).pop(message.at, None)
            last = _without(self.notified.get(place), message.at)
            if last is not None:
                self.notified[place] = last
            else:
                self.notified.pop(place, None)

    def set_clock_back(self, now: float) -> None:
        """After the clock was set back nothing was sent in the future. ``Notified.at`` still identifies a message."""
        self.notified = {place: replace(last, news_at=min(last.news_at, now)) for place, last in self.notified.items()}
        for times in self.sent_at.values():
            times |= {made: sent._replace(at=min(sent.at, now)) for made, sent in times.items()}


def _naming(last: Notified | None, alert: Alert) -> Notified | None:
    """The last notification that named one of the alert's agents, among ``last`` and those before.

    It is of the alert's subject, or one is an outage and the other is part of it: an agent that took its own credential
    leaves an outage, or begins one.
    """
    while last is not None:
        conditions = (last.alert.condition, alert.condition)
        is_part = ConditionName.NO_USABLE_PROFILE in conditions and _provider(last.alert) == _provider(alert)
        is_same = is_part or _subject(last.alert) == _subject(alert)
        if is_same and not _told_of(last.alert).isdisjoint(alert.agents):
            return last
        last = last.before
    return None


def _has_later_date(alert: Alert, moment: Moment) -> bool:
    """Whether the credential has a later date than the alert's, or none, at all agents that were checked."""
    seen = (agent for agent in alert.agents if not moment.is_unknown(alert, agent))
    dates = [profile.expires_at for agent in seen for profile in moment.profiles(alert, agent)]
    is_later_everywhere = all(date is None or is_later(date, alert.deadline) for date in dates)
    return alert.deadline is not None and bool(dates) and is_later_everywhere


def _is_down(alert: Alert, moment: Moment) -> bool:
    """Whether the alert is about a profile whose provider is down at all of its agents."""
    return alert.profile is not None and all(moment.is_down(alert.target, a, alert.provider) for a in alert.agents)


def _last_date(last: Notified | None) -> float | None:
    """The deadline of the last notification that had one; that of an outage has none."""
    while last is not None and last.alert.deadline is None:
        last = last.before
    return last.alert.deadline if last is not None else None


def _told_of(alert: Alert) -> set[str]:
    """The agents whose trouble a notification tells of: also those of its notes."""
    return {*alert.agents, *(note.agent for note in alert.notes if note.condition is alert.condition)}


def _secrets(held: frozenset[Held]) -> dict[str, frozenset[Secret]]:
    """The credentials of each agent."""
    found: dict[str, set[Secret]] = {}
    for agent, profile, secret, _ in held:
        found.setdefault(agent, set()).add((profile, secret))
    return {agent: frozenset(secrets) for agent, secrets in found.items()}


def _secrets_of(state: AlertState) -> dict[str, frozenset[Secret]]:
    """The credential that the agents of an alert about a profile have in common, if its secret is known."""
    if not state.subject.profile or state.secret is None:
        return {}
    return dict.fromkeys(state.facts, frozenset({(state.subject.profile, state.secret)}))


def _provider(alert: Alert) -> tuple[str, str | None, Family]:
    return alert.target, alert.provider, alert.family


def _subject(alert: Alert) -> tuple[str, str | None, str | None, Family]:
    return alert.target, alert.provider, alert.profile, alert.family


def _without(last: Notified | None, at: float) -> Notified | None:
    if last is None:
        return None
    return last.before if last.at == at else replace(last, before=_without(last.before, at))


def _alert_like(state: AlertState) -> Alert:
    subject = state.subject
    return Alert(
        fingerprint=state.fingerprint,
        reason=NotificationReason.FIRST,
        family=state.family,
        condition=state.condition,
        severity=state.severity,
        target=subject.target,
        agents=state.agents,
        provider=subject.provider or None,
        profile=subject.profile or None,
        deadline=state.deadline,
    )
