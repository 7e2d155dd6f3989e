"""The web side's token: read for the requests that may need it, in a thread, and for no other."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
from fake_daemon import FakeDaemon

from exporter.config import Web
from exporter.web.app import create_app


def client(web: Web) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(FakeDaemon(), web)), base_url="http://localhost")


async def test_rotated_file_takes_effect_with_the_next_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with client(Web(token_file=str(file))) as browser:
        for token in ("first-token-0123456789", "second-token-0123456789"):
            file.write_text(token)
            answer = await browser.post("/api/v1/check", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
        file.unlink()
        assert (await browser.get("/login")).status_code == 403


async def test_scrapes_do_not_wait_for_the_file_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []
    monkeypatch.setattr(Web, "read_secret", lambda *_: readers.append(threading.current_thread()))
    async with client(Web(token_file="/mnt/token")) as scraper:
        for path in ("/metrics", "/-/healthy", "/-/ready", "/sd"):
            assert (await scraper.get(path)).status_code == 200
        assert readers == []
        await scraper.get("/")
        await scraper.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert len(readers) == 2
    assert threading.main_thread() not in readers
