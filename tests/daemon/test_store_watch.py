"""A store that changed is checked soon; one that cannot be compared is unknown, and checked at every interval."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest
from fakes import FakeSource
from waiting import LoopClock, until

from exporter.checks.target_checker import TargetChecker
from exporter.config.targets import OpenClawTarget
from exporter.daemon import store_watch
from exporter.daemon.store_watch import FINGERPRINT_LIMIT, StoreWatch
from exporter.model import CheckError, FailureReason
from exporter.sources import Fingerprint, Source, SourceContext

ONE, TWO = Fingerprint("one"), Fingerprint("two")
PARTIAL = Fingerprint("a part", is_complete=False)
TROUBLE = RuntimeError("PLANTED-SECRET")


class Target(FakeSource):
    """A target, its source and its checker in one. Its fingerprint is what a test sets, which may be an error."""

    def __init__(self, found: Fingerprint | Exception | None = ONE) -> None:
        super().__init__(OpenClawTarget(source="openclaw", name="home"), SourceContext(lambda text: ""))
        self.found, self.reads = found, 0
        self.is_checking, self.check_started_at = False, 0.0

    @property
    def source(self) -> Source:
        return self

    def fingerprint(self) -> Fingerprint | None:
        self.reads += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class World:
    """A watch over one target, whose checks and comparisons a test makes."""

    def __init__(self, target: Target) -> None:
        self.now = 100.0
        self.target = target
        self.checker = cast(TargetChecker, target)
        self.watch = StoreWatch(lambda: self.now)
        self.moved = 0  # how often the next check was moved

    async def check(self, finds: Fingerprint | Exception | None = None) -> None:
        """A check during which the fingerprint becomes what it ``finds``, if that is given."""
        before = await self.watch.before_check(self.checker)
        self.target.found = finds or self.target.found
        await self.watch.after_check(self.checker, before)

    async def compare(self) -> None:
        await self.watch.compare([self.checker], self._changed)

    def _changed(self, checker: TargetChecker) -> None:
        assert checker is self.checker
        self.moved += 1

    @property
    def changed_at(self) -> float | None:
        return self.watch.changed_at("home")

    @property
    def is_comparable(self) -> bool:
        return self.watch.is_comparable("home")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(store_watch, "SETTLE", 0.0)
    return World(Target())


async def test_unchanged_store_is_comparable_and_moves_nothing(world: World) -> None:
    assert not world.is_comparable
    await world.check()
    await world.compare()
    assert (world.is_comparable, world.changed_at, world.moved) == (True, None, 0)


async def test_changed_store_moves_the_check_once_until_it_was_checked(world: World) -> None:
    await world.check()
    world.target.found = TWO
    await world.compare()
    reads = world.target.reads
    await world.compare()
    assert (world.changed_at, world.moved, world.target.reads) == (100.0, 1, reads)
    await world.watch.before_check(world.checker)
    assert world.changed_at is None
    await world.check()
    assert (world.is_comparable, world.changed_at) == (True, None)


async def test_store_is_left_to_settle_before_it_counts_as_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_watch, "SETTLE", 3600.0)
    await world.check()
    world.target.found, clock = TWO, LoopClock(monkeypatch)
    reads = world.target.reads
    comparing = asyncio.create_task(world.compare())
    await until(lambda: world.target.reads > reads)
    await asyncio.sleep(0.02)
    assert (world.changed_at, world.moved) == (None, 0)
    world.now += 3600.0
    clock.advance(3600.0)
    await comparing
    assert (world.changed_at, world.moved) == (3700.0, 1)


async def test_store_that_changes_during_a_check_has_changed(world: World) -> None:
    await world.check(finds=TWO)
    assert (world.is_comparable, world.changed_at) == (False, 100.0)


@pytest.mark.parametrize("before", [PARTIAL, TROUBLE, None])
async def test_store_that_was_not_whole_before_a_check_is_no_change_and_not_comparable(
    world: World, before: Fingerprint | Exception | None
) -> None:
    world.target.found = before
    await world.check(finds=ONE)
    assert (world.is_comparable, world.changed_at) == (False, None)
    await world.check()
    assert world.is_comparable


async def test_store_of_which_a_part_cannot_be_read_is_not_comparable(world: World) -> None:
    world.target.found = PARTIAL
    await world.check()
    assert not world.is_comparable


async def test_store_that_cannot_be_compared_for_a_while_moves_the_check_twice(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.check()
    world.target.found = TROUBLE
    for _ in range(2):
        await world.compare()
        assert (world.is_comparable, world.changed_at, world.moved) == (False, None, 1)
    world.target.found = ONE
    await world.compare()
    await world.compare()
    assert (world.is_comparable, world.changed_at, world.moved) == (True, None, 2)
    assert caplog.text.count("the store cannot be compared (RuntimeError)") == 1
    assert "PLANTED-SECRET" not in caplog.text


async def test_what_a_check_read_stays_unknown_if_its_store_could_not_be_read_after_it(world: World) -> None:
    await world.check(finds=TROUBLE)
    world.target.found = ONE
    await world.compare()
    assert (world.is_comparable, world.changed_at, world.moved) == (False, None, 1)
    world.target.found = TWO
    await world.compare()
    assert (world.changed_at, world.moved) == (100.0, 2)


async def test_reason_of_a_store_that_cannot_be_read_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.target.found = CheckError(FailureReason.PERMISSION, "/store: this user may not read it")
    await world.check()
    assert "(/store: this user may not read it): it is checked at every interval" in caplog.text


async def test_store_is_not_compared_while_or_if_it_is_checked_meanwhile(world: World) -> None:
    await world.check()
    world.target.found, world.target.is_checking = TWO, True
    reads = world.target.reads
    await world.compare()
    assert world.target.reads == reads
    world.target.is_checking = False

    def checked_meanwhile() -> Fingerprint:
        world.target.check_started_at += 1
        return TWO

    world.target.fingerprint = checked_meanwhile  # type: ignore[method-assign]  # for this test
    await world.compare()
    assert (world.changed_at, world.moved) == (None, 0)


async def test_removed_target_is_forgotten(world: World) -> None:
    await world.check(finds=TWO)
    world.watch.remove("home")
    assert (world.is_comparable, world.changed_at) == (False, None)


async def test_nothing_has_changed_in_the_future(world: World) -> None:
    await world.check(finds=TWO)
    world.watch.after_step(200.0)
    assert world.changed_at == 100.0
    world.watch.after_step(50.0)
    assert world.changed_at == 50.0


async def test_store_that_hangs_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, clock = threading.Event(), LoopClock(monkeypatch)
    began = threading.Event()

    def hang() -> None:
        began.set()
        go_on.wait(30)

    world.target.fingerprint = hang  # type: ignore[method-assign]  # for this test
    checking = asyncio.create_task(world.watch.before_check(world.checker))
    await until(began.is_set)
    assert not checking.done()
    clock.advance(FINGERPRINT_LIMIT)
    assert await checking is None
    assert not world.is_comparable
    go_on.set()


async def test_source_without_a_store_is_never_compared() -> None:
    class Elsewhere(Target):
        fingerprint = Source.fingerprint

    world = World(Elsewhere())
    await world.check()
    await world.compare()
    assert (world.is_comparable, world.changed_at, world.moved) == (False, None, 0)
