"""Checks that a message can be believed: compares it with the report of its moment and with what was sent before.

The rules are those of the contract, written without the code that makes messages. Tests check every
message; the daemon does at debug level. Pure: no clock, no input, no output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from exporter.alerts.lifecycle.ledger import Ledger, Notified
from exporter.alerts.lifecycle.message_invariants import about_message, ended_outages
from exporter.alerts.lifecycle.moment import ROUNDING, SAME_DATE, Held, Moment, heals_itself, is_later
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, passed_step
from exporter.alerts.values import Alert, Message, NotificationReason, ResolutionCause, States
from exporter.model import Condition, ConditionName, Family, ProfileReport, Report, Severity

__all__ = ["Ledger", "doubts", "violations"]

#: The families in which a credential works or does not.
ABOUT_CREDENTIALS = (Family.DEADLINE, Family.AVAILABILITY)


@dataclass(frozen=True, slots=True)
class _Claim:
    """One alert of a message, with all that it is compared with."""

    alert: Alert
    last: Notified | None
    channel: ChannelPolicy | None  # None: it is no longer configured
    moment: Moment
    ledger: Ledger
    beside: tuple[Alert, ...] = ()  # all alerts of the message
    ends_with_outage: bool = False  # the message has the end of no_usable_profile too

    @property
    def seen(self) -> list[str]:
        """The named agents of which the report has something, if only from the last check before they failed."""
        alert, moment = self.alert, self.moment
        return [a for a in alert.agents if not moment.is_unknown(alert, a) or moment.profiles(alert, a)]

    def facts(self) -> list[tuple[str, Condition]]:
        """The conditions that the alert reports, by agent."""
        alert = self.alert
        return [(agent, c) for agent in alert.agents for c in self.moment.facts(alert, agent, alert.condition)]


#: Ends after which the agent has another credential, or none.
_OF_ANOTHER = (ResolutionCause.PROFILE_REMOVED, ResolutionCause.REPLACED)
#: Ends of what goes on, and is not watched any more.
_UNSEEN = (ResolutionCause.TARGET_REMOVED, ResolutionCause.IGNORED)

Rule = Callable[[_Claim], Iterator[str]]


def _follows(claim: _Claim) -> Iterator[str]:
    alert, last = claim.alert, claim.last
    if alert.reason is NotificationReason.FIRST:
        if last is not None and alert.times <= last.alert.times:
            yield "is first, but the channel was notified of it and of no end"
    elif last is None:
        yield f"is {alert.reason}, but the channel was never notified of it, or was notified of its end"
    if alert.reason is NotificationReason.ESCALATED and last is not None and not _is_worse(alert, last):
        yield "is escalated, but is no worse than the channel knows, and names no further agent"
    if alert.reason is NotificationReason.EASED and last is not None and _rank(alert) >= _rank(last.alert):
        yield "is eased, but is no better than the channel knows"


def _rank(alert: Alert) -> tuple[int, int]:
    return alert.severity.rank, list(ConditionName).index(alert.condition)


def _is_worse(alert: Alert, last: Notified) -> bool:
    return _rank(alert) > _rank(last.alert) or bool(set(alert.new_agents) - last.agents)


def _reminds_once(claim: _Claim) -> Iterator[str]:
    alert, last = claim.alert, claim.last
    if alert.reason is not NotificationReason.REMINDER or last is None or last.alert.condition is not alert.condition:
        return
    steps = claim.moment.policy.steps(alert.target, alert.agents, alert.provider, alert.profile)
    step = passed_step(steps, alert.deadline, claim.moment.now) if alert.deadline is not None else None
    if step is not None and last.agents.isdisjoint(alert.agents):
        return  # it reminds of agents that had lost the trouble since, and have it again
    has_passed = last.step is not None and step is not None and step >= last.step
    if step is None or (has_passed and not last.may_remind_again and not is_later(alert.deadline, last.alert.deadline)):
        yield "is a reminder, but no further step has passed"


def _agents_have_it(claim: _Claim) -> Iterator[str]:
    alert, moment = claim.alert, claim.moment
    if alert.reason.ends:
        return
    for agent in alert.agents:
        if moment.facts(alert, agent, alert.condition):
            continue
        if not moment.is_unknown(alert, agent):
            yield f"names {agent}, which is not {alert.condition}"
        elif moment.profiles(alert, agent) and moment.agents[alert.target, agent].failure is not None:
            yield f"names {agent}, which was last seen without {alert.condition}"
    if not alert.agents:
        yield "names no agent"


def _names_all(claim: _Claim) -> Iterator[str]:
    """Nobody has the same trouble, or worse trouble, of the same credential unnamed."""
    alert, moment = claim.alert, claim.moment
    if alert.reason.ends or alert.family not in ABOUT_CREDENTIALS:
        return
    secrets = {p.secret_hash for agent in alert.agents for p in moment.profiles(alert, agent)} - {None}
    for agent in moment.of_target(alert.target):
        own = {profile.secret_hash for profile in moment.profiles(alert, agent.agent)}
        if moment.is_unknown(alert, agent.agent) or (alert.profile is not None and not own & secrets):
            continue
        if alert.profile is not None and moment.is_down(alert.target, agent.agent, alert.provider):
            continue
        for name in ConditionName:
            if name.family is not alert.family:
                continue
            for condition in moment.verdict(alert, agent.agent, name):
                badness = condition.severity.rank, list(ConditionName).index(name)
                if heals_itself(condition, agent):
                    continue
                if badness > _rank(alert):
                    yield f"says {alert.severity} {alert.condition}, but {agent.agent} is {condition.severity} {name}"
                elif name is alert.condition and agent.agent not in alert.agents and _same_date(alert, condition):
                    yield f"does not name {agent.agent}, which is {name} too"


def _same_date(alert: Alert, condition: Condition) -> bool:
    if alert.deadline is None or condition.deadline is None:
        return True
    return abs(alert.deadline - condition.deadline) <= SAME_DATE


def _severity_is_theirs(claim: _Claim) -> Iterator[str]:
    alert, facts = claim.alert, claim.facts()
    if alert.reason.ends or not facts or len(claim.seen) < len(alert.agents):
        return
    severities = {condition.severity for _, condition in facts}
    worst = max(severities, key=lambda severity: severity.rank)
    if alert.severity is not worst:
        yield f"is {alert.severity}, but the report says {worst}"


def _dates_are_theirs(claim: _Claim) -> Iterator[str]:
    alert, facts, moment = claim.alert, claim.facts(), claim.moment
    if alert.reason.ends or not facts:
        return
    dates = [condition.deadline for _, condition in facts]
    if alert.family is Family.DEADLINE:
        for agent, condition in facts:
            if (condition.deadline is None) is not (alert.deadline is None) or not _same_date(alert, condition):
                yield f"gives {agent} the date {alert.deadline}, but its date is {condition.deadline}"
    elif alert.deadline is not None and not any(d is not None and abs(d - alert.deadline) <= SAME_DATE for d in dates):
        yield f"has the date {alert.deadline}, which no agent's report has"
    if alert.until is not None:
        recoveries = [
            p.unusable.until for a in alert.agents for p in moment.profiles(alert, a) if p.unusable is not None
        ]
        if alert.until not in recoveries and len(claim.seen) == len(alert.agents):
            yield f"says that it recovers at {alert.until}, which no agent's report has"


def _assumed_is_marked(claim: _Claim) -> Iterator[str]:
    alert, moment = claim.alert, claim.moment
    # The date of a credential that is not there any more cannot be compared with that of another one.
    if alert.deadline is None or alert.family not in ABOUT_CREDENTIALS or alert.resolution_cause in _OF_ANOTHER:
        return
    profiles = [p for agent in alert.agents for p in moment.profiles(alert, agent) if p.expires_at is not None]
    same = [p for p in profiles if p.expires_at is not None and abs(p.expires_at - alert.deadline) <= SAME_DATE]
    if same and all(p.assumed for p in same) and not alert.is_assumed:
        yield "has an assumed date that is not marked"
    if same and not any(p.assumed for p in same) and alert.is_assumed:
        yield "calls a reported date assumed"


def _notes_are_true(claim: _Claim) -> Iterator[str]:
    alert, moment = claim.alert, claim.moment
    for note in alert.notes:
        if note.agent in alert.agents:
            yield f"names {note.agent} and notes that it differs"
        if moment.is_unknown(alert, note.agent):
            continue
        dates = [profile.expires_at for profile in moment.profiles(alert, note.agent)]
        if note.deadline is not None and not any(d is not None and abs(d - note.deadline) <= SAME_DATE for d in dates):
            yield f"notes a date of {note.agent} that its report does not have"
        agent = moment.agents.get((alert.target, note.agent))
        if note.condition is not None and not moment.facts(alert, note.agent, note.condition):
            yield f"notes that {note.agent} is {note.condition}, which it is not"
        if note.condition is None and agent is not None and alert.family in ABOUT_CREDENTIALS:
            for condition in agent.conditions:
                is_same = (condition.provider, condition.profile) == (alert.provider, alert.profile)
                if is_same and condition.family is alert.family and not heals_itself(condition, agent):
                    yield f"notes that it works at {note.agent}, which is {condition.name}"


def _new_agents_are_new(claim: _Claim) -> Iterator[str]:
    alert, last = claim.alert, claim.last
    if set(alert.new_agents) - set(alert.agents) - {note.agent for note in alert.notes}:
        yield "calls an agent new that it does not name"
    if last is not None and set(alert.new_agents) & last.agents:
        yield "calls an agent new that the channel knows"


def _inhibited_is_silent(claim: _Claim) -> Iterator[str]:
    """No alert beside the no_usable_profile that inhibits it."""
    alert, moment = claim.alert, claim.moment
    if alert.reason.ends or alert.profile is None or not alert.condition.definition.causes_outage:
        return
    down = [agent for agent in alert.agents if moment.is_down(alert.target, agent, alert.provider)]
    having = [agent for agent, _ in claim.facts() if agent not in down]
    if down and not having:
        yield f"is sent beside the no_usable_profile of {', '.join(down)}"


def _end_is_true(claim: _Claim) -> Iterator[str]:
    alert, moment, cause = claim.alert, claim.moment, claim.alert.resolution_cause
    if not alert.reason.ends:
        return
    if alert.ended_at is None or alert.ended_at > moment.now:
        yield "ends, but says no time at which it did"
    for agent in claim.seen:
        still = [
            c
            for c in moment.verdict(alert, agent, alert.condition)
            if c.name is not ConditionName.EXPIRING or _same_date_as_before(c, claim.last)
        ]
        is_other = cause is ResolutionCause.PROFILE_REMOVED and (_is_mild(claim, still) or _goes_on(claim, agent))
        if still and cause not in _UNSEEN and not is_other:
            yield f"ends, but {agent} is still {alert.condition}"
        yield from (f"{sentence} at {agent}" for sentence in _agent_end_is_true(claim, agent))
    if alert.reason is NotificationReason.RENEWED and not alert.agents:
        yield "is renewed, but names no agent"
    is_seen = len(claim.seen) == len(alert.agents)
    if is_seen and alert.deadline is not None and alert.reason is NotificationReason.RENEWED:
        dates = [p.expires_at for agent in alert.agents for p in moment.profiles(alert, agent) if p.usable]
        if not any(date is not None and abs(date - alert.deadline) <= SAME_DATE for date in dates):
            yield f"is renewed until {alert.deadline}, which no agent's report has"


def _is_mild(claim: _Claim, conditions: Iterable[Condition]) -> bool:
    """Whether the channel is not sent what is as mild as this, so that no alert goes on there."""
    channel = claim.channel
    return channel is not None and not any(channel.accepts(condition.severity) for condition in conditions)


def _goes_on(claim: _Claim, agent: str) -> bool:
    """Whether the agent has another agent's credential again, of whose trouble the channel is or was notified."""
    alert = claim.alert
    place = (alert.target, alert.profile, alert.family)
    if any(
        (one.target, one.profile, one.family) == place and agent in one.agents
        for one in claim.beside
        if not one.reason.ends
    ):
        return True
    secrets = {p.secret_hash for p in claim.moment.profiles(alert, agent) if p.owner not in (None, agent)} - {None}
    return any(
        not last.held or secrets & {secret for _, _, secret, _ in last.held}  # empty: not recorded
        for last in claim.ledger.others(alert, claim.channel.name if claim.channel is not None else "")
    )


