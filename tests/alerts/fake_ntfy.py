"""A stand-in for an ntfy server that keeps its rules (2.27, and 2.11 without ``replaces``), and for its app.

Publishing JSON to the root, delayed messages, replacing by ``sequence_id``, deleting, tokens and the rate
limit. What the real one would ignore without a word (an unknown key) is an error here. ``tests/real/test_ntfy.py``
compares both.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_NAME = re.compile(r"[-_A-Za-z0-9]{1,64}")
_TYPES: dict[str, type] = {
    "topic": str,
    "message": str,
    "title": str,
    "tags": list,
    "priority": int,
    "actions": list,
    "click": str,
    "attach": str,
    "markdown": bool,
    "icon": str,
    "filename": str,
    "delay": str,
    "email": str,
    "call": str,
    "sequence_id": str,
}
_NEEDED = {"view": ("label", "url"), "http": ("label", "url"), "copy": ("label", "value"), "broadcast": ("label",)}


#: What a subscriber is sent: messages, and ``message_delete`` events.
Event = dict[str, Any]


def while_online(events: Iterable[Event]) -> dict[str, Event]:
    """What the app shows if it is sent each event at once, by sequence or message id, in the order of arrival."""
    shown: dict[str, Event] = {}
    for event in events:
        shown.pop(_sequence(event), None)
        if event["event"] == "message":
            shown[_sequence(event)] = event
    return shown


def after_polling(events: Iterable[Event]) -> dict[str, Event]:
    """What the app (1.22) shows if it fetches the events later: of each sequence the latest by whole seconds.

    Of two in the same second it takes the first: ``Poller.kt`` in ntfy-android.
    """
    latest: dict[str, Event] = {}
    for event in events:
        name = _sequence(event)
        if name not in latest or int(event["time"]) > int(latest[name]["time"]):
            latest[name] = event
    return {name: event for name, event in latest.items() if event["event"] == "message"}


def _sequence(event: Event) -> str:
    return str(event.get("sequence_id") or event["id"])


class Refused(Exception):
    def __init__(self, status: int, code: int, error: str) -> None:
        super().__init__(error)
        self.answer = (status, {"code": code, "http": status, "error": error})


@dataclass
class FakeNtfy:
    """One server. ``events`` are those that a subscriber is sent."""

    token: str | None = None
    topics: frozenset[str] | None = None  # that may be written to; None: all
    replaces: bool = True  # knows sequence_id (2.16 and later)
    burst: int = 60
    now: float = 0.0
    calls: list[tuple[str, str]] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    delayed: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def phone(self) -> dict[str, Event]:
        """What a subscriber's phone shows now, by sequence id or message id."""
        return while_online(self.events)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """For ``httpx.MockTransport``."""
        answer = self.handle(request.method, request.url.path, request.headers.get("Authorization"), request.content)
        return httpx.Response(answer[0], json=answer[1])

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    def handle(self, method: str, path: str, authorization: str | None, body: bytes) -> tuple[int, dict[str, Any]]:
        self.calls.append((method, path))
        try:
            self._authenticate(authorization)
            if len(self.calls) > self.burst:
                raise Refused(429, 42901, "limit reached: too many requests")  # and no Retry-After
            parts = [part for part in path.split("/") if part]
            if method in ("POST", "PUT") and not parts:
                return 200, self._publish(self._read(body))
            if method == "DELETE" and len(parts) == 2 and self.replaces and _NAME.fullmatch(parts[1]):
                return 200, self._delete(*parts)
            if method in ("POST", "PUT") and len(parts) == 1 and not path.endswith("/"):
                return 200, self._publish({"topic": parts[0], "message": body.decode()})
            raise Refused(404, 40401, "page not found")
        except Refused as refused:
            return refused.answer

    def deliver_delayed(self, now: float) -> None:
        """Deliver the messages that were delayed until ``now`` or earlier."""
        for message in [one for one in self.delayed if float(one["delay"]) <= now]:
            self.delayed.remove(message)
            self._deliver(message, float(message["delay"]))

    def _authenticate(self, authorization: str | None) -> None:
        if self.token is None:
            return
        if not authorization:
            raise Refused(403, 40301, "forbidden")
        if authorization != f"Bearer {self.token}":
            raise Refused(401, 40101, "unauthorized")

    def _read(self, body: bytes) -> dict[str, Any]:
        if len(body) > 2 * 4096:
            raise Refused(413, 41303, "JSON body too large")
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("topic"), str):
            raise Refused(400, 40017, "invalid request: request body must be message JSON")
        assert message.keys() <= _TYPES.keys(), f"ntfy does not know {message.keys() - _TYPES.keys()}"
        for key, value in message.items():
            if not isinstance(value, _TYPES[key]) or (_TYPES[key] is int and isinstance(value, bool)):
                raise Refused(400, 40017, "invalid request: request body must be message JSON")
        return message

    def _publish(self, message: dict[str, Any]) -> dict[str, Any]:
        topic, sequence, text = message["topic"], message.get("sequence_id"), message.get("message") or "triggered"
        if not _NAME.fullmatch(topic):
            raise Refused(400, 40009, "invalid request: topic invalid")
        if self.topics is not None and topic not in self.topics:
            raise Refused(403, 40301, "forbidden")
        if not 0 <= message.get("priority", 3) <= 5:
            raise Refused(400, 40007, "invalid priority parameter")
        if self.replaces and sequence is not None and not _NAME.fullmatch(sequence):
            raise Refused(400, 40049, "invalid request: sequence ID invalid")
        self._check_actions(message.get("actions", []))
        if len(message.get("title", "").encode()) > 1024 or len(",".join(message.get("tags", [])).encode()) > 512:
            raise Refused(400, 40000, "title or tags too long")
        stored = {**message, "id": f"m{len(self.published):011}", "message": text}
        if len(text.encode()) > 4096:
            stored |= {"message": "You received a file: attachment.txt", "attachment": {"name": "attachment.txt"}}
        if "delay" in message and not 10 <= float(message["delay"]) - self.now <= 3 * 86400:
            raise Refused(400, 40005, "invalid delay parameter: too small, or too large")
        self.published.append(stored)
        if self.replaces and sequence is not None:
            self._cancel(topic, sequence)
        if "delay" in message:
            self.delayed.append(stored)
        else:
            self._deliver(stored, self.now)
        answer = {"id": stored["id"], "time": int(self.now), "event": "message", "topic": topic}
        return answer | ({"sequence_id": sequence} if self.replaces and sequence is not None else {})

    def _check_actions(self, actions: list[dict[str, Any]]) -> None:
        if len(actions) > 3:
            raise Refused(400, 40018, "invalid request: actions invalid, only 3 actions allowed")
        for action in actions:
            needed = _NEEDED.get(action.get("action", ""))
            if needed is None or not all(action.get(key) for key in needed):
                raise Refused(400, 40018, "invalid request: actions invalid")

    def _deliver(self, message: dict[str, Any], at: float) -> None:
        event = {**message, "event": "message", "time": int(at)}
        if not self.replaces:
            event.pop("sequence_id", None)
        self.events.append(event)

    def _cancel(self, topic: str, sequence: str) -> None:
        self.delayed = [one for one in self.delayed if (one["topic"], one.get("sequence_id")) != (topic, sequence)]

    def _delete(self, topic: str, sequence: str) -> dict[str, Any]:
        self._cancel(topic, sequence)
        id, at = f"e{len(self.events):011}", int(self.now)
        self.events.append({"id": id, "event": "message_delete", "topic": topic, "sequence_id": sequence, "time": at})
        return self.events[-1]

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The same over a real socket on loopback: its root URL."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: Any) -> None:
                pass

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = fake.handle(self.command, self.path, self.headers.get("Authorization"), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PUT = do_DELETE = do_GET = _handle

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()
