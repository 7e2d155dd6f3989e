"""200 random SIGKILLs with a failing webhook: nothing is lost or reordered, and repeats have the same id."""

from __future__ import annotations

import json
import os
import random
import signal
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from alerts.killed import ALERTS, expected

from exporter.alerts.delivery.outbox import Outbox

pytestmark = pytest.mark.real
TESTS = Path(__file__).parent.parent


@dataclass
class Hook:
    """A webhook that fails in every way. Records all requests in order, and the messages it accepted."""

    good: bool = False
    random: random.Random = field(default_factory=lambda: random.Random(4))
    requests: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], key: str) -> str:
        assert body["id"] == key
        with self.lock:
            ways = ("200", "200", "200", "500", "503", "429", "hang", "close", "garbage", "lost")
            way = "200" if self.good else self.random.choice(ways)
            self.answers[way] = self.answers.get(way, 0) + 1
            self.requests.append(body)
            if way in ("200", "lost"):  # lost: accepted, but the response does not arrive
                self.accepted.append(key)
        return way


def serve(hook: Hook) -> socketserver.ThreadingTCPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            content = self.rfile.read(length)
            if len(content) < length:  # the sender was killed: this is no request
                return
            way = hook.answer(json.loads(content), self.headers["Idempotency-Key"])
            self.close_connection = True
            if way == "hang":
                time.sleep(0.3)
            elif way == "garbage":
                self.wfile.write(b"\x00\xff\r\n\r\n")
            elif way.isdecimal():
                self.send_response(int(way))
                self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None: ...  # the client was killed

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass
class Outcome:
    kills: int
    steps: int
    hook: Hook
    pending: int
    undeliverable: int


def run(directory: Path, kills: int, how: str, seed: int) -> Outcome:
    """Kill daemons at random moments while the truth keeps changing; then let the last one finish."""
    chance, hook = random.Random(seed), Hook()
    server = serve(hook)
    path, truth = directory / "alerts.sqlite", directory / "truth"
    truth.write_text("0")
    step, committed = 0, threading.Event()
    child: list[int] = []
    started = threading.Event()
    zygote = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "alerts.killed",
            str(path),
            str(truth),
            f"http://127.0.0.1:{server.server_address[1]}",
            how,
        ],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    out = zygote.stdout

    def listen() -> None:
        nonlocal step
        for line in out:
            if line.startswith(b"pid "):
                child.append(int(line[4:]))
                started.set()
            elif int(line) == step and not hook.good:
                step += 1
                replacement = directory / "truth.new"
                replacement.write_text(str(step))
                replacement.replace(truth)
            elif int(line) == step:
                committed.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()

    def start() -> int:
        started.clear()
        zygote.stdin.write(b"go\n")  # type: ignore[union-attr]  # it is a pipe
        zygote.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
        assert started.wait(60)
        return child[-1]

    for _ in range(kills):
        pid = start()
        # Kill at once or after a few changes, so that things happen between the kills on a slow machine, too.
        goal, patience = step + chance.choice((0, 1, 3, 10)), time.monotonic() + 10
        while step < goal and time.monotonic() < patience:
            time.sleep(0.001)
        time.sleep(0.03 * chance.random())
        os.kill(pid, signal.SIGKILL)
    hook.good = True
    last = start()
    assert committed.wait(60)
    deadline = time.monotonic() + 60
    watching = Outbox(path)
    while watching.statistics(["hook"])["hook"].pending and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(last, signal.SIGKILL)
    zygote.stdin.close()
    zygote.wait(60)
    listener.join(60)
    out.close()
    server.shutdown()
    server.server_close()
    statistics = watching.statistics(["hook"])["hook"]
    watching.close()
    return Outcome(kills, step, hook, statistics.pending, statistics.undeliverable)


def verify(outcome: Outcome) -> None:
    hook = outcome.hook
    assert (outcome.pending, outcome.undeliverable) == (0, 0)
    contents: dict[str, Any] = {}
    last_seen: dict[str, str] = {}
    for body in hook.requests:
        assert contents.setdefault(body["id"], body["alerts"]) == body["alerts"], "a message changed its content"
        for alert in body["alerts"]:
            assert body["id"] >= last_seen.get(alert["profile"], ""), "an older message after a newer one"
            last_seen[alert["profile"]] = body["id"]
    assert set(hook.accepted) == set(contents), "a message was sent and never accepted"
    for number in range(ALERTS):
        reasons = [
            alert["reason"]
            for id in dict.fromkeys(body["id"] for body in hook.requests)
            for alert in contents[id]
            if alert["profile"] == f"anthropic:{number}"
        ]
        assert reasons == expected(number, outcome.steps), f"alert {number}: lost or repeated a notification"


def test_200_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(tmp_path, 200, "whole", seed=1)
    verify(outcome)
    assert outcome.steps > 200
    hook = outcome.hook
    ids = {body["id"] for body in hook.requests}
    with capsys.disabled():
        print(
            f"\n{outcome.kills} kills, {outcome.steps} changes, {len(ids)} messages, {len(hook.requests)} tries, "
            f"{len(hook.accepted) - len(ids)} accepted twice with one id, answers {dict(sorted(hook.answers.items()))}"
        )


def test_this_test_notices_a_split_transaction(tmp_path: Path) -> None:
    outcome = run(tmp_path, 100, "apart", seed=2)
    with pytest.raises(AssertionError, match="lost or repeated"):
        verify(outcome)
