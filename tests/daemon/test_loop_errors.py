"""What asyncio reports is logged without secrets and without a flood."""

from __future__ import annotations

import asyncio
import errno
import gc

import pytest
from waiting import LoopClock

from exporter.daemon.loop_errors import LoopErrors

SECRET = "PLANTED-SECRET"


@pytest.fixture
async def handled(monkeypatch: pytest.MonkeyPatch) -> LoopClock:
    """The running loop has the handler; its clock."""
    asyncio.get_running_loop().set_exception_handler(LoopErrors())
    return LoopClock(monkeypatch)


async def test_flood_of_accept_errors_is_a_line_a_minute(handled: LoopClock, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    flood = {
        "message": "socket.accept() out of system resource",
        "exception": OSError(errno.EMFILE, f"Too many open files, {SECRET}"),
    }
    for _ in range(3):
        for _ in range(1000):
            loop.call_exception_handler(flood)
        handled.advance(60.1)
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
    for _ in range(3):
        handled.advance(60.1)
        await asyncio.sleep(0.001)
    line = "asyncio: socket.accept() out of system resource (OSError: Too many open files)"
    assert [record.getMessage() for record in caplog.records] == [
        line,
        f"{line} (999 times more in the last 60 s)",
        f"{line} (1000 times more in the last 60 s)",
        f"{line} (1000 times more in the last 60 s)",
    ]


async def test_callback_that_raises_is_logged_without_arguments_and_text(
    handled: LoopClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(argument: str) -> None:
        raise ValueError(argument)

    asyncio.get_running_loop().call_soon(fail, SECRET)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert SECRET not in caplog.text
    assert "asyncio: Exception in callback test_callback_that_raises" in caplog.text
    assert "(ValueError at test_loop_errors.py:" in caplog.text


async def test_task_whose_error_nobody_awaits_is_logged_without_its_text(
    handled: LoopClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError(SECRET)

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    del task
    gc.collect()
    assert SECRET not in caplog.text
    assert "asyncio: Task exception was never retrieved (ValueError at test_loop_errors.py:" in caplog.text
