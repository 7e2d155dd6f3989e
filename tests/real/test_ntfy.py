"""A real ntfy: what a phone that was offline all day shows, behind a proxy's path, from two hosts, on an old server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from alerts.fake_ntfy import Event, FakeNtfy, after_polling, while_online
from alerts.messages import NOW, ended, other
from pydantic import SecretStr

from exporter.alerts.channels import ChannelContext, build
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.phone import END_STAYS
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.alerts.values import Alert, AlertState, AlertSubject, Message, NotificationReason, QueuedMessage
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import ConditionName, Severity

from .conftest import need
from .parts import free_port, wait_for

pytestmark = pytest.mark.real

TOPIC = "openclaw"
REPEAT = NotificationReason.REPEAT


class Ntfy:
    """A server on a free loopback port. ``events`` is what it sends a phone that was offline since it started."""

    def __init__(self, part: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        config = directory / "server.yml"
        config.write_text(
            f'base-url: "{self.url}"\nlisten-http: "{address}"\ncache-file: "{directory / "cache.db"}"\n'
            "visitor-request-limit-burst: 1000\n"
        )
        self._command = [str(need(part)), "serve", "-c", str(config)]
        self._log = directory / "log"

    @contextmanager
    def running(self) -> Iterator[Ntfy]:
        with self._log.open("wb") as log:
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("ntfy to be healthy", self._is_healthy, 30)
            yield self
        finally:
            process.terminate()
            process.wait(timeout=30)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def events(self) -> list[Event]:
        lines = httpx.get(f"{self.url}/{TOPIC}/json?poll=1&since=all", trust_env=False).text.splitlines()
        return [json.loads(line) for line in lines]

    def titles(self) -> list[str]:
        """The titles on a phone that was offline. One that was online shows the same."""
        events = self.events()
        shown = sorted(event["title"] for event in after_polling(events).values())
        assert shown == sorted(event["title"] for event in while_online(events).values())
        return shown


@pytest.fixture
def ntfy(tmp_path: Path) -> Iterator[Ntfy]:
    with Ntfy("ntfy", tmp_path / "ntfy").running() as server:
        yield server


class Home:
    """An exporter that sends messages about numbered alerts; its clock is ours to set."""

    def __init__(self, url: str, path: Path, first: int = 0) -> None:
        self.now = NOW
        self._first = first
        self.outbox = Outbox(path, lambda: self.now)
        config = NtfyChannel(name="phone", type="ntfy", url=SecretStr(url), topic=SecretStr(TOPIC))
        built = build(config, ChannelContext(clock=lambda: self.now))
        assert isinstance(built, NtfySender)
        self.channel = built
        self._worker = ChannelWorker(self.outbox, self.channel, lambda: self.now)

    def send(self, *alerts: Alert, withdrawn: Sequence[int] = ()) -> None:
        names = tuple(f"{number:032x}" for number in withdrawn)
        states = {str(number): state(number) for number in range(self._first, self._first + 9)}
        self.outbox.commit(states, [Message("phone", self.now, alerts, withdrawn=names)], self.now)
        self.deliver()

    def deliver(self) -> None:
        assert asyncio.run(self._worker.flush())


def state(number: int) -> AlertState:
    return AlertState(
        key=str(number),
        fingerprint=f"{number:032x}",
        subject=AlertSubject("home", "anthropic", f"anthropic:{number}", "deadline"),
        condition=ConditionName.EXPIRED,
        severity=Severity.CRITICAL,
        agents=("main",),
        started_at=NOW,
        since=NOW,
        worsened_at=NOW,
    )


def over(number: int) -> Alert:
    return ended(fingerprint=f"{number:032x}", profile=f"anthropic:{number}")


def test_phone_that_was_offline_all_day_shows_exactly_the_alerts_that_hold(ntfy: Ntfy, tmp_path: Path) -> None:
    home = Home(ntfy.url, tmp_path / "alerts.sqlite")
    home.send(*(other(number) for number in range(1, 9)))  # eight targets fail together
    home.send(other(1, reason=REPEAT), other(2, reason=REPEAT))
    home.send(other(3, reason=REPEAT))
    home.send(over(4))
    home.send(withdrawn=[5, 6])  # inhibited, or silenced
    home.send(over(1), over(7), over(8))
    home.send(other(5))  # it enters the list again
    home.now += END_STAYS
    home.deliver()
    assert len(ntfy.titles()) == 3
    shown = after_polling(ntfy.events()).values()
    assert sorted(text_of(event, range(1, 9)) for event in shown) == [[2], [3], [5]]


def text_of(event: Event, numbers: Sequence[int]) -> list[int]:
    """The numbers of the alerts that a notification names."""
    text = event["title"] + event["message"]
    return [number for number in numbers if f"anthropic:{number}" in text]


def test_everything_is_withdrawn_when_nothing_holds(ntfy: Ntfy, tmp_path: Path) -> None:
    home = Home(ntfy.url, tmp_path / "alerts.sqlite")
    home.send(other(1), other(2))
    home.send(other(1, reason=REPEAT))
    home.send(over(1), over(2))
    assert len(ntfy.titles()) == 1, "that it is over"
    home.now += END_STAYS
    home.deliver()
    assert ntfy.titles() == []


def test_button_of_a_phone_is_answered_by_the_server(ntfy: Ntfy, tmp_path: Path) -> None:
    """The phone's app publishes the press to a topic of its own, as the message says."""
    home = Home(ntfy.url, tmp_path / "alerts.sqlite")
    outgoing = QueuedMessage(f"01JD{0:022d}", Message("phone", NOW, (over(1),)))

    async def asked() -> bool:
        await home.channel.ask(outgoing, "I see it")
        return await home.channel.was_pressed(outgoing)

    assert asyncio.run(asked()) is False
    (shown,) = after_polling(ntfy.events()).values()
    (button,) = shown["actions"]
    assert (button["action"], button["label"], button["method"], button["clear"]) == ("http", "I see it", "POST", True)
    assert httpx.post(button["url"], content=button["body"], trust_env=False).is_success
    assert asyncio.run(home.channel.was_pressed(outgoing)) is True
    assert len(ntfy.titles()) == 1, "the press is no notification"


