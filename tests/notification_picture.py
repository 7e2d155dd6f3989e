"""Writes a page that shows notifications as a phone does, for ``scripts/screenshots``.

Usage: ``python tests/notification_picture.py FILE.html``. A daemon checks simulated targets and publishes to a stand-in
for ntfy. The texts are the daemon's; the phone around them is drawn: it is a likeness.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

from alerts.fake_ntfy import Event, FakeNtfy

#: How long the daemon may take until it has sent everything, in seconds.
PATIENCE = 60.0
#: The targets of the picture, by scenario.
TARGETS = {"cabin": "expiring", "rack7": "revoked"}
_COLOURS = {"rotating_light": "#d93025", "warning": "#e8a100"}
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body{margin:0;padding:20px 14px;background:#26323f;color:#1d2329;font:15px/1.4 system-ui,sans-serif}
article{background:#fff;border-radius:22px;padding:14px 18px;margin-bottom:12px}
header{color:#5b6570;font-size:13px;margin-bottom:4px}
i{display:inline-block;width:11px;height:11px;border-radius:50%%;margin-right:7px}
b{display:block;font-size:16px}
p{margin:4px 0 0;white-space:pre-line;overflow-wrap:anywhere}
footer{margin-top:10px;color:#0b57d0;font-weight:600;display:flex;gap:26px}
</style>%s"""
_CARD = '<article><header>ntfy</header><b><i style="background:%s"></i>%s</b><p>%s</p><footer>%s</footer></article>'


def card(event: Event) -> str:
    """A message as the phone shows it below the others."""
    labels = "".join(f"<span>{escape(action['label'])}</span>" for action in event.get("actions", ()))
    colour = _COLOURS.get(event["tags"][0], "#0b57d0")
    return _CARD % (colour, escape(event["title"]), escape(event["message"]), labels)


def notify(server: FakeNtfy, url: str, name: str, scenario: str, folder: Path) -> None:
    """Run a daemon until it has notified the phone of its one target."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "name": name,
        "targets": [{"name": name, "source": "simulated", "scenario": scenario}],
        "channels": [{"name": "phone", "type": "ntfy", "url": url, "topic": "demo"}],
        "alerts": {"group_wait": "0s"},
        "web": {"listen": listen, "external_url": "https://home.example", "token": "t" * 40},
        "state_dir": str(folder / name),
    }
    config = folder / f"{name}.json5"
    config.write_text(json.dumps(settings))
    daemon = subprocess.Popen([sys.executable, "-m", "exporter.cli", "serve", "--config", config])
    before, ends = len(server.phone), time.monotonic() + PATIENCE
    try:
        while len(server.phone) == before:
            if time.monotonic() > ends:
                raise TimeoutError(f"no notification of {name} came")
            time.sleep(0.2)
    finally:
        daemon.terminate()
        daemon.wait()


def main(file: str) -> None:
    server = FakeNtfy(now=time.time())
    with tempfile.TemporaryDirectory() as folder, server.serving() as url:
        for name, scenario in TARGETS.items():
            notify(server, url, name, scenario, Path(folder))
    latest_first = reversed(server.phone.values())
    Path(file).write_text(_PAGE % "".join(map(card, latest_first)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
