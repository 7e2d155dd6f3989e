"""Server-sent events: pages hear of changes, of a sign of life, and of the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_daemon import FakeDaemon, ask
from starlette.responses import StreamingResponse

from exporter.web import events
from exporter.web.events import Announcer, EventStreams


@pytest.fixture(autouse=True)
def no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "GAP", 0)


async def stream(streams: EventStreams) -> AsyncIterator[Any]:
    answer = streams.answer()
    assert isinstance(answer, StreamingResponse)
    assert answer.media_type == "text/event-stream"
    async for part in answer.body_iterator:
        assert isinstance(part, str)
        assert part.endswith("\n\n")
        if part.startswith("data: "):
            yield json.loads(part.removeprefix("data: "))


async def test_page_hears_the_revision_at_once_and_then_each_change() -> None:
    announcer = Announcer()
    heard = stream(EventStreams(announcer, lambda: 3))
    assert await anext(heard) == {"revision": 0, "checking": 3}
    coming = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    assert not coming.done()
    announcer.announce()
    announcer.announce()
    assert await coming == {"revision": 2, "checking": 3}


async def test_change_while_nobody_waits_is_not_lost() -> None:
    announcer = Announcer()
    heard = stream(EventStreams(announcer, lambda: 0))
    await anext(heard)
    announcer.announce()
    assert (await asyncio.wait_for(anext(heard), 5))["revision"] == 1


async def test_quiet_exporter_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SIGN_OF_LIFE", 0)
    heard = stream(EventStreams(Announcer(), lambda: 0))
    assert [(await anext(heard))["revision"] for _ in range(3)] == [0, 0, 0]


async def test_stop_ends_every_stream_and_there_are_no_new_ones() -> None:
    announcer = Announcer()
    streams = EventStreams(announcer, lambda: 0)
    heard = stream(streams)
    await anext(heard)
    waiting = asyncio.ensure_future(anext(heard, None))
    await asyncio.sleep(0)
    announcer.close()
    assert await waiting is None
    assert streams.answer().status_code == 503


async def test_streams_are_limited_and_ended_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 1)
    streams = EventStreams(Announcer(), lambda: 0)
    answer = streams.answer()
    assert isinstance(answer, StreamingResponse)
    body = answer.body_iterator
    await anext(aiter(body))
    assert streams.answer().status_code == 503
    await body.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert streams.answer().status_code == 200


async def test_page_can_be_put_on_a_home_screen() -> None:
    manifest = await ask(FakeDaemon(), "GET", "/manifest.webmanifest")
    assert manifest.headers["content-type"] == "application/manifest+json"
    (icon,) = manifest.json()["icons"]
    assert (manifest.json()["display"], icon["sizes"]) == ("standalone", "192x192")
    image = await ask(FakeDaemon(), "GET", f"/{icon['src']}")
    assert image.headers["content-type"] == "image/png"
    assert image.content.startswith(b"\x89PNG\r\n\x1a\n")
    page = (await ask(FakeDaemon(), "GET", "/")).text
    assert '<link rel="manifest" href="./manifest.webmanifest"' in page
    assert 'href="data:image/svg+xml,' in page
