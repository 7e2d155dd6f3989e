"""The lifecycle over random histories: every lasting state is notified, nothing untrue is, each once and in order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerts.worlds import DAY, HOUR, MINUTE, NOW, STEPS, P, World, policy
from exporter.alerts.lifecycle import advance, next_event
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason
from exporter.config import QuietHours as Configured
from exporter.lib.typed_json import dump, load
from exporter.model import Condition, ConditionName, Report, Severity

NIGHT = Configured.model_validate(
    {"from": "22:00", "to": "07:00", "timezone": "Europe/Stockholm", "except": "critical"}
)
CHANNELS = (
    ChannelPolicy("all"),
    ChannelPolicy("pager", Severity.CRITICAL),
    ChannelPolicy("phone", Severity.WARNING, QuietPeriod.of(NIGHT)),
    ChannelPolicy("second", Severity.CRITICAL, step=1),
)
ESCALATE_AFTER = 15 * MINUTE
IDS = ("anthropic:a", "anthropic:b", "openai:c")
REASONS = ("auth", "billing", "rate_limit", "overloaded")
CAUSES = {ConditionName.EXPIRED, ConditionName.UNUSABLE}
Notified = dict[str, Alert]


class Histories(RuleBasedStateMachine):
    @initialize(
        group_wait=st.sampled_from([0.0, 10.0]),
        escalate_after=st.sampled_from([None, ESCALATE_AFTER]),
        start=st.integers(min_value=0, max_value=364),
        hour=st.integers(0, 23),
    )
    def begin(self, group_wait: float, escalate_after: float | None, start: int, hour: int) -> None:
        self.now = NOW + start * DAY + hour * HOUR
        self.policy = policy(*CHANNELS, group_wait=group_wait, escalate_after=escalate_after)
        self.profiles = {id: P(id, ends=self.now + 300 * DAY, secret=f"{id} 0") for id in IDS}
        self.seen = dict(self.profiles)
        self.failing_since: float | None = None
        self.failed_checks = 0
        self.forgotten = False
        self.secrets = 0
        self.states: dict[str, AlertState] = {}
        self.open: dict[str, Notified] = {channel.name: {} for channel in CHANNELS}
        self.steps: dict[tuple[str, str], tuple[float, float]] = {}
        self.renewed_near: set[str] = set()
        self.critical_since: dict[str, float] = {}
        self.acknowledged: dict[str, tuple[ConditionName, Severity, float]] = {}  # what it was when a person saw it
        self.check()

    # --- the world ---------------------------------------------------------------------------

    @rule(id=st.sampled_from(IDS), left=st.sampled_from([-DAY, 30 * MINUTE, 5 * HOUR, 2 * DAY, 10 * DAY, 13.9 * DAY]))
    def comes_to_its_end(self, id: str, left: float) -> None:
        """As if it had been made earlier: the same secret, an earlier date."""
        ends = self.profiles[id].ends if id in self.profiles else None
        if ends is not None and self.now + left < ends:
            self.profiles[id] = replace(self.profiles[id], ends=self.now + left)
            self.check()

    @rule(id=st.sampled_from(IDS), left=st.sampled_from([30 * DAY, 365 * DAY, 5 * DAY]), another=st.booleans())
    def is_renewed(self, id: str, left: float, another: bool) -> None:
        old = self.profiles.get(id)
        if old is not None and old.ends is not None and old.ends + HOUR > self.now + left:
            return
        self.secrets += another or old is None
        secret = f"{id} {self.secrets}" if another or old is None else old.secret
        self.profiles[id] = P(id, ends=self.now + left, secret=secret)
        if left < STEPS[0]:
            self.renewed_near.add(id)
        self.check()

    @rule(id=st.sampled_from(IDS), reason=st.sampled_from(REASONS))
    def breaks(self, id: str, reason: str) -> None:
        if id in self.profiles:
            since = self.profiles[id].down_since if self.profiles[id].down else self.now
            self.profiles[id] = replace(self.profiles[id], down=reason, down_since=since)
            self.check()

    @rule(id=st.sampled_from(IDS))
    def recovers(self, id: str) -> None:
        if id in self.profiles:
            self.profiles[id] = replace(self.profiles[id], down=None)
            self.check()

    @rule(id=st.sampled_from(IDS))
    def is_removed(self, id: str) -> None:
        self.profiles.pop(id, None)
        self.check()

    @rule(forgotten=st.booleans())
    def checks_fail(self, forgotten: bool) -> None:
        """Forgotten: even what was known is gone, as with a lost ledger."""
        self.failing_since, self.forgotten = self.now, forgotten
        self.check()

    @rule()
    def checks_succeed_again(self) -> None:
        self.failing_since, self.forgotten = None, False
        self.check()

    # --- us ----------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.states = {key: load(AlertState, dump(state)) for key, state in self.states.items()}

    @rule(id=st.sampled_from(IDS), length=st.sampled_from([5 * MINUTE, 3 * HOUR]))
    def is_silenced(self, id: str, length: float) -> None:
        silence = Silence(str(self.now), {"profile": id}, self.now + length)
        self.policy = replace(self.policy, silences=(*self.policy.silences, silence))
        self.step()

    @rule(steps=st.sampled_from([STEPS, STEPS[1:], (*STEPS[:2], HOUR)]))
    def thresholds_are_edited(self, steps: tuple[float, ...]) -> None:
        self.policy = replace(self.policy, remind_before=steps)
        self.step()

    @rule(
        provider=st.sampled_from(["anthropic", "openai"]), seen_after=st.sampled_from([0.0, 10 * MINUTE, 20 * MINUTE])
    )
    def goes_down_and_is_acknowledged(self, provider: str, seen_after: float) -> None:
        for id in [id for id in self.profiles if id.startswith(provider)]:
            self.breaks(id, "auth")
        self.live_until(self.now + seen_after)
        self.is_acknowledged(7 * HOUR)

    @rule(then=st.sampled_from([0.0, 20 * MINUTE, 7 * HOUR]))
    def is_acknowledged(self, then: float) -> None:
        acknowledged = {state.fingerprint: self.now for state in self.states.values()}
        self.policy = replace(self.policy, acknowledged={**self.policy.acknowledged, **acknowledged})
        self.acknowledged |= {
            state.fingerprint: (state.condition, state.severity, state.started_at) for state in self.states.values()
        }
        self.step()
        self.live_until(self.now + then)

    @rule(seconds=st.sampled_from([1.0, 11.0, 5 * MINUTE, 20 * MINUTE, 7 * HOUR, 30 * HOUR, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self.live_until(self.now + seconds)

    @rule(seconds=st.sampled_from([HOUR, 12 * HOUR, 9 * DAY]))
    def we_are_down(self, seconds: float) -> None:
        self.now += seconds
        self.check()

    @rule(seconds=st.sampled_from([1.0, HOUR]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.now -= seconds
        # As the outbox does; and nothing that began earlier began in the future.
        acknowledged = {fingerprint: min(at, self.now) for fingerprint, at in self.policy.acknowledged.items()}
        self.policy = replace(self.policy, acknowledged=acknowledged)
        self.critical_since = {fingerprint: min(at, self.now) for fingerprint, at in self.critical_since.items()}
        self.check()

    # --- checking and notifying --------------------------------------------------------------

    def report(self) -> Report:
        failing = {"main": self.failing_since} if self.failing_since is not None else {}
        profiles = () if self.forgotten else tuple(self.seen.values())
        return Report(self.now, (World({"main": profiles}, failing=failing).report(self.now),))

    def last_known(self) -> list[Condition]:
        """The conditions before checks began to fail, forgotten or not."""
        worlds = World({"main": tuple(self.seen.values())}).report(self.now), *self.report().targets
        return [condition for world in worlds for agent in world.agents for condition in agent.conditions]

    def check(self) -> None:
        if self.failing_since is None:
            self.seen, self.failed_checks = dict(self.profiles), 0
            self.renewed_near &= self.seen.keys()
        else:
            self.failing_since, self.failed_checks = self.now, self.failed_checks + 1
        self.step()

    def step(self) -> None:
        report, before = self.report(), self.states
        self.states, messages = advance(before, report, self.policy, self.now)
        if self.failing_since is not None:
            for key, state in before.items():
                if state.firing and state.confirmed:
                    assert self.states[key].firing, "a failed check resolves nothing"
        firing = {state.fingerprint: state for state in self.states.values() if state.firing}
        critical = {name for name, state in firing.items() if state.severity is Severity.CRITICAL}
        self.critical_since = {name: self.critical_since.get(name, self.now) for name in critical}
        self.acknowledged = {
            name: was
            for name, was in self.acknowledged.items()
            if (now := firing.get(name)) and was == (now.condition, now.severity, now.started_at)
        }
        for message in messages:
            self.check_message(message)
            self.check_quiet_hours(message)
            self.check_acknowledgements(message)
            for alert in message.alerts:
                if alert.reason.ends:
                    del self.open[message.channel][alert.fingerprint]
                else:
                    self.open[message.channel][alert.fingerprint] = alert

    def live_until(self, end: float) -> None:
        """Does as the daemon does: checks every five minutes at first, and whenever time alone changes something."""
        checks = 0
        while self.now < end:
            report = self.report()
            ends = [p.ends for p in self.seen.values() if p.ends is not None]
            times = [next_event(self.states, report, self.policy, self.now), *ends, *(at - DAY + 0.001 for at in ends)]
            ahead = min([at for at in times if at is not None and at > self.now] + [end])
            if checks < 4 and ahead > self.now + 5 * MINUTE:
                checks, ahead = checks + 1, min(self.now + 5 * MINUTE, end)
            self.now = ahead
            if checks < 4 or ahead == end:
                self.check()
            else:
                self.step()

    def check_message(self, message: Message) -> None:
        notified = self.open[message.channel]
        known = self.last_known()
        holds = {(c.name, c.severity, c.profile or c.provider) for c in known}
        down = {c.provider for c in known if c.name is ConditionName.NO_USABLE_PROFILE}
        for alert in message.alerts:
            place = (message.channel, alert.fingerprint)
            if alert.reason is NotificationReason.FIRST:
                assert alert.fingerprint not in notified, "first, but it was notified before"
            else:
                assert alert.fingerprint in notified, f"{alert.reason} but nothing was notified"
            if alert.reason.ends:
                self.steps.pop(place, None)
                continue
            assert alert.condition is not ConditionName.CHECK_FAILED or self.failed_checks > 1, (
                "a single failed check does not alert"
            )
            beside = alert.condition in CAUSES and alert.provider in down
            assert not beside or self.forgotten, "notified although inhibited"
            is_ahead = alert.condition is ConditionName.EXPIRING and (alert.severity is Severity.INFO or self.forgotten)
            assert is_ahead or (alert.condition, alert.severity, alert.profile or alert.provider) in holds, "never was"
            if alert.condition is ConditionName.EXPIRING:
                assert alert.deadline is not None
                step = self.policy.step_at(alert.deadline, self.now)
                notified_step, date = self.steps.get(place, (float("inf"), alert.deadline))
                if alert.deadline > date + MINUTE:
                    notified_step = float("inf")  # the renewal may be suppressed: a later date has its own steps
                if alert.reason is NotificationReason.REMINDER:
                    assert step is not None
                    assert notified_step > step, "a step is notified once"
                if step is not None:
                    self.steps[place] = min(notified_step, step), alert.deadline

    def check_quiet_hours(self, message: Message) -> None:
        """In quiet hours only alerts are sent that are critical, or were when they were last notified."""
        channel = next(one for one in CHANNELS if one.name == message.channel)
        if channel.quiet is None or not channel.quiet.is_active(self.now):
            return
        assert not [one for one in message.suppressed if one.severity is not Severity.CRITICAL]
        for alert in message.alerts:
            last = self.open[message.channel].get(alert.fingerprint)
            assert Severity.CRITICAL in (alert.severity, last.severity if last else None), "sent in quiet hours"

    def check_acknowledgements(self, message: Message) -> None:
        """An acknowledged alert that did not change is neither repeated nor escalated."""
        for alert in message.alerts:
            if alert.reason is NotificationReason.REPEAT:
                assert alert.fingerprint not in self.acknowledged, "repeated although acknowledged"
            if message.channel == "second" and alert.reason is NotificationReason.FIRST and self.policy.escalate_after:
                since = self.critical_since[alert.fingerprint]
                assert self.now >= since + ESCALATE_AFTER, "it escalated too soon"
                at = self.policy.acknowledged.get(alert.fingerprint)
                early = at is not None and at < since + ESCALATE_AFTER
                assert not (alert.fingerprint in self.acknowledged and early), "it escalated although acknowledged"

    # --- what must be so -----------------------------------------------------------------------

    @invariant()
    def the_same_moment_twice_sends_nothing(self) -> None:
        if hasattr(self, "now"):
            assert advance(self.states, self.report(), self.policy, self.now) == (self.states, ())

    @precondition(lambda self: hasattr(self, "now"))
    @rule()
    def a_lasting_state_is_notified_on_every_channel(self) -> None:
        """After a day without changes every channel knows the truth, and nothing but the truth."""
        self.policy, self.acknowledged = replace(self.policy, silences=(), acknowledged={}), {}
        for _ in range(2):
            self.now += 5 * MINUTE
            self.check()
        self.live_until(self.now + DAY)
        while CHANNELS[2].quiet is not None and CHANNELS[2].quiet.is_active(self.now):
            self.live_until(self.now + HOUR)
        self.live_until(self.now + MINUTE)
        truth = self.truth()
        worsened = {
            (s.subject.profile or s.subject.provider or s.subject.target, str(s.family)): s.worsened_at
            for s in self.states.values()
            if s.firing
        }
        for channel in CHANNELS:
            known = {
                (alert.profile or alert.provider or alert.target, str(alert.family)): alert
                for alert in self.open[channel.name].values()
            }
            for place, condition in truth.items():
                if condition.severity.rank < channel.min_severity.rank:
                    continue
                if condition.severity is Severity.INFO and place[0] in self.renewed_near and place not in known:
                    continue  # a person has just renewed it to a near date: silent until the next step
                if channel.step and place not in known and self.now < worsened[place] + ESCALATE_AFTER:
                    continue  # it has not escalated yet
                assert place in known, f"{channel.name} was not notified of {condition}"
                last = known[place]
                assert (last.condition, last.severity) == (condition.name, condition.severity)
                if last.condition is ConditionName.EXPIRING and last.deadline is not None and not self.forgotten:
                    step = self.policy.step_at(last.deadline, self.now)
                    notified_step = self.steps.get((channel.name, last.fingerprint), (float("inf"), 0))[0]
                    assert step is None or notified_step <= step, "a step was not notified"
            firing = {
                (s.subject.profile or s.subject.provider or s.subject.target, str(s.family))
                for s in self.states.values()
                if s.firing
            }
            assert set(known) <= firing, f"{channel.name} was not notified of the resolution"

    def truth(self) -> dict[tuple[str, str], Condition]:
        """The conditions that channels should know: without inhibited ones, with deadlines within the first step."""
        (agent,) = self.report().targets[0].agents
        down = {c.provider for c in agent.conditions if c.name is ConditionName.NO_USABLE_PROFILE}
        found = {}
        for condition in agent.conditions:
            if condition.provider in down and condition.name in CAUSES:
                continue
            if condition.name is ConditionName.CHECK_FAILED and self.failed_checks < 2:
                continue
            found[condition.profile or condition.provider or "home", str(condition.family)] = condition
        for p in () if self.forgotten else self.seen.values():
            if p.ends is not None and self.now + DAY < p.ends < self.now + self.policy.remind_before[0]:
                found.setdefault((p.id, "deadline"), Condition(ConditionName.EXPIRING, Severity.INFO, profile=p.id))
        return found


# At least 60; HYPOTHESIS_PROFILE=thorough asks for more.
Histories.TestCase.settings = settings(
    max_examples=max(60, settings().max_examples), stateful_step_count=30, deadline=None
)
TestHistories = Histories.TestCase
