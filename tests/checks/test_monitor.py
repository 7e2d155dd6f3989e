"""The monitor checks and evaluates targets; a failing target never affects another."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from fakes import Fakes, config, token
from reports import agent, profile

from exporter.checks.monitor import Monitor
from exporter.config import Config
from exporter.model import CheckError, FailureReason
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import CredentialHistory

NOW = 1_795_346_770.0
DAY = 86400.0


class World:
    """A monitor over fake sources, with a clock that a test moves."""

    def __init__(self, *names: str, state: Path | None = None) -> None:
        self.now = NOW
        self.fakes = Fakes()
        self.ledger = CredentialDatabase(state, lambda: self.now)
        self.monitor = Monitor(config(*names), self.ledger, lambda: self.now, self.fakes)
        for name in names:
            self.fakes[name].profiles = (token(NOW + 30 * DAY),)


async def test_failing_target_does_not_affect_the_others() -> None:
    world = World("good", "failing", "buggy")
    world.fakes["failing"].error = CheckError(FailureReason.TIMEOUT, "no answer")
    world.fakes["buggy"].error = RuntimeError("PLANTED-SECRET")
    report = await world.monitor.check()
    assert [target.exit_code for target in report.targets] == [0, 1, 1]
    reasons = [target.agents[0].failure and target.agents[0].failure.reason for target in report.targets]
    assert reasons == [None, FailureReason.TIMEOUT, FailureReason.OTHER]
    assert "PLANTED-SECRET" not in repr(report)


async def test_internal_error_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    world = World("buggy")
    world.fakes["buggy"].error = RuntimeError("PLANTED-SECRET")
    await world.monitor.check()
    assert "RuntimeError" in caplog.text
    assert "PLANTED-SECRET" not in caplog.text


async def test_concurrent_callers_share_one_check() -> None:
    world = World("home")
    source = world.fakes["home"]
    source.gate.clear()
    first = asyncio.create_task(world.monitor.check())
    second = asyncio.create_task(world.monitor.check())
    await asyncio.sleep(0.01)
    source.gate.set()
    assert (await first).targets == (await second).targets
    assert source.checks == ["main"]


async def test_caller_that_stops_waiting_does_not_cancel_the_check() -> None:
    world = World("home")
    source = world.fakes["home"]
    source.gate.clear()
    first = asyncio.create_task(world.monitor.check())
    second = asyncio.create_task(world.monitor.check())
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    source.gate.set()
    assert (await second).exit_code == 0


async def test_closing_cancels_the_check_under_way() -> None:
    world = World("home")
    source = world.fakes["home"]
    source.gate.clear()
    waiting = asyncio.create_task(world.monitor.check())
    await asyncio.sleep(0.01)
    await world.monitor.aclose()
    assert (source.running, source.closed) == (0, True)
    await asyncio.gather(waiting, return_exceptions=True)


async def test_known_facts_stay_when_a_check_fails(tmp_path: Path) -> None:
    world = World("home", state=tmp_path)
    await world.monitor.check()
    world.now += 60
    world.fakes["home"].error = CheckError(FailureReason.CONNECTION, "refused")
    (agent,) = (await world.monitor.check()).targets[0].agents
    assert (agent.checked_at, len(agent.profiles), agent.exit_code) == (NOW, 1, 1)
    # … and after a restart
    world.ledger.save()
    again = World("home", state=tmp_path)
    again.now = world.now + 60
    again.fakes["home"].error = CheckError(FailureReason.CONNECTION, "refused")
    (agent,) = (await again.monitor.check()).targets[0].agents
    assert (agent.checked_at, len(agent.profiles)) == (NOW, 1)


async def test_agents_that_cannot_be_listed_are_one_entry_beside_the_known_agents(tmp_path: Path) -> None:
    world = World("home", state=tmp_path)
    world.fakes["home"].listing_error = CheckError(FailureReason.COMMAND_NOT_FOUND, "there is no openclaw")
    (target,) = (await world.monitor.check()).targets
    assert [(a.agent, a.exit_code) for a in target.entries] == [("*", 1)]
    world.fakes["home"].listing_error = None
    await world.monitor.check()
    world.ledger.save()
    again = World("home", state=tmp_path)
    again.fakes["home"].listing_error = CheckError(FailureReason.COMMAND_NOT_FOUND, "there is no openclaw")
    (target,) = (await again.monitor.check()).targets
    assert [(a.agent, a.exit_code) for a in target.entries] == [("main", 1), ("*", 1)]  # main was not checked either


async def test_removed_agent_is_forgotten(tmp_path: Path) -> None:
    world = World("home", state=tmp_path)
    world.fakes["home"].agent_ids = ["main", "work"]
    await world.monitor.check()
    assert world.ledger.agents("home") == ["main", "work"]
    world.fakes["home"].agent_ids = ["main"]
    (target,) = (await world.monitor.check()).targets
    assert [agent.agent for agent in target.agents] == ["main"]
    assert world.ledger.agents("home") == ["main"]


async def test_checks_failures_and_unusable_time_are_counted() -> None:
    world = World("home")
    source = world.fakes["home"]
    checker = world.monitor.checkers["home"]
    source.profiles = (token(NOW - 1),)
    await world.monitor.check()
    world.now += 100
    source.error = CheckError(FailureReason.TIMEOUT, "no answer")
    await world.monitor.check()
    world.now += 50
    source.error, source.profiles = None, (token(NOW + DAY * 30),)
    await world.monitor.check()
    world.now += 1000
    await checker.evaluate(world.monitor.config.policy)
    counters = checker.counters["main"]
    assert (counters.checks, dict(counters.failures)) == (3, {FailureReason.TIMEOUT: 1})
    assert counters.unusable_seconds == {"anthropic": 150.0}


async def test_change_of_kind_is_reported_by_the_check_that_finds_it() -> None:
    world = World("home")
    await world.monitor.check()
    key = token(None)
    world.fakes["home"].profiles = (type(key)("anthropic:api", "anthropic", "api_key", "static"),)
    report = await world.monitor.check()
    assert "credential_changed" in {c.name for c in report.targets[0].agents[0].conditions}


async def test_reconfigured_target_starts_again_and_the_others_keep_their_facts() -> None:
    world = World("a", "b")
    await world.monitor.check()
    kept = world.monitor.checkers["a"]
    changed = config("a", "b", "c")
    changed = changed.model_copy(
        update={
            "targets": [changed.targets[0], changed.targets[1].model_copy(update={"timeout": 5.0}), changed.targets[2]]
        }
    )
    (unused,) = world.monitor.configure(changed)
    assert unused.name == "b"
    assert world.monitor.checkers["a"] is kept
    assert [checker.report is None for checker in world.monitor.checkers.values()] == [False, True, True]


def test_reminders_have_the_commands_of_the_target_and_policy() -> None:
    targets = [{"name": "vps", "source": "openclaw", "ssh": "me@vps"}]
    configured = Config.model_validate({"targets": targets, "policy": {"setup_token_lifetime": "90d"}})
    monitor = Monitor(configured, CredentialDatabase(None))
    _, paste = monitor.renewal_steps(agent(target="vps"), profile())
    assert paste.text.startswith("ssh -t me@vps openclaw models auth paste-token ")
    assert paste.text.endswith(" --expires-in 90d --agent main")
    assert monitor.renewal_steps(agent(target="gone"), profile()) == ()


def test_replaced_time_is_used_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert Monitor(config("home"), CredentialDatabase(None), make=Fakes()).report().checked_at == 5.0


async def test_counters_of_expected_agents_start_at_0() -> None:
    targets = [
        {"name": "named", "agents": ["main", "work"]},
        {"name": "all"},
        {"name": "laptop", "source": "claude"},
    ]
    ledger = CredentialDatabase(None)
    ledger.record("all", "known", CredentialHistory(), None)
    checkers = Monitor(Config.model_validate({"targets": targets}), ledger).checkers
    recorded = ledger.agents_by_target()
    assert {name: sorted(c.expected_counters(recorded.get(name, ()))) for name, c in checkers.items()} == {
        "named": ["*", "main", "work"],
        "all": ["*", "known"],
        "laptop": ["*", "claude-code"],
    }


async def test_pause_that_the_target_asked_for_is_kept_until_the_next_check() -> None:
    world = World("home")
    world.fakes["home"].error = CheckError(FailureReason.HTTP_ERROR, "slow down", retry_after=7.0)
    await world.monitor.check()
    checker = world.monitor.checkers["home"]
    assert checker.retry_after == 7.0
    world.fakes["home"].error = None
    world.fakes["home"].listing_error = CheckError(FailureReason.HTTP_ERROR, "slow down", retry_after=9.0)
    await world.monitor.check()
    assert checker.retry_after == 9.0
    world.fakes["home"].listing_error = CheckError(FailureReason.CONNECTION, "refused")
    await world.monitor.check()
    assert checker.retry_after is None


async def test_check_that_changes_nothing_is_not_recorded_again(tmp_path: Path) -> None:
    world = World("home", state=tmp_path)
    await world.monitor.check()
    world.ledger.save()
    await world.monitor.checkers["home"].evaluate(world.monitor.config.policy)
    assert world.ledger._unsaved == {}
