"""The daemon never shows OK while it fails itself: each of its steps around a check raises, or hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fakes import FakeSource, config, token
from waiting import LoopClock, until

from exporter.checks import target_checker
from exporter.daemon import exposition_cache, jobs, pulse, store_watch
from exporter.daemon import scheduler as module
from exporter.daemon.alerting import Alerting
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.daemon.ledger_watch import LedgerWatch
from exporter.metrics.render import Exposition
from exporter.model import CheckError, FailureReason
from exporter.state.credentials_db import CredentialDatabase

from .watched import DAY, SECRET, HangingThread, cancelling, exported, raising, running


@pytest.mark.parametrize(
    "place",
    [
        (FakeSource, "agents"),
        (FakeSource, "check"),
        (FakeSource, "programs"),
        (FakeSource, "slot"),
        (target_checker, "record_observation"),
        (target_checker, "evaluate"),
        (target_checker, "record_report"),
        (CredentialDatabase, "record"),
    ],
    ids=lambda place: str(place[1]),
)
async def test_step_that_raises_is_never_ok_fails_the_heartbeat_and_heals(
    place: tuple[object, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as world:
        for source in world.fakes.sources.values():  # what says the same as before takes none of the steps
            source.profiles = (token(time.time() + 20 * DAY),)
        with monkeypatch.context() as patch:
            patch.setattr(*place, raising)
            await world.check()
            assert world.is_nothing_ok()
            assert world.heartbeat_problem is not None
            world.beat()
            assert world.is_nothing_ok()
        await world.check()
        await until(world.is_ok)
        assert world.heartbeat_problem is None
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ((Alerting, "notify"), raising),
        ((Alerting, "notify"), cancelling),
        ((ExpositionCache, "log_changes"), raising),
        ((jobs, "next_check"), raising),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else value.__name__,
)
async def test_step_after_the_report_fails_the_heartbeat_and_the_report_is_still_exported(
    place: tuple[object, str], fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as world:
        world.fakes["home"].profiles = (token(time.time() - DAY),)
        with monkeypatch.context() as patch:
            patch.setattr(*place, fault)
            await world.check()
            assert world.daemon.report().exit_code == 1
            assert 'status="expired",target="home"} 1.0' in (world.metrics() or "")
            assert world.heartbeat_problem is not None
        world.fakes["home"].profiles = (token(time.time() + DAY * 30),)
        await world.check()
        assert world.is_ok()
        assert world.heartbeat_problem is None


async def test_notifying_that_hangs_fails_the_heartbeat_and_the_report_is_still_exported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as world:
        clock, began = LoopClock(monkeypatch), asyncio.Event()

        async def hang(*_: object) -> None:
            began.set()
            await asyncio.Event().wait()

        world.fakes["home"].profiles = (token(time.time() - DAY),)
        with monkeypatch.context() as patch:
            patch.setattr(Alerting, "notify", hang)
            checking = asyncio.create_task(world.check())
            await began.wait()
            clock.advance(31.0)
            await checking
        await until(lambda: 'status="expired",target="home"} 1.0' in (world.metrics() or ""))
        assert world.heartbeat_problem == "Internal error while notifying (TimeoutError)"


async def test_target_that_cannot_be_reached_does_not_fail_the_heartbeat() -> None:
    async with running() as world:
        world.fakes["home"].error = CheckError(FailureReason.CONNECTION, "the gateway reboots")
        await world.check()
        assert world.is_nothing_ok()
        assert world.heartbeat_problem is None


async def test_report_that_cannot_be_rendered_is_a_failed_check_of_that_target_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as world:
        with monkeypatch.context() as patch:
            patch.setattr(exposition_cache, "render_target", exported("home"))
            await world.check()
            assert world.is_ok("vps")
            assert not world.is_ok()
            assert world.heartbeat_problem is not None
            assert 'openclaw_auth_conditions{agent="*",condition="check_failed"' in (world.metrics() or "")
        world.beat()  # rendered again without a new check
        await until(world.is_ok)


async def test_rendering_that_hangs_fails_scrapes_until_it_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as world:
        clock, hang = LoopClock(monkeypatch), HangingThread()
        with monkeypatch.context() as patch:
            patch.setattr(Exposition, "compose", hang)
            checking = asyncio.create_task(world.check())
            await until(hang.began.is_set)
            clock.advance(31.0)
            await checking
            assert world.metrics() is None
            assert world.heartbeat_problem is not None
            hang.go_on.set()
        world.daemon._exposition._compose_at = 0.0
        await world.check()
        await until(world.is_ok)


# --- fingerprints ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError(SECRET), MemoryError(), asyncio.CancelledError()])
async def test_fingerprint_that_raises_is_unknown_and_checks_go_on_at_their_interval(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_watch, "SETTLE", 0.0)
    async with running() as world:
        home, stores = world.fakes["home"], world.daemon._stores

        def fails() -> Any:
            raise error

        home.print = "one"
        await world.check()
        assert stores.is_comparable("home")
        with monkeypatch.context() as patch:
            patch.setattr(home, "fingerprint", fails)
            await world.daemon._compare_stores()
            assert not stores.is_comparable("home")
            checks = len(home.checks)
            await world.check()
            assert len(home.checks) == checks + 1
            assert world.is_ok()  # the check itself was good
        await world.daemon._compare_stores()  # a good one is known again, but not what the check has read
        assert not stores.is_comparable("home")
        assert stores.changed_at("home") is None
        home.print = "two"
        await world.daemon._compare_stores()
        assert stores.changed_at("home") is not None
        await world.check()
        assert stores.is_comparable("home")
    assert SECRET not in caplog.text
    assert caplog.text.count("the store cannot be compared") == 1


async def test_fingerprint_that_hangs_delays_neither_its_check_nor_other_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_watch, "SETTLE", 0.0)
    async with running() as world:
        hang, stores = HangingThread(), world.daemon._stores
        for name in ("home", "vps"):
            world.fakes[name].print = "one"
            await world.daemon.check_now(name)
        clock = LoopClock(monkeypatch)
        monkeypatch.setattr(world.fakes["home"], "fingerprint", hang)
        world.fakes["vps"].print = "two"
        comparing = asyncio.create_task(world.daemon._compare_stores())
        await until(lambda: stores.changed_at("vps") is not None)
        assert not comparing.done()
        clock.advance(1.5)
        await comparing
        assert not stores.is_comparable("home")
        for _ in range(3):  # at once, and without another thread
            await world.daemon._compare_stores()
            await world.check()
        assert [thread.name for thread in threading.enumerate()].count("store of home") == 1
        assert world.is_ok()
        hang.go_on.set()


async def test_temporary_trouble_with_a_fingerprint_changes_nothing() -> None:
    async with running() as world:
        home, stores = world.fakes["home"], world.daemon._stores
        home.print = "one"
        await world.check()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(home, "fingerprint", raising)
            await world.daemon._compare_stores()
        await world.daemon._compare_stores()
        assert stores.is_comparable("home")
        assert stores.changed_at("home") is None


async def test_pulse_that_fails_makes_the_daemon_unhealthy_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PULSE", 0.01)
    async with running() as world:
        with monkeypatch.context() as patch:
            patch.setattr(Alerting, "poll_outbox", raising)
            await until(lambda: world.heartbeat_problem is not None)
        await until(lambda: world.heartbeat_problem is None)


async def test_reload_that_fails_keeps_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as world:
        made = config("home", "vps", "new", interval="1h")
        monkeypatch.setattr(world.daemon._configuration, "_reread", lambda: made)
        with monkeypatch.context() as patch:
            patch.setattr(world.daemon._monitor, "_make", raising)
            assert await world.daemon.reload() == "Internal error while reloading (RuntimeError)"
        assert [target.target for target in world.daemon.report().targets] == ["home", "vps"]
        assert "config_last_reload_successful 0.0" in (world.metrics() or "")
        assert await world.daemon.reload() is None
        assert [target.target for target in world.daemon.report().targets] == ["home", "vps", "new"]


@pytest.mark.parametrize("fault", [raising, cancelling])
async def test_ledger_that_cannot_be_synchronized_fails_the_heartbeat_until_it_can(
    fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 0.01)
    async with running() as world:
        with monkeypatch.context() as patch:
            patch.setattr(LedgerWatch, "sync", fault)
            await until(lambda: "saving what was checked" in str(world.heartbeat_problem))
        await until(lambda: world.heartbeat_problem is None)


async def test_ledger_that_hangs_fails_the_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 0.01)
    async with running() as world:
        clock, began = LoopClock(monkeypatch), asyncio.Event()

        async def hang(*_: object) -> None:
            began.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(LedgerWatch, "sync", hang)
            await began.wait()
            clock.advance(61.0)
            await until(lambda: "saving what was checked (TimeoutError)" in str(world.heartbeat_problem))
