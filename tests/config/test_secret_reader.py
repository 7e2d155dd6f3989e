"""Secrets for the event loop: a file is read in a thread with a time limit, so none that hangs delays anybody."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from waiting import LoopClock, until

from exporter.config import ConfigError, Web
from exporter.config.secret_reader import PATIENCE, SecretReader


def web(**made: str) -> Web:
    return Web.model_validate(made)


async def test_secrets_are_read_again_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    reader = SecretReader(web(token_file=str(file)))
    for token in ("first-token", "second-token"):
        file.write_text(f"{token}\n")
        assert await reader.read("token") == token
    file.unlink()
    with pytest.raises(ConfigError, match=r"token_file: .*: No such file or directory"):
        await reader.read("token")
    monkeypatch.setenv("A_TOKEN", "of-the-environment")
    assert await SecretReader(web(token_env="A_TOKEN")).read("token") == "of-the-environment"
    assert await SecretReader(web(token="written")).read("token") == "written"
    assert await SecretReader(web()).read("token") is None


async def test_file_system_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, hangs, go_on = LoopClock(monkeypatch), threading.Event(), threading.Event()

    def hang(self: Web, name: str) -> None:
        hangs.set()
        go_on.wait(60)

    monkeypatch.setattr(Web, "read_secret", hang)
    reader = SecretReader(web(token_file="/mnt/token"))
    first = asyncio.create_task(reader.read("token"))
    await until(hangs.is_set)
    clock.advance(PATIENCE)
    for attempt in (first, reader.read("token")):
        with pytest.raises(ConfigError) as caught:
            await attempt
        assert str(caught.value) == "token_file: /mnt/token: its file system did not answer within 5 s"
    go_on.set()
