"""Files of people that requests depend on: read again when they change, and never waited for when they hang."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_daemon import HASHED, PASSWORD, FakeDaemon, client, web
from waiting import LoopClock, until

from exporter.config import ConfigError
from exporter.web.app import create_app
from exporter.web.current_file import PATIENCE, CurrentFile


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def parse(text: str, where: str) -> str:
    if text == "bad":
        raise ConfigError(where, ["is bad"])
    return text


class Disk:
    """A file system under every ``CurrentFile`` that can hang."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = threading.Event()
        self._answers = threading.Event()
        self._answers.set()
        real = os.stat

        def stat(*arguments: Any, **keys: Any) -> os.stat_result:
            if not threading.current_thread().name.startswith("a "):  # the thread has the file's role as its name
                return real(*arguments, **keys)
            self.asked.set()
            self._answers.wait(60)
            return real(*arguments, **keys)

        monkeypatch.setattr("exporter.web.current_file.os.stat", stat)

    def hang(self) -> None:
        self.asked.clear()
        self._answers.clear()

    def go_on(self) -> None:
        self._answers.set()


async def test_content_is_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    read: list[str] = []

    def recorded(text: str, where: str) -> str:
        read.append(text)
        return text

    file = CurrentFile(path, "a list", recorded)
    assert [await file.refresh(), await file.refresh(), file.load()] == ["one"] * 3
    replace(path, "two")
    assert [await file.refresh(), file.value] == ["two", "two"]
    assert read == ["one", "two"]


async def test_content_that_cannot_be_used_is_refused_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    file = CurrentFile(path, "a list", parse)
    await file.refresh()
    replace(path, "bad")
    for _ in range(2):
        with pytest.raises(ConfigError, match="is bad"):
            await file.refresh()
        assert file.value is None
    path.unlink()
    with pytest.raises(ConfigError):
        await file.refresh()
    path.write_text("one")
    assert await file.refresh() == "one"


async def test_hanging_file_system_keeps_no_request_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    disk, clock = Disk(monkeypatch), LoopClock(monkeypatch)
    known, unknown = CurrentFile(path, "a list", parse), CurrentFile(path, "a list", parse)
    await known.refresh()
    replace(path, "two")
    disk.hang()
    waiting = asyncio.create_task(known.refresh())
    await until(disk.asked.is_set)
    clock.advance(PATIENCE)
    assert await waiting == "one"  # what was read last
    for _ in range(10):
        assert await known.refresh() == "one"  # at once
    first = asyncio.create_task(unknown.refresh())
    disk.asked.clear()
    await until(disk.asked.is_set)
    clock.advance(PATIENCE)
    with pytest.raises(ConfigError, match="its file system did not answer within 2 s"):
        await first
    disk.go_on()
    await until(lambda: not known._thread.is_busy)
    assert [await known.refresh(), await unknown.refresh()] == ["two", "two"]


@pytest.mark.parametrize("key", ["users_file", "config_file"])
async def test_requests_are_answered_while_the_file_system_hangs(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text(f"basic_auth_users:\n  alice: {HASHED}\n")
    disk, clock = Disk(monkeypatch), LoopClock(monkeypatch)
    async with client(create_app(FakeDaemon(), web(**{key: str(path)}))) as browser:

        async def status(user: str) -> int:
            return (await browser.get("/metrics", auth=(user, PASSWORD))).status_code

        assert [await status("alice"), await status("bob")] == [200, 401]
        replace(path, f"basic_auth_users:\n  bob: {HASHED}\n")
        disk.hang()
        first = asyncio.create_task(status("alice"))
        for _ in range(2):  # a web configuration is read for its settings, and for its users
            disk.asked.clear()
            await until(lambda: disk.asked.is_set() or first.done())
            clock.advance(PATIENCE)
        assert await first == 200
        assert [await status("alice"), await status("bob")] == [200, 401]
        disk.go_on()
        await until(lambda: not any(thread.name.startswith("a ") for thread in threading.enumerate()))
        assert [await status("alice"), await status("bob")] == [401, 200]
