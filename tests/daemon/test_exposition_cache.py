"""Composing the exposition while a fleet keeps reporting."""

from __future__ import annotations

import asyncio
import threading

import pytest
from reports import agent, profile
from waiting import until

from exporter.daemon.exposition_cache import ExpositionCache
from exporter.metrics import render
from exporter.metrics.definitions import ExporterState
from exporter.model import TargetReport


class Composing:
    """Holds each ``compose`` once it has taken what was put, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._go = 0, threading.Semaphore(0)
        pieces = render._pieces

        def held(fragments: list[render.Fragment], type: str, format: str) -> list[bytes]:
            if type == "gauge":  # the first of each
                self.begun += 1
                assert self._go.acquire(timeout=30)
            return pieces(fragments, type, format)

        monkeypatch.setattr(render, "_pieces", held)

    async def has_begun(self, count: int) -> None:
        await until(lambda: self.begun == count)

    def let_go(self) -> None:
        self._go.release()


async def test_one_turn_serves_all_that_wait_although_more_is_put_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.daemon.exposition_cache.COMPOSE_PAUSE", 0.0)
    cache = ExpositionCache(lambda: ExporterState("1"))
    composing = Composing(monkeypatch)

    async def publish(name: str) -> None:
        found = TargetReport(name, "store", (agent(profile("a:1"), target=name),))
        await cache.put(found, {}, lambda: True)
        await cache.compose()

    async def begin(name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(publish(name))
        await until(lambda: name in cache._exposition._fragments)
        return task

    first = await begin("one")
    await composing.has_begun(1)
    waiting = [await begin(name) for name in ("two", "three", "four")]
    composing.let_go()
    await composing.has_begun(2)
    late = await begin("five")
    composing.let_go()
    await asyncio.wait_for(asyncio.gather(first, *waiting), 30)
    body = cache.body("", "")[0].decode()
    assert all(f'target="{name}"' in body for name in ("one", "two", "three", "four"))
    assert 'target="five"' not in body
    await composing.has_begun(3)
    composing.let_go()
    await asyncio.wait_for(late, 30)
    assert 'target="five"' in cache.body("", "")[0].decode()
    assert composing.begun == 3
