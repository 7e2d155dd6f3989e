"""The daemon is started, reloaded, asked and stopped in any order, at once or one after another: nothing is left."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fakes import Fakes, FakeSource, config, token
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from waiting import until

from exporter.config import Config, ConfigError
from exporter.config.targets import TargetBase
from exporter.daemon import serve
from exporter.daemon.heartbeat import HeartbeatSender
from exporter.daemon.ledger_watch import LedgerWatch
from exporter.daemon.reloading import Reloader
from exporter.daemon.scheduler import Daemon
from exporter.sources import SourceContext
from exporter.state.credentials_db import CredentialDatabase

#: Where nothing listens: discard's port on loopback.
NOWHERE = "http://127.0.0.1:9"
HEARTBEAT = {"url": NOWHERE, "every": "1s"}
HOOK = {"name": "hook", "type": "webhook", "url": NOWHERE}
BAD = ConfigError("config.json5", ["interval: is wrong"])
CONFIGS: list[Config | ConfigError] = [
    config("home"),
    config("home", "vps", heartbeat=HEARTBEAT),
    config("vps", channels=[HOOK], heartbeat={**HEARTBEAT, "every": "2s"}),
    config("home", "vps", channels=[HOOK, {**HOOK, "name": "other"}], interval="1h"),
    BAD,
]


class AllSources(Fakes):
    """Keeps every source that was ever made."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[FakeSource] = []
        self.hangs = False

    def __call__(self, target: TargetBase, context: SourceContext) -> FakeSource:
        source = super().__call__(target, context)
        source.profiles = (token(time.time() + 3e6),)
        if self.hangs:
            source.gate.clear()
        self.made.append(source)
        return source