def test_two_exporters_share_a_topic_without_touching_each_other(ntfy: Ntfy, tmp_path: Path) -> None:
    here, there = Home(ntfy.url, tmp_path / "here.sqlite"), Home(ntfy.url, tmp_path / "there.sqlite", first=100)
    for home, first in ((here, 0), (there, 100)):
        home.send(other(first + 1), other(first + 2))
    here.send(over(1), over(2))
    here.now += END_STAYS
    here.deliver()
    (left,) = after_polling(ntfy.events()).values()
    assert text_of(left, [101, 102]) == [101, 102]


def test_server_that_cannot_withdraw_gets_messages_alone(tmp_path: Path) -> None:
    with Ntfy("ntfy-2.11", tmp_path / "ntfy").running() as old:
        home = Home(old.url, tmp_path / "alerts.sqlite")
        home.send(other(1), other(2))
        home.send(other(1, reason=REPEAT))
        home.send(over(1), over(2))
        home.now += END_STAYS
        home.deliver()
        assert len(old.events()) == 3


# --- behind a proxy ---------------------------------------------------------------------------


@contextmanager
def proxy(url: str, path: str) -> Iterator[str]:
    """A reverse proxy that serves ``url`` below ``path``, as nginx with ``location PATH/ { proxy_pass URL/; }``."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            answer = httpx.request(self.command, url + self.path.removeprefix(path), content=body, trust_env=False)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_DELETE = _handle

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{path}"
        finally:
            server.shutdown()
            thread.join()


def test_server_below_a_path_of_a_proxy(ntfy: Ntfy, tmp_path: Path) -> None:
    with proxy(ntfy.url, "/ntfy") as url:
        home = Home(url, tmp_path / "alerts.sqlite")
        home.send(other(1), other(2))
        home.send(other(1, reason=REPEAT), withdrawn=[2])
    assert [text_of(event, [1, 2]) for event in after_polling(ntfy.events()).values()] == [[1]]


def test_path_that_is_not_there_publishes_nothing(ntfy: Ntfy, tmp_path: Path) -> None:
    home = Home(f"{ntfy.url}/ntfy", tmp_path / "alerts.sqlite")
    with pytest.raises(AssertionError):
        home.send(other(1))
    assert httpx.get(f"{ntfy.url}/ntfy/json?poll=1&since=all", trust_env=False).text == ""


# --- the stand-in -----------------------------------------------------------------------------


def calls(now: float) -> list[tuple[str, str, dict[str, Any] | None]]:
    later = str(int(now) + 3600)
    return [
        ("POST", "/", {"topic": TOPIC, "message": "one", "sequence_id": "a"}),
        ("POST", "/", {"topic": TOPIC, "message": "two", "sequence_id": "a"}),
        ("POST", "/", {"topic": TOPIC, "message": "three"}),
        ("POST", "/", {"topic": TOPIC, "message": "later", "sequence_id": "b", "delay": later}),
        ("POST", "/", {"topic": TOPIC, "message": "at once", "sequence_id": "b"}),
        ("POST", "/", {"topic": TOPIC, "message": "later", "sequence_id": "c", "delay": later}),
        ("DELETE", f"/{TOPIC}/c", None),
        ("DELETE", f"/{TOPIC}/never-there", None),
        ("DELETE", f"/{TOPIC}/a", None),
        ("POST", "/", {"topic": TOPIC, "message": "x", "sequence_id": "not one"}),
        ("POST", "/", {"topic": TOPIC, "message": "x", "delay": str(int(now) + 5)}),
        ("POST", "/ntfy/", {"topic": TOPIC, "message": "x"}),
        ("DELETE", f"/ntfy/{TOPIC}/a", None),
    ]


@pytest.mark.parametrize(("part", "replaces"), [("ntfy", True), ("ntfy-2.11", False)])
def test_stand_in_answers_as_the_real_server(part: str, replaces: bool, tmp_path: Path) -> None:
    now = time.time()
    fake = FakeNtfy(now=now, replaces=replaces)
    with Ntfy(part, tmp_path / "ntfy").running() as real:
        for method, path, body in calls(now):
            content = b"" if body is None else json.dumps(body).encode()
            answer = httpx.request(method, f"{real.url}{path}", content=content, trust_env=False)
            status, expected = fake.handle(method, path, None, content)
            assert (answer.status_code, answer.json().get("sequence_id")) == (status, expected.get("sequence_id"))
        told = [(event["event"], event.get("sequence_id"), event.get("message")) for event in real.events()]
    assert told == [(event["event"], event.get("sequence_id"), event.get("message")) for event in fake.events]