def _same_date_as_before(condition: Condition, last: Notified | None) -> bool:
    return last is None or _same_date(last.alert, condition)


def _agent_end_is_true(claim: _Claim, agent: str) -> Iterator[str]:
    alert, moment, cause = claim.alert, claim.moment, claim.alert.resolution_cause
    profiles, is_renewed = moment.profiles(alert, agent), alert.reason is NotificationReason.RENEWED
    if cause is ResolutionCause.TARGET_REMOVED:
        if alert.target in moment.policy.targets:
            yield "says that the target is not watched, but it is"
    elif cause is ResolutionCause.IGNORED:
        if not all(moment.policy.verdict.of(alert.target, agent, p.id).ignore for p in profiles):
            yield "says that the profile is ignored, but it is not"
    elif cause is ResolutionCause.PROFILE_REMOVED:
        if is_renewed:
            yield "is renewed, but was removed"
        own = [profile for profile in profiles if profile.owner in (None, agent)]  # it may inherit one again
        if own and alert.profile is not None and alert.family is not Family.NOTICE:
            yield "says that it is gone, but it is there"
    elif alert.family is Family.WATCH:
        found = moment.agents.get((alert.target, agent))
        if cause is ResolutionCause.OVER and found is not None and found.failure is not None:
            yield "says that the check works, but it fails"
    elif alert.family in ABOUT_CREDENTIALS:
        works = moment.works(alert, agent)
        if (is_renewed or cause is ResolutionCause.OVER) and not works:
            yield f"is {alert.reason} as if it worked, but it does not work"
        if cause in (ResolutionCause.REPLACED, ResolutionCause.OTHER_PROBLEM) and works:
            yield f"says that it does not work ({cause}), but it works"
        if is_renewed and claim.last is not None and claim.last.held and not _is_new(claim.last.held, agent, profiles):
            yield "is renewed, but is the credential that it was"


