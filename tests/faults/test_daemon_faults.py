"""The daemon never shows OK while it fails itself: each of its steps around a check raises, or hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from fakes import Fakes, FakeSource, config, token
from waiting import LoopClock, until

from exporter.checks import target_checker
from exporter.config import Config
from exporter.daemon import exposition_cache, jobs, pulse, store_watch
from exporter.daemon import scheduler as module
from exporter.daemon.alerting import Alerting
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.daemon.ledger_watch import LedgerWatch
from exporter.daemon.overdue import WATCH_EVERY
from exporter.daemon.scheduler import Daemon
from exporter.metrics.render import Exposition, render_target
from exporter.model import CheckError, FailureReason
from exporter.present import to_line
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.daemon_api import OutdatedError

DAY = 86400.0
SECRET = "PLANTED-SECRET"


class Running:
    """A daemon that watches ``home`` and ``vps``. Only a test makes it check again after the first checks."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        made = config("home", "vps", interval="1h")
        self.daemon = Daemon(made, CredentialDatabase(None), lambda: made, time.time, self.fakes)
        for source in self.fakes.sources.values():
            source.profiles = (token(time.time() + 30 * DAY),)

    async def check(self) -> None:
        await self.daemon.check_now("home")

    def beat(self, seconds: float = WATCH_EVERY) -> None:
        """Let the daemon find that ``seconds`` have passed."""
        self.daemon._beat(time.time(), seconds, seconds)

    def metrics(self) -> str | None:
        """None if the scrape fails."""
        try:
            return self.daemon.exposition("", "")[0].decode()
        except OutdatedError:
            return None

    def signs(self, target: str) -> list[bool]:
        """Whether the status and the metrics say that all is well with a target."""
        (report,) = [found for found in self.daemon.report().targets if found.target == target]
        samples = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in (self.metrics() or "").splitlines()}
        exported = [
            value == "1.0"
            for name, value in samples.items()
            if name.startswith("openclaw_auth_check_success") and f'target="{target}"' in name
        ]
        return [report.exit_code == 0, bool(exported) and all(exported)]

    def is_ok(self, target: str = "home") -> bool:
        return all(self.signs(target))

    def is_nothing_ok(self, target: str = "home") -> bool:
        return not any(self.signs(target)) and to_line(self.daemon.report()) != "OK"

    def reasons(self, target: str = "home") -> set[str | None]:
        (report,) = [found for found in self.daemon.report().targets if found.target == target]
        return {entry.failure.reason.value if entry.failure else None for entry in report.entries}

    @property
    def heartbeat_problem(self) -> str | None:
        return self.daemon.problem()


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    world = Running()
    await world.daemon.start()
    try:
        await until(lambda: world.is_ok("home") and world.is_ok("vps") and world.heartbeat_problem is None)
        yield world
    finally:
        await world.daemon.stop()


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def cancelling(*_: object) -> Any:
    raise asyncio.CancelledError


class HangingThread:
    """Stands for something that blocks its thread until the test lets it go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Event()

    def __call__(self, *_: object) -> Any:
        self.began.set()
        self.go_on.wait(30)
        raise OSError("let go")


def exported(*reports: str) -> Callable[..., Any]:
    """The rendering of the reports of these targets fails."""

    def render(report: Any, counters: Any) -> Any:
        if report.target in reports:
            raise RuntimeError(SECRET)
        return render_target(report, counters)

    return render


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


# --- checks that do not come -------------------------------------------------------------------------


def _is_overdue(world: Running) -> None:
    world.daemon._monitor.checkers["home"].completed_check_started_at = 0.0


async def test_target_whose_job_was_lost_is_stale_until_its_job_is_added_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as world:
        _is_overdue(world)
        with monkeypatch.context() as patch:
            patch.setattr(world.daemon._jobs._scheduler, "add_job", lambda *_, **__: None)
            world.daemon._jobs._scheduler.remove_job("check:home")
            for _ in range(15):  # 225 s: the check may still come
                world.beat()
            assert world.is_ok()
            for _ in range(20):
                world.beat()
            await until(world.is_nothing_ok)
            assert world.reasons() == {"stale"}
            assert "UNKNOWN" in to_line(world.daemon.report())
            assert world.is_ok("vps")
            assert "a check has been due for" in str(world.heartbeat_problem)
            assert 'check_failures_total{agent="main",reason="stale",target="home"} 1.0' in (world.metrics() or "")
        world.beat()
        await until(world.is_ok)
        assert world.heartbeat_problem is None
    assert "its job was lost" in caplog.text


async def test_evaluation_that_became_due_during_the_last_one_is_not_lost() -> None:
    async with running() as world:
        scheduler = world.daemon._jobs._scheduler
        scheduler.remove_job("evaluate:home")  # as APScheduler does with a run that it skips
        now = datetime.now(UTC)
        world.daemon._jobs._ended(JobExecutionEvent(EVENT_JOB_EXECUTED, "evaluate:home", "default", now))
        assert scheduler.get_job("evaluate:home") is not None


async def test_stale_target_is_reported_again_so_that_alerting_sees_it_more_than_once() -> None:
    async with running() as world:
        world.fakes["home"].gate.clear()
        checking = asyncio.create_task(world.check())
        await until(lambda: len(world.fakes["home"].checks) == 2)
        _is_overdue(world)
        times = set()
        for _ in range(60):
            world.beat()
            for _ in range(5):  # let the evaluation run
                await asyncio.sleep(0)
            times |= {
                entry.failure.at
                for target in world.daemon.report().targets
                for entry in target.entries
                if entry.failure is not None
            }
        assert len(times) > 3
        world.fakes["home"].gate.set()
        await checking
        await until(world.is_ok)


async def test_check_that_hangs_is_ended_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as world:
        clock, home = LoopClock(monkeypatch), world.fakes["home"]
        home.gate.clear()
        checking = asyncio.create_task(world.check())
        await until(lambda: home.running)
        clock.advance(151.0)
        await checking
        assert world.reasons() == {"timeout"}
        assert world.is_nothing_ok()
        assert home.running == 0
        home.gate.set()
        await world.check()
        assert world.is_ok()


async def test_host_that_was_asleep_gives_the_due_checks_their_chance_first() -> None:
    async with running() as world:
        _is_overdue(world)
        world.daemon._beat(time.time(), 8 * 3600.0, 1.0)  # the clock of the process did not run
        world.beat(8 * 3600.0)  # or it did, and the process was stopped
        await world.daemon._evaluate("home")
        assert world.is_ok()


async def test_target_without_schedule_is_never_stale() -> None:
    made = Config.model_validate({"targets": [{"name": "home", "schedule": False}]})
    fakes = Fakes()
    daemon = Daemon(made, CredentialDatabase(None), lambda: made, time.time, fakes)
    await daemon.start()
    try:
        for _ in range(100):
            daemon._beat(time.time(), WATCH_EVERY, WATCH_EVERY)
        assert daemon.report().targets == ()
        assert daemon.problem() is None
    finally:
        await daemon.stop()


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
