"""How the alerts about a renewed credential end."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from exporter.config import Config
from exporter.reauth import resolve


def config(**rest: Any) -> Config:
    return Config.model_validate({"targets": [{"name": "vps", "source": "openclaw", "ssh": "vps"}], **rest})


HOOK = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}


@pytest.mark.parametrize(
    ("channels", "once", "said"),
    [
        ([], None, None),
        ([HOOK], True, "The channels are notified."),
        ([HOOK], False, "A notification could not be delivered: the next `check --notify` tries again."),
        ([HOOK], None, "The daemon notifies the channels at its next check, in 1 h at the latest."),
    ],
)
def test_channels_are_notified_unless_a_daemon_does_it(
    channels: list[Any], once: bool | None, said: str | None
) -> None:
    assert resolve.resolve_alerts(config(channels=channels), ["vps"], lambda targets: once) == said


def test_daemon_with_a_known_token_checks_at_once() -> None:
    heard: list[tuple[str, str, bytes]] = []

    class Daemon(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, self.headers["authorization"], body))
            self.send_response(200 if self.headers["authorization"] == "Bearer right" else 401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        web = {"listen": f"0.0.0.0:{server.server_port}", "token": "right"}
        resolved = resolve.resolve_alerts(config(web=web), ["vps"], lambda targets: True)
        wrong = resolve.resolve_alerts(config(web={**web, "token": "wrong"}), ["vps"], lambda targets: True)
        server.shutdown()
    assert (resolved, wrong) == ("The daemon has checked it too: its alerts end.", None)
    assert heard[0] == ("/api/v1/check", "Bearer right", b'{"target": "vps"}')
    assert resolve.resolve_alerts(config(web=web), ["vps"], lambda targets: True) is None  # nobody is there any more
