"""A check that finds what the one before it found costs little, and nothing is lost by it."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import Fakes, config, token

from exporter.checks import target_checker
from exporter.checks.agent_facts import RECORD_EVERY
from exporter.checks.monitor import Monitor
from exporter.metrics.render import render_target
from exporter.model import AgentReport, CheckError, ConditionName, FailureReason, TargetReport
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import SuppliedDate

NOW = 1_795_346_770.0
DAY = 86400.0


class World:
    """One target; ``evaluations`` and ``records`` count what was done for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.fakes = Fakes()
        self.ledger = CredentialDatabase(None, lambda: self.now)
        self.monitor = Monitor(config("home"), self.ledger, lambda: self.now, self.fakes)
        self.checker, self.source = self.monitor.checkers["home"], self.fakes["home"]
        self.source.profiles = (token(NOW + 30 * DAY),)
        self.evaluations = self.records = 0
        evaluate, record = vars(target_checker)["evaluate"], self.ledger.record

        def counted(*args: Any) -> Any:
            self.evaluations += 1
            return evaluate(*args)

        def recorded(*args: Any) -> None:
            self.records += 1
            record(*args)

        monkeypatch.setattr(target_checker, "evaluate", counted)
        monkeypatch.setattr(self.ledger, "record", recorded)

    async def check(self, after: float = 60.0) -> AgentReport:
        self.now += after
        return (await self.checker.check(self.monitor.config.policy)).agents[0]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_unchanged_facts_are_neither_evaluated_nor_recorded_again(world: World) -> None:
    first = await world.check()
    again = await world.check()
    assert (world.evaluations, world.records) == (1, 1)
    assert (again.checked_at, again.evaluated_at) == (world.now, world.now)
    assert (
        again._replace(checked_at=first.checked_at, evaluated_at=first.evaluated_at, duration=first.duration) == first
    )
    assert world.checker.counters["main"].checks == 2


async def test_unchanged_facts_are_recorded_now_and_then(world: World) -> None:
    for _ in range(int(RECORD_EVERY / 60) + 1):
        await world.check()
    assert world.records == 2
    _, seen = world.ledger.recorded("home", "main")
    assert seen is not None
    assert seen.observed_at == world.now


@pytest.mark.parametrize("change", ["profile", "policy", "date", "deadline", "failure", "clock"])
async def test_whatever_could_change_the_verdict_is_evaluated(world: World, change: str) -> None:
    await world.check()
    await world.check()
    before, policy = world.evaluations, world.monitor.config.policy
    match change:
        case "profile":
            world.source.profiles = (token(NOW + 30 * DAY, last_used_at=world.now),)
        case "policy":
            policy = policy.model_copy()
        case "date":
            world.checker.take_supplied_dates({"anthropic:default": SuppliedDate(NOW, None, NOW + DAY)})
        case "deadline":
            world.now = NOW + 29 * DAY
        case "failure":
            world.source.error = CheckError(FailureReason.TIMEOUT, "too slow")
        case "clock":
            world.now = NOW - DAY
    world.now += 60
    await world.checker.check(policy)
    assert world.evaluations > before


async def test_profile_that_vanishes_was_last_seen_at_the_last_check(world: World) -> None:
    for _ in range(5):
        await world.check()
    last = world.now
    world.source.profiles = ()
    report = await world.check()
    (vanished,) = [c for c in report.conditions if c.name is ConditionName.VANISHED]
    assert "was last seen at 2026-11-22T11:31:10Z" in vanished.summary
    assert last == 1_795_347_070.0


async def test_failure_after_unchanged_checks_knows_the_last_good_one(world: World) -> None:
    for _ in range(3):
        await world.check()
    last = world.now
    world.source.error = CheckError(FailureReason.TIMEOUT, "too slow")
    assert (await world.check()).checked_at == last
    world.source.error = None
    assert (await world.check()).failure is None


async def test_what_is_rendered_of_an_unchanged_report_is_what_a_new_rendering_has(world: World) -> None:
    def of(agent: AgentReport) -> TargetReport:
        return TargetReport("home", "openclaw", (agent,))

    first = await world.check()
    fragment = render_target(of(first), world.checker.counters)
    again = await world.check()
    rendered = render_target(of(again), world.checker.counters, (of(first), fragment))
    assert rendered == render_target(of(again), world.checker.counters) != fragment
    values: dict[str, Any] = {"exit_code": 1, "profiles": (), "openclaw_exit_code": 2, "openclaw_version": "1"}
    values |= {"providers_usable": {"x": False}, "unusable_counts": {"x": 2}, "conditions": ()}
    for name in (name for name in AgentReport._fields if name in values):
        changed = again._replace(**{name: values[name]})
        assert render_target(of(changed), {}, (of(first), fragment)) == render_target(of(changed), {}), name
