"""The lifecycle over random histories: every lasting state is notified, nothing untrue is, each once and in order.

Three agents share one store, and each may take credentials of its own, lose them, fail its checks or be removed.
Channels refuse messages, hang and work again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerts.receivers import Channel, Phone
from alerts.worlds import DAY, HOUR, MINUTE, NOW, STEPS, P, World, believe, policy
from exporter.alerts.lifecycle import advance, next_event
from exporter.alerts.lifecycle.arrivals import Outcome, settle
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.invariants import Ledger, doubts
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import AlertState, NotificationReason
from exporter.config import QuietHours as Configured
from exporter.lib.typed_json import dump, load
from exporter.model import AgentReport, Condition, ConditionName, Report, Severity

NIGHT = Configured.model_validate(
    {"from": "22:00", "to": "07:00", "timezone": "Europe/Stockholm", "except": "critical"}
)
CHANNELS = (
    ChannelPolicy("all", for_machines=True),
    ChannelPolicy("pager", Severity.CRITICAL),
    ChannelPolicy("phone", Severity.WARNING, QuietPeriod.of(NIGHT), can_withdraw=True),
    ChannelPolicy("second", Severity.CRITICAL, step=1),
)
ESCALATE_AFTER = 15 * MINUTE
GIVE_UP_AFTER = 3 * DAY
AGENTS = ("main", "work", "lab")
IDS = ("anthropic:a", "anthropic:b", "openai:c")
REASONS = ("auth", "billing", "rate_limit", "overloaded")

agents = st.sampled_from(AGENTS)
ids = st.sampled_from(IDS)


class Histories(RuleBasedStateMachine):
    @initialize(
        group_wait=st.sampled_from([0.0, 10.0]),
        escalate_after=st.sampled_from([None, ESCALATE_AFTER]),
        start=st.integers(min_value=0, max_value=364),
        hour=st.integers(0, 23),
    )
    def begin(self, group_wait: float, escalate_after: float | None, start: int, hour: int) -> None:
        self.now = NOW + start * DAY + hour * HOUR
        self.policy = policy(*CHANNELS, group_wait=group_wait, escalate_after=escalate_after, exporter="host")
        self.stores: dict[str, dict[str, P]] = {agent: {} for agent in AGENTS}
        self.stores["main"] = {id: P(id, ends=self.now + 300 * DAY, secret=f"{id} 0") for id in IDS}
        self.down: dict[tuple[str, str], P] = {}
        self.dates: dict[tuple[str, str], float] = {}
        self.failing: dict[str, float] = {}
        self.forgotten: set[str] = set()
        self.unlisted: float | None = None
        self.seen: dict[str, tuple[P, ...]] = {}
        self.secrets = 0
        self.states: dict[str, AlertState] = {}
        self.ledger = Ledger()
        self.channels = {channel.name: Channel() for channel in CHANNELS}
        self.phone = Phone()
        self.check()

    # --- the world ---------------------------------------------------------------------------

    def profiles(self, agent: str) -> tuple[P, ...]:
        """What the agent has: its own, else what it inherits from main."""
        own, shared = self.stores[agent], self.stores["main"]
        found = []
        for id in IDS:
            if (profile := own.get(id) or shared.get(id)) is None:
                continue
            owner = agent if id in own else "main"
            down = self.down.get((agent, id), P())
            recorded = self.dates.get((agent, id))
            if recorded is not None:
                profile = replace(profile, ends=recorded, undated=False)
            found.append(replace(profile, owner=owner, down=down.down, down_since=down.down_since, until=down.until))
        return tuple(found)

    @rule(agent=agents, id=ids, left=st.sampled_from([-DAY, 30 * MINUTE, 5 * HOUR, 2 * DAY, 10 * DAY, 13.9 * DAY]))
    def comes_to_its_end(self, agent: str, id: str, left: float) -> None:
        """As if it had been made earlier: the same secret, an earlier date."""
        old = self.stores.get(agent, {}).get(id)
        if old is not None and old.ends is not None and self.now + left < old.ends:
            self.stores[agent][id] = replace(old, ends=self.now + left)
            self.check()

    @rule(agent=agents, id=ids, left=st.sampled_from([-HOUR, 5 * HOUR, 10 * DAY, 200 * DAY]))
    def has_another_date_here(self, agent: str, id: str, left: float) -> None:
        """One secret, two dates: a person has recorded one for this agent."""
        if agent in self.stores and any(p.id == id for p in self.profiles(agent)):
            self.dates[agent, id] = self.now + left
            self.check()

    @rule(
        agent=agents,
        id=ids,
        left=st.sampled_from([30 * DAY, 365 * DAY, 5 * DAY]),
        another=st.booleans(),
        undated=st.booleans(),
        heals=st.booleans(),
    )
    def is_pasted(self, agent: str, id: str, left: float, another: bool, undated: bool, heals: bool) -> None:
        """Renewed; an agent that inherited it takes its own. The cooldown of the old one may stay."""
        if agent not in self.stores:
            return
        old = self.stores[agent].get(id)
        if old is not None and not another and old.ends is not None and old.ends + HOUR > self.now + left:
            return
        self.secrets += 1
        secret = f"{id} {self.secrets}" if another or old is None else old.secret
        self.stores[agent][id] = P(id, ends=self.now + left, secret=secret, undated=undated)
        for heir in self.heirs(agent, id):
            self.dates.pop((heir, id), None)
            if heals:
                self.down.pop((heir, id), None)
        self.check()

    def heirs(self, agent: str, id: str) -> list[str]:
        others = [a for a in self.stores if a != agent and id not in self.stores[a]]
        return [agent, *others] if agent == "main" else [agent]

    @rule(agent=agents, id=ids, reason=st.sampled_from(REASONS), all_heirs=st.booleans())
    def breaks(self, agent: str, id: str, reason: str, all_heirs: bool) -> None:
        """Cooldowns are kept by each agent, but an agent that inherits may see those of its owner."""
        if agent not in self.stores:
            return
        for heir in self.heirs(agent, id) if all_heirs else [agent]:
            before = self.down.get((heir, id))
            since = before.down_since if before is not None else self.now
            self.down[heir, id] = P(down=reason, down_since=since, until=self.now + HOUR)
        self.check()

    @rule(agent=agents, id=ids, all_heirs=st.booleans())
    def recovers(self, agent: str, id: str, all_heirs: bool) -> None:
        for heir in self.stores if all_heirs else [agent]:
            self.down.pop((heir, id), None)
        self.check()

    @rule(agent=agents, id=ids)
    def is_removed(self, agent: str, id: str) -> None:
        """An agent's own one; it inherits again, if main has one."""
        if id in self.stores.get(agent, {}):
            del self.stores[agent][id]
            self.dates.pop((agent, id), None)
            self.check()

    @rule(agent=st.sampled_from(AGENTS[1:]))
    def agent_is_removed_or_added(self, agent: str) -> None:
        if agent not in self.stores:
            self.stores[agent] = {}
        else:
            del self.stores[agent]
            for place in [place for place in (*self.down, *self.dates) if place[0] == agent]:
                self.down.pop(place, None)
                self.dates.pop(place, None)
        self.check()

    @rule(agent=agents, forgotten=st.booleans())
    def checks_fail(self, agent: str, forgotten: bool) -> None:
        """Forgotten: even what was known is gone, as with a lost ledger."""
        if agent in self.stores:
            self.failing[agent] = self.now
            if forgotten:
                self.forgotten.add(agent)
            self.check()

    @rule()
    def agents_cannot_be_listed(self) -> None:
        self.unlisted = self.now
        self.check()

    @rule()
    def checks_succeed_again(self) -> None:
        self.failing, self.unlisted = {}, None
        self.forgotten.clear()
        self.check()

    # --- channels ----------------------------------------------------------------------------

    @rule(name=st.sampled_from([channel.name for channel in CHANNELS]), mode=st.sampled_from(["refuses", "hangs"]))
    def a_channel_fails(self, name: str, mode: str) -> None:
        self.channels[name].mode = mode

    @rule()
    def channels_work_again(self) -> None:
        for channel in self.channels.values():
            channel.mode = "works"
        self.deliver()
        self.step()

    def deliver(self) -> bool:
        """Delivers what can be, gives up what is too old or refused, and tells the lifecycle.

        Returns whether there was any.
        """
        has_outcomes = False
        for name, channel in self.channels.items():
            waiting, outcomes = [], []
            for message in channel.queue:
                is_dead = channel.mode == "refuses" or self.now >= message.at + GIVE_UP_AFTER
                if channel.mode == "hangs" and not is_dead:
                    waiting.append(message)
                    continue
                if name == "phone":
                    self.phone.show(message, arrives=not is_dead)
                if is_dead:
                    self.ledger.lose(message)
                else:
                    channel.last_success = self.now
                state: Literal["delivered", "dead"] = "dead" if is_dead else "delivered"
                outcomes.append(Outcome(name, message.at, message.fingerprints, state, self.now))
            channel.queue = waiting
            has_outcomes = has_outcomes or bool(outcomes)
            self.states = settle(self.states, outcomes, self.now)
        configured = tuple(replace(c, last_success=self.channels[c.name].last_success) for c in self.policy.channels)
        self.policy = replace(self.policy, channels=configured)
        return has_outcomes

    # --- us ----------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.states = {key: load(AlertState, dump(state)) for key, state in self.states.items()}

    @rule(
        matcher=st.sampled_from([*(("profile", id) for id in IDS), ("agent", "work"), ("provider", "anthropic")]),
        length=st.sampled_from([5 * MINUTE, 3 * HOUR]),
    )
    def is_silenced(self, matcher: tuple[str, str], length: float) -> None:
        silence = Silence(str(self.now), dict([matcher]), self.now + length)
        self.policy = replace(self.policy, silences=(*self.policy.silences, silence))
        self.step()

    @rule(steps=st.sampled_from([STEPS, STEPS[1:], (*STEPS[:2], HOUR)]))
    def thresholds_are_edited(self, steps: tuple[float, ...]) -> None:
        self.policy = replace(self.policy, remind_before=steps)
        self.step()

    @rule(provider=st.sampled_from(["anthropic", "openai"]), seen_after=st.sampled_from([0.0, 20 * MINUTE]))
    def goes_down_and_is_acknowledged(self, provider: str, seen_after: float) -> None:
        for id in (id for id in IDS if id.startswith(provider)):
            self.breaks("main", id, "auth", all_heirs=True)
        self.live_until(self.now + seen_after)
        self.is_acknowledged(7 * HOUR)

    @rule(then=st.sampled_from([0.0, 20 * MINUTE, 7 * HOUR]))
    def is_acknowledged(self, then: float) -> None:
        acknowledged = {state.fingerprint: self.now for state in self.states.values()}
        self.policy = replace(self.policy, acknowledged={**self.policy.acknowledged, **acknowledged})
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
        self.ledger.set_clock_back(self.now)
        self.check()

    # --- checking and notifying --------------------------------------------------------------

    def report(self) -> Report:
        seen = {agent: () if agent in self.forgotten else profiles for agent, profiles in self.seen.items()}
        world = World(seen, failing=self.failing, unlisted=self.unlisted)
        return Report(self.now, (world.report(self.now),))

    def check(self) -> None:
        if self.unlisted is not None:
            self.unlisted = self.now
        else:
            self.failing = dict.fromkeys((agent for agent in self.failing if agent in self.stores), self.now)
            self.seen = {
                agent: self.seen.get(agent, ()) if agent in self.failing else self.profiles(agent)
                for agent in self.stores
            }
        self.step()

    def step(self) -> None:
        for _ in range(20):
            if not self.evaluate():
                return
            # As the notifier does: what was delivered or lost may be news.
        raise AssertionError("what was sent makes more to be sent, without end")

    def blind(self) -> set[str]:
        """The agents that cannot be checked."""
        return set(self.failing) if self.unlisted is None else {*AGENTS, "*"}

    def evaluate(self) -> bool:
        """Evaluates once and delivers. Returns whether something was delivered or lost."""
        report, before = self.report(), self.states
        self.ledger.observe(report, self.policy, self.now)
        self.states, messages = advance(before, report, self.policy, self.now)
        for key, state in before.items():
            if state.firing and state.confirmed and set(state.agents) <= self.blind() and key in self.states:
                assert self.states[key].firing, "a failed check resolves nothing"
        believe(messages, report, self.policy, self.ledger)
        assert not doubts(messages, before, report, self.policy)
        for message in messages:
            self.channels[message.channel].queue.append(message)
        return self.deliver()

    def live_until(self, end: float) -> None:
        """Does as the daemon does: checks every five minutes at first, and whenever time alone changes something."""
        checks = 0
        while self.now < end:
            ends = [p.ends for profiles in self.seen.values() for p in profiles if p.ends is not None]
            event = next_event(self.states, self.report(), self.policy, self.now)
            times = [event, *ends, *(at - DAY + 0.001 for at in ends)]
            ahead = min([at for at in times if at is not None and at > self.now] + [end])
            if checks < 4 and ahead > self.now + 5 * MINUTE:
                checks, ahead = checks + 1, min(self.now + 5 * MINUTE, end)
            self.now = ahead
            if checks < 4 or ahead == end:
                self.check()
            else:
                self.step()

    # --- what must be so -----------------------------------------------------------------------

    @invariant()
    def the_same_moment_twice_sends_nothing(self) -> None:
        if hasattr(self, "now"):
            states, messages = advance(self.states, self.report(), self.policy, self.now)
            dead = [channel.mode == "refuses" for channel in self.channels.values()]
            assert any(dead) or (states, messages) == (self.states, ())

    @precondition(lambda self: hasattr(self, "now"))
    @rule()
    def a_lasting_state_is_notified_on_every_channel(self) -> None:
        """After a day without changes every channel knows the truth, and nothing but the truth."""
        self.policy = replace(self.policy, silences=(), acknowledged={})
        self.channels_work_again()
        for _ in range(2):
            self.now += 5 * MINUTE
            self.check()
        self.live_until(self.now + DAY + HOUR)
        phone = CHANNELS[2].quiet
        while phone is not None and phone.is_active(self.now):
            self.live_until(self.now + HOUR)
        self.live_until(self.now + MINUTE)
        firing = {state.fingerprint: state for state in self.states.values() if state.firing and state.confirmed}
        # What no agent can be checked for is neither over nor, if the agents that had it for certain left, confirmed.
        unknown = {s.fingerprint for s in self.states.values() if s.firing and set(s.agents) <= self.blind()}
        outages = {s.subject.provider for s in firing.values() if s.condition is ConditionName.NO_USABLE_PROFILE}
        wanted = [state for state in firing.values() if not state.inhibited and not state.dormant]
        for agent, condition in self.truth():
            assert any(_covers(state, agent, condition) for state in wanted), f"nothing says {condition} of {agent}"
        for channel in CHANNELS:
            notified = {name: t.alert for (where, name), t in self.ledger.notified.items() if where == channel.name}
            # The end of what an outage inhibits waits for the outage's: one cause has one end.
            waiting = {
                s.fingerprint
                for s in self.states.values()
                if s.inhibited and not s.firing and s.subject.provider in outages
            }
            # So does what was said of an agent that has left with a credential of its own: it is part of the outage.
            waiting |= {f"origin of {s.forked_from}" for s in firing.values() if s.inhibited and s.forked_from}
            assert set(notified) <= set(firing) | waiting | unknown, (
                f"{channel.name} was not notified of the resolution"
            )
            for state in wanted:
                # What a fork goes on with was sent by the alert that its agent left.
                reason = NotificationReason.FIRST if state.forked_from is None else NotificationReason.REPEAT
                last = self.ledger.of_alert(channel.name, alert_of(state, reason, self.now))
                if last is not None and (last.alert.profile or "") != state.subject.profile:
                    last = None  # an outage that the agent was part of, and that goes on without it
                if not channel.accepts(state.severity) and last is None:
                    continue
                if state.acknowledged_step is not None and state.severity is Severity.INFO:
                    continue  # a person has just renewed it to a near date: silent until the next step
                if channel.step and self.now < state.worsened_at + ESCALATE_AFTER and last is None:
                    continue  # it has not escalated yet
                assert last is not None, f"{channel.name} was not notified of {state.condition}"
                # The channel knows that it eased; of what is that mild it is sent no more than the end.
                is_mild = not channel.accepts(state.severity) and not channel.accepts(last.alert.severity)
                names = {state.fingerprint, last.alert.fingerprint}
                is_shown = not self.phone.shown.isdisjoint(names) or (
                    is_mild and not self.phone.taken.isdisjoint(names)
                )
                assert is_shown or channel.name != "phone", f"the phone does not show {state.condition}"
                if is_mild:
                    continue
                assert (last.alert.condition, last.alert.severity) == (state.condition, state.severity), channel.name
        still = {state.fingerprint for state in firing.values() if not state.inhibited} | unknown
        assert self.phone.shown <= still, "the phone shows what does not hold"

    def truth(self) -> list[tuple[str, Condition]]:
        """What holds at each agent: without inhibited conditions, with deadlines within the first step."""
        found = []
        target = self.report().targets[0]
        for agent in target.entries:
            down = {c.provider for c in agent.conditions if c.name is ConditionName.NO_USABLE_PROFILE}
            for condition in agent.conditions:
                is_inhibited = condition.provider in down and condition.name.definition.causes_outage
                if not is_inhibited and condition.name is not ConditionName.UNDATED:
                    found.append((agent.agent, condition))
            found += [(agent.agent, condition) for condition in self.reminders(agent)]
        return found

    def reminders(self, agent: AgentReport) -> list[Condition]:
        return [
            Condition(ConditionName.EXPIRING, Severity.INFO, p.provider, p.id, deadline=p.expires_at)
            for p in agent.profiles
            if p.expires_at is not None and self.now + DAY < p.expires_at < self.now + self.policy.remind_before[0]
        ]


def _covers(state: AlertState, agent: str, condition: Condition) -> bool:
    """Whether the state is of this trouble at this agent, and no milder."""
    subject = (state.subject.provider, state.subject.profile, state.family)
    return (
        subject == (condition.provider or "", condition.profile or "", condition.family)
        and agent in state.facts
        and state.severity.rank >= condition.severity.rank
    )


# HYPOTHESIS_PROFILE=thorough asks for 5,000.
Histories.TestCase.settings = settings(
    max_examples=5000 if settings().max_examples > 40 else 40, stateful_step_count=30, deadline=None
)
TestHistories = Histories.TestCase