def _is_new(held: frozenset[Held], agent: str, profiles: Sequence[ProfileReport]) -> bool:
    """Whether a profile that works is another credential than before, or has a later date or its first date."""
    before = {profile: (secret, date) for name, profile, secret, date in held if name == agent}
    for profile in profiles:
        secret, date = before.get(profile.id, (None, None))
        if secret is None or profile.secret_hash is None or secret != profile.secret_hash:
            return True
        if profile.expires_at is not None and (date is None or abs(profile.expires_at - date) > SAME_DATE):
            return True
    return False


def _is_wanted(claim: _Claim) -> Iterator[str]:
    alert, last, channel, moment = claim.alert, claim.last, claim.channel, claim.moment
    if channel is None:
        yield "goes to a channel that is not configured"
        return
    if last is None and not alert.reason.ends and not channel.accepts(alert.severity):
        yield f"is below min_severity {channel.min_severity}"
    severities = [last.alert.severity] if last is not None else []
    if not alert.reason.ends:
        severities.append(alert.severity)
    worst = max(severities, key=lambda severity: severity.rank, default=alert.severity)
    # One cause has one end: what an outage ends needs no message of its own in the night.
    if channel.is_quiet_for(worst, moment.now) and not claim.ends_with_outage:
        yield "is sent in quiet hours"
    if alert.reason is NotificationReason.FIRST and moment.policy.escalate_after is not None and channel.step:
        is_early = alert.since is not None and moment.now + ROUNDING < (
            alert.since + channel.step * moment.policy.escalate_after
        )
        if alert.severity is not Severity.CRITICAL or is_early:
            yield "is sent to a later channel of the order before it escalated there"