class World:
    """A daemon whose steps a test orders."""

    def __init__(self, *channels: object) -> None:
        self.sources = AllSources()
        self.config: Config | ConfigError = config("home", channels=channels, heartbeat=HEARTBEAT)
        self.ledger = CredentialDatabase(None)
        self.daemon = Daemon(self.reread(), self.ledger, self.reread, time.time, self.sources)

    def reread(self) -> Config:
        if isinstance(self.config, ConfigError):
            raise self.config
        return self.config

    async def ask(self, target: str, how: str) -> None:
        try:
            if how == "probe":
                await self.daemon.probe(target, None, 0.01)
            else:
                await self.daemon.check_now(target)
        except KeyError:
            assert target not in self.daemon._monitor.checkers or not self.daemon.ready()

    def assert_nothing_is_left(self) -> None:
        """After ``stop``: no task, job or check, and every source that was asked is closed."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert {task.get_name() for task in left} == set()
        assert not self.daemon._jobs._scheduler.running
        assert self.daemon._jobs._scheduler.get_jobs() == []
        assert self.daemon.supervisor.restarts == {}
        assert sum(source.running for source in self.sources.made) == 0
        assert [source.name for source in self.sources.made if source.checks and not source.closed] == []


STEPS = st.one_of(
    st.just(("start",)),
    st.just(("stop",)),
    st.tuples(st.just("reload"), st.sampled_from(range(len(CONFIGS)))),
    st.tuples(st.sampled_from(["probe", "check"]), st.sampled_from(["home", "vps"])),
    st.tuples(st.just("hang"), st.booleans()),  # of the sources that are made from here on
    st.tuples(st.just("pass"), st.integers(1, 30)),  # turns of the loop
)


async def follow(steps: list[tuple[Any, ...]]) -> None:
    world, begun = World(), []

    def begin(work: Any) -> None:
        begun.append(asyncio.create_task(work, name="step"))

    for step in steps:
        match step:
            case ("start",):
                begin(world.daemon.start())
            case ("stop",):
                begin(world.daemon.stop())
            case ("reload", number):
                world.config = CONFIGS[number]
                begin(world.daemon.reload())
            case (("probe" | "check") as how, target):
                begin(world.ask(target, how))
            case ("hang", hangs):
                world.sources.hangs = hangs
            case ("pass", turns):
                for _ in range(turns):
                    await asyncio.sleep(0)
    await world.daemon.stop()
    for result in await asyncio.gather(*begun, return_exceptions=True):
        assert result is None or isinstance(result, str | asyncio.CancelledError), result
    world.assert_nothing_is_left()
    await asyncio.to_thread(world.ledger.close)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # without the shrinking, which takes minutes
)
@given(st.lists(STEPS, max_size=12))
def test_nothing_is_left_after_any_order_of_steps(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[Any, ...]]
) -> None:
    async def arrive(*_: object) -> bool:
        return True

    monkeypatch.setattr(HeartbeatSender, "_send", arrive)
    before = set(threading.enumerate())
    asyncio.run(follow(steps))
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive(), thread.name


async def test_reloads_at_once_run_one_after_another_and_share_the_one_that_waits() -> None:
    running, most, count, go_on = 0, 0, 0, asyncio.Event()

    async def load_and_apply() -> None:
        nonlocal running, most, count
        running, count = running + 1, count + 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    reloader = Reloader(load_and_apply, lambda: "", time.time)
    first = asyncio.create_task(reloader.reload())
    await asyncio.sleep(0)
    assert count == 0, "none before the daemon has started"
    reloader.open()
    await until(lambda: running)
    others = [asyncio.create_task(reloader.reload()) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, *others) == [None] * 4
    assert (most, count) == (1, 2)


async def test_two_stops_at_once_stop_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(HOOK)
    await world.daemon.start()
    await asyncio.gather(world.daemon.stop(), world.daemon.stop())
    await world.daemon.start()
    await world.daemon.stop()
    world.assert_nothing_is_left()
    assert not world.daemon.ready()
    assert caplog.text == ""


async def test_stop_ends_a_start_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()

    async def hang(*_: object) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(LedgerWatch, "sync", hang)
    world = World()
    starting = asyncio.create_task(world.daemon.start())
    await began.wait()
    async with asyncio.timeout(5):
        await world.daemon.stop()
        await starting
    world.assert_nothing_is_left()
    assert not world.daemon.ready()


async def test_signal_during_a_start_that_hangs_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    end, began = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(LedgerWatch, "sync", hang)
    world = World()
    starting = asyncio.create_task(serve._start(world.daemon, end))
    await began.wait()
    end.set()
    async with asyncio.timeout(5):
        await starting
        await world.daemon.stop()
    await asyncio.sleep(0)
    world.assert_nothing_is_left()


async def test_check_that_waits_to_begin_is_not_begun_for_a_target_that_was_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.config = config("home", "vps")
    await world.daemon.start()
    await world.daemon.reload()
    await until(lambda: world.sources["vps"].checks)
    await until(lambda: not world.daemon._monitor.checkers["vps"].is_checking)
    compares, go_on = asyncio.Event(), asyncio.Event()

    async def compare(*_: object) -> None:
        compares.set()
        await go_on.wait()

    removed, count = world.sources["vps"], len(world.sources["vps"].checks)
    monkeypatch.setattr(world.daemon._stores, "before_check", compare)
    asking = asyncio.create_task(world.daemon.check_now("vps"))
    await compares.wait()
    world.config = config("home")
    assert await world.daemon.reload() is None
    go_on.set()
    await asking
    assert removed.closed
    assert len(removed.checks) == count
    assert set(world.daemon._stores._stores) == {"home"}
    await world.daemon.stop()
    world.assert_nothing_is_left()


async def test_probe_of_a_target_that_is_removed_meanwhile_is_one_of_an_unknown_target() -> None:
    world = World()
    await world.daemon.start()
    world.sources.hangs = True
    world.config = config("home", "vps")
    await world.daemon.reload()
    probing = asyncio.create_task(world.daemon.probe("vps", None, 30.0))
    await until(lambda: world.sources["vps"].running)
    world.config = config("home")
    await world.daemon.reload()
    with pytest.raises(KeyError):
        await probing
    await world.daemon.stop()


@pytest.mark.parametrize("part", ["source", "channels"])
async def test_reload_that_fails_in_one_part_changes_no_other(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("PLANTED-SECRET")

    world = World(HOOK)
    await world.daemon.start()
    notifier = world.daemon._alerting.notifier
    assert notifier is not None
    if part == "source":
        monkeypatch.setattr(world.daemon._monitor, "_make", fail)
    else:
        monkeypatch.setattr("exporter.alerts.delivery.notifier.build_senders", fail)
    world.config = config("vps", channels=[{**HOOK, "name": "other"}])
    assert await world.daemon.reload() == "Internal error while reloading (RuntimeError)"
    assert list(notifier._delivery.channels) == ["hook"]
    assert "heartbeat" in world.daemon.supervisor.restarts
    assert list(world.daemon._monitor.checkers) == ["home"]
    await world.daemon.stop()
    world.assert_nothing_is_left()


async def test_notifier_that_is_made_while_the_daemon_stops_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload adds the first channel; the thread that opens its files goes on after the reload was cancelled."""
    world = World()
    opens, go_on, made = threading.Event(), threading.Event(), []
    make = world.daemon._alerting._make_notifier

    def slowly(configured: Config) -> Any:
        opens.set()
        go_on.wait(30)
        made.append(make(configured))
        return made[0]

    monkeypatch.setattr(world.daemon._alerting, "_make_notifier", slowly)
    await world.daemon.start()
    world.config = config("home", channels=[HOOK])
    reloading = asyncio.create_task(world.daemon.reload())
    await asyncio.to_thread(opens.wait, 30)
    await world.daemon.stop()
    assert await reloading == "the exporter stops: nothing was reloaded"
    go_on.set()
    await until(lambda: made and made[0].outbox._thread._shutdown)
    world.assert_nothing_is_left()
