"""Waiting for events with a limit, and ending tasks."""

from __future__ import annotations

import asyncio

from exporter.lib.tasks import end, wait_at_most


async def test_wait_ends_with_the_event_or_the_limit() -> None:
    event = asyncio.Event()
    await wait_at_most(event, 0.01)
    assert not event.is_set()
    event.set()
    await wait_at_most(event, 3600.0)


async def test_task_that_completes_within_its_grace_is_not_cancelled() -> None:
    quick = asyncio.create_task(asyncio.sleep(0.01, "done"))
    await end(quick, None, grace=60.0)
    assert quick.result() == "done"


async def test_other_tasks_are_cancelled_and_an_error_is_ignored() -> None:
    async def fail() -> None:
        raise ValueError

    failing, stuck = asyncio.create_task(fail()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await end(failing, stuck)
    assert stuck.cancelled()
    assert isinstance(failing.exception(), ValueError)