def _silences_hold(claim: _Claim) -> Iterator[str]:
    """Silences hold everything back but ends."""
    alert, moment = claim.alert, claim.moment
    if alert.reason.ends or not moment.policy.silences:
        return
    if _is_silenced(alert, moment):
        yield "is sent although it is silenced"
    if alert.condition is ConditionName.NO_USABLE_PROFILE:
        profiles = [(agent, profile.id) for agent in alert.agents for profile in moment.profiles(alert, agent)]
        each = (replace(alert, agents=(agent,), profile=id) for agent, id in profiles)
        # Nobody knows the profiles of an agent of which nothing is known any more.
        is_known = bool(profiles) and len(claim.seen) == len(alert.agents)
        if is_known and all(_is_silenced(profile, moment, by_condition=False) for profile in each):
            yield "is sent although each of its profiles is silenced"


def _is_silenced(alert: Alert, moment: Moment, *, by_condition: bool = True) -> bool:
    for silence in moment.policy.silences:
        values = {"target": alert.target, "provider": alert.provider or "", "profile": alert.profile or ""}
        if by_condition:
            values["condition"] = str(alert.condition)
        # The message is also about the agents that its notes give a condition of their own.
        agents = [*alert.agents, *(note.agent for note in alert.notes if note.condition is not None)]
        fits = (
            bool(alert.agents) and all(agent == value for agent in agents)
            if name == "agent"
            else values.get(name) == value
            for name, value in silence.matchers.items()
        )
        if moment.now < silence.until and silence.matchers and all(fits):
            return True
    return False


def _acknowledged_is_silent(claim: _Claim) -> Iterator[str]:
    alert, last = claim.alert, claim.last
    at = claim.moment.policy.acknowledged.get(alert.fingerprint)
    if at is None or alert.reason is not NotificationReason.REPEAT or last is None or alert.times:
        return
    has_begun_again = alert.since is not None and alert.since > at
    has_spread = not set(alert.agents) <= last.agents or (last.spread_at is not None and last.spread_at > at)
    if at >= last.news_at and not has_begun_again and not has_spread:
        yield "is repeated although it was acknowledged"


def _is_identified(claim: _Claim) -> Iterator[str]:
    alert = claim.alert
    if alert.exporter != claim.moment.policy.exporter:
        yield f"is from the exporter {alert.exporter!r}, not {claim.moment.policy.exporter!r}"
    if len(alert.fingerprint) != 32 or len(alert.key) != 32:
        yield "has no fingerprint or no key of 32 characters"
    if not alert.summary:
        yield "has no summary"
    if alert.since is not None and alert.since > claim.moment.now + ROUNDING:
        yield "begins in the future"


RULES: tuple[Rule, ...] = (
    _follows,
    _reminds_once,
    _agents_have_it,
    _names_all,
    _severity_is_theirs,
    _dates_are_theirs,
    _assumed_is_marked,
    _notes_are_true,
    _new_agents_are_new,
    _inhibited_is_silent,
    _end_is_true,
    _is_wanted,
    _silences_hold,
    _acknowledged_is_silent,
    _is_identified,
)


# --- one message -------------------------------------------------------------------------------


def violations(message: Message, report: Report, policy: AlertPolicy, before: Ledger) -> list[str]:
    """What is wrong with ``message``, one sentence each; empty if it can be believed.

    ``report`` is evaluated as of ``message.at``. ``before`` has what was sent earlier.
    """
    moment = Moment.of(report, policy, message.at)
    channel = next((one for one in policy.channels if one.name == message.channel), None)
    found = [f"{message.channel}: {sentence}" for sentence in about_message(message, channel, moment, before)]
    ended = ended_outages(message)
    for alert in message.alerts:
        if alert.reason is NotificationReason.TEST:
            continue
        is_outage = alert.condition is ConditionName.NO_USABLE_PROFILE
        ends_with_outage = alert.reason.ends and not is_outage and (alert.target, alert.provider) in ended
        last = before.of_alert(message.channel, alert)
        claim = _Claim(alert, last, channel, moment, before, message.alerts, ends_with_outage)
        subject = alert.profile or alert.provider or alert.target
        where = f"{message.channel}: {alert.reason} {alert.condition} of {subject} ({', '.join(alert.agents)})"
        found += [f"{where} {sentence}" for rule in RULES for sentence in rule(claim)]
    return found


def doubts(messages: Iterable[Message], before: States, report: Report, policy: AlertPolicy) -> list[str]:
    """What is wrong with messages whose ledger nobody kept; ``before`` has the states from which they were made."""
    messages = list(messages)
    if not messages:
        return []
    ledger = Ledger.of(before)
    ledger.observe(report, policy, messages[0].at)
    return [sentence for message in messages for sentence in violations(message, report, policy, ledger)]
