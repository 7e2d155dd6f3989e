"""A world in which every panel of the dashboards shows something, and a Prometheus that scrapes it.

Four exporters: ``all`` is a daemon with a real OpenClaw, stand-ins for the command and a gateway, and channels of which
some fail. ``gone`` is a daemon that was scraped and ended. ``odd`` is a daemon that cannot keep its state. ``left`` is
a textfile that was written four hours ago, after the clock had been ahead.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
from stand_ins import COMMAND
from stand_ins.gateway import agents_list_json, gateway_json, health_json

from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.values import Alert, Message, NotificationReason
from exporter.model import ConditionName, Dialect, Severity
from exporter.model import FailureReason as Trouble
from exporter.simulator import Profile, World

from .conftest import need
from .parts import CURRENT, Exporter, OpenClawHome, free_port, running, wait_for
from .prometheus import Prometheus

HOUR, DAY = 3600.0, 86400.0
RULES = Path(__file__).parents[2] / "deploy/prometheus/openclaw-auth.rules.yml"
DEFAULT, SPARE = "anthropic:default", "anthropic:spare"
GATEWAY_TOKEN = "g" * 40


def _token(expires: float | None, id: str = DEFAULT) -> Profile:
    return Profile(id, "anthropic", "token", expires)


def _without_secret(id: str) -> Profile:
    return Profile(id, "anthropic", "token", secret="")


def worlds(now: float) -> dict[str, World]:
    """Return target name → the world of its stand-in for the command."""
    names = "attic barn cabin cellar desk empty garage hut loft mill office shed"
    made = {name: World() for name in names.split()}
    made["office"].dialect = Dialect.STATUS  # this release reports the date of an expired token
    made["office"].add(_token(now - 3 * HOUR))
    made["hut"].add(_token(now - HOUR))  # this release does not
    made["garage"].dialect = Dialect.STATUS
    made["garage"].add(_token(now - 2 * DAY))
    made["garage"].add(_token(now + 60 * DAY, SPARE))
    made["garage"].cool_down(SPARE, "rate_limit", now - HOUR)
    made["cabin"].dialect = Dialect.LISTING
    made["cabin"].add(_token(now + 40 * DAY))
    made["cabin"].cool_down(DEFAULT, "rate_limit", now + 20 * 60)
    made["shed"].add(_token(now + 50 * DAY))
    made["shed"].disable(DEFAULT, "auth_permanent", now + HOUR)
    made["barn"].add(_token(None))
    made["loft"].add(_without_secret(DEFAULT))
    made["mill"].add(_token(now + 90 * DAY, SPARE))
    made["mill"].add(_without_secret("anthropic:lost"))
    made["mill"].add(_token(now + 95 * DAY, "anthropic:shut"))
    made["mill"].disable("anthropic:shut", "auth_permanent", now + 2 * HOUR)
    made["desk"].add(_token(now + 10 * DAY))
    made["attic"].break_check(Trouble.INVALID_OUTPUT)
    made["cellar"].break_check(Trouble.COMMAND_ERROR)
    return made


@dataclass
class Outside:
    """One HTTP server for everything outside: ntfy, a gateway, a textfile, and failing webhooks and heartbeat."""

    gateway: World
    now: float
    textfile: str = ""
    published: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        if path == "/" and method == "POST":
            self.published.append(json.loads(body))
            return 200, '{"id": "x"}'
        if path == "/api/v1/admin/rpc":
            return self._rpc(json.loads(body))
        if path == "/metrics":
            return (200, self.textfile) if self.textfile else (503, "")
        return (503 if path.startswith(("/busy", "/beat")) else 404), ""

    def _rpc(self, request: dict[str, Any]) -> tuple[int, str]:
        now = time.time()
        payload: dict[str, Any] = {
            "models.authStatus": lambda: gateway_json(self.gateway, now),
            "agents.list": lambda: agents_list_json(self.gateway),
        }.get(request["method"], lambda: health_json(self.gateway, now))()
        if request["method"] == "models.authStatus":
            windows = (("5h", 95, 2 * HOUR), ("Week", 40, 3 * DAY))
            payload["providers"][0]["usage"] = {
                "windows": [
                    {"label": label, "usedPercent": used, "resetAt": int((self.now + resets) * 1000)}
                    for label, used, resets in windows
                ]
            }
        return 200, json.dumps({"id": "1", "ok": True, "payload": payload})

    @contextmanager
    def listening(self) -> Iterator[str]:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                code, text = outside.answer(self.command, self.path, body)
                self.send_response(code)
                self.send_header("Content-Type", "application/json" if text[:1] == "{" else "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

            def log_message(self, *words: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            yield f"127.0.0.1:{server.server_address[1]}"
            server.shutdown()


class ScrapesAll(Prometheus):
    """A Prometheus that scrapes each address every second, with its own ``instance`` label."""

    def __init__(self, directory: Path, addresses: dict[str, str]) -> None:
        directory.mkdir(parents=True)
        self.log = directory / "log"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        static = [{"targets": [address], "labels": {"instance": name}} for name, address in addresses.items()]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "openclaw_auth", "static_configs": static}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        flags = [
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [need("prometheus"), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


@dataclass(frozen=True)
class Stage:
    """The running world. ``now``: when its dates were computed; ``expires``: the real OpenClaw's deadline."""

    now: float
    expires: float
    exporter: Exporter
    prometheus: Prometheus
    outside: Outside
    desk: Path

    def paste_at_desk(self, expires_in: float) -> None:
        world = World.load(self.desk)
        world.paste_token(DEFAULT, expires_in, self.now)
        world.save(self.desk)


def _left_behind(directory: Path, now: float) -> str:
    """Return the textfile of four hours ago, written when the credential history was from tomorrow."""
    directory.mkdir()
    config, file = directory / "config.json5", directory / "left.prom"
    targets = [{"name": "local", "source": "simulated", "scenario": "healthy"}]
    config.write_text(json.dumps({"targets": targets, "state_dir": str(directory / "state")}))
    at_that_time = (
        "import datetime, sys, freezegun\nfrom exporter.cli import main\n"
        "at = datetime.datetime.fromtimestamp(float(sys.argv.pop(1)), datetime.timezone.utc).replace(tzinfo=None)\n"
        "with freezegun.freeze_time(at, tick=True, real_asyncio=True):\n    main()\n"
    )
    for at, command in ((now + DAY, ["check", "--quiet"]), (now - 4 * HOUR, ["textfile", "--output", str(file)])):
        argv = [sys.executable, "-c", at_that_time, str(at), *command, "--config", str(config)]
        ended = subprocess.run(
            argv, env={"HOME": str(directory), "PATH": "/usr/bin:/bin"}, capture_output=True, timeout=60
        )
        assert ended.returncode in (0, 1, 2), ended.stderr
    return file.read_text()


def _waits_since(state: Path, at: float) -> None:
    """Store a message to ``hook`` that has waited for delivery since ``at``."""
    state.mkdir(mode=0o700, parents=True)
    outbox = Outbox(state / "alerts.sqlite", now=lambda: at)
    alert = Alert(
        "f" * 32,
        NotificationReason.FIRST,
        ConditionName.EXPIRED.family,
        ConditionName.EXPIRED,
        Severity.CRITICAL,
        "office",
        summary="expired",
    )
    outbox.commit({}, [Message("hook", at, (alert,))], at)
    outbox.close()


def _real_openclaw(directory: Path, now: float) -> tuple[OpenClawHome, float]:
    """Make a home with a used token that ends within a day, and an unpaid login that no route uses."""
    home = OpenClawHome(CURRENT, directory)
    home.set_model()
    home.paste_token(DEFAULT, "12h")
    login = {"type": "oauth", "provider": "google", "access": "a" * 40, "refresh": "r" * 40}
    ms = int(now * 1000)
    home.write_store(
        {**home.stored_profiles(), "google:login": {**login, "expires": ms + 3_600_000}},
        usage={
            DEFAULT: {"lastUsed": ms - 60_000},
            "google:login": {"disabledUntil": ms + 3_600_000, "disabledReason": "billing", "lastUsed": ms},
        },
    )
    return home, home.stored_profiles()[DEFAULT]["expires"] / 1000


@contextmanager
def staged(directory: Path, seconds: float = 0.0) -> Iterator[Stage]:
    """Yield the world ``seconds`` after all of it has arrived in Prometheus."""
    for part in ("node", f"openclaw-{CURRENT}", "prometheus"):
        need(part)
    with ExitStack() as stack:
        now = time.time()
        home, expires = _real_openclaw(directory / "openclaw", now)
        rack = World()
        rack.add(_token(now + 70 * DAY))
        outside = Outside(rack, now, textfile=_left_behind(directory / "left", now))
        address = stack.enter_context(outside.listening())

        targets: list[dict[str, Any]] = [
            {"name": "home", "source": "openclaw", "command": [str(home.command)], "agents": ["main"]},
            {
                "name": "rack7",
                "source": "gateway",
                "url": f"http://{address}",
                "token": GATEWAY_TOKEN,
                "interval": "2s",
            },
        ]
        for name, world in worlds(now).items():
            file = directory / f"{name}.json"
            world.save(file)
            command = [*COMMAND, "--world", str(file), "openclaw"]
            often = {"attic": "3s", "cellar": "5s", "desk": "2s", "office": "4s"}
            each = {"agents": ["main"], "interval": often.get(name, "1h")}
            targets.append({"name": name, "source": "openclaw", "command": command, **each})
        grumbler = directory / "grumbler" / "openclaw"
        grumbler.parent.mkdir()
        file = directory / "porch.json"
        porch = World()
        porch.add(_token(now + 80 * DAY))
        porch.save(file)
        grumbler.write_text(f'#!/bin/sh\n{shlex.join(COMMAND)} --world {file} openclaw "$@"\nexit 1\n')
        grumbler.chmod(0o755)
        each = {"agents": ["main"], "interval": "1h"}
        targets.append({"name": "porch", "source": "openclaw", "command": [str(grumbler)], **each})

        place = directory / "all"
        _waits_since(place / "state", now - 2 * HOUR)
        exporter = Exporter(
            home,
            place,
            targets=targets,
            alerts={"group_wait": "4s", "confirm_checks": 1, "check_failed_after": "0s"},
            channels=[
                {"name": "phone", "type": "ntfy", "url": f"http://{address}", "topic": "topic"},
                {"name": "hook", "type": "webhook", "url": f"http://{address}/busy", "min_severity": "critical"},
                {"name": "old", "type": "webhook", "url": f"http://{address}/closed", "min_severity": "critical"},
            ],
            heartbeat={"url": f"http://{address}/beat", "every": "1s"},
        )
        exporter.config["web"]["external_url"] = exporter.url
        exporter.config_file.write_text(json.dumps(exporter.config))
        simulated = [{"name": "local", "source": "simulated", "scenario": "healthy"}]
        other = cast(OpenClawHome, _Nowhere(directory / "nobody"))
        gone = Exporter(other, directory / "gone", targets=simulated)
        simulated = [{"name": "kept", "source": "simulated", "scenario": "healthy"}]
        odd = Exporter(
            cast(OpenClawHome, _Nowhere(directory / "else")),
            directory / "odd",
            targets=simulated,
            state_dir="/dev/null/nowhere",
        )

        addresses = {"all": f"127.0.0.1:{exporter.port}", "gone": f"127.0.0.1:{gone.port}", "left": address}
        addresses["odd"] = f"127.0.0.1:{odd.port}"
        prometheus = ScrapesAll(directory / "prometheus", addresses)
        stack.callback(prometheus.end)
        stack.enter_context(running(odd))
        with running(gone):
            prometheus.wait_until_ready()
            # Scraped before anything fails, because counters rise from their first scraped value.
            stack.enter_context(running(exporter))
            wait_for("a scrape of gone", lambda: prometheus.query('openclaw_auth_exit_code{instance="gone"}') != [], 30)
        stage = Stage(now, expires, exporter, prometheus, outside, directory / "desk.json")
        _go_through(stage)
        time.sleep(seconds)
        yield stage


@dataclass(frozen=True)
class _Nowhere:
    """Stands for a home, for an ``Exporter`` that has none."""

    home: Path

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}

    @property
    def command(self) -> Path:
        return self.home


def _go_through(stage: Stage) -> None:
    """Let it all happen while Prometheus scrapes: checks, failures, deliveries, a renewal, a button, a bad reload."""
    exporter, prometheus = stage.exporter, stage.prometheus
    names = {target["name"] for target in exporter.config["targets"]}

    def seen(query: str) -> bool:
        return prometheus.query(query) != []

    def checked() -> bool:
        return {labels["target"] for labels, _ in prometheus.query('openclaw_auth_exit_code{instance="all"}')} == names

    wait_for("a check of all targets", checked, 90)
    wait_for("an undeliverable message", lambda: seen('openclaw_auth_notifications_dead_total{channel="old"} > 0'), 30)
    wait_for("failed deliveries", lambda: seen('openclaw_auth_notifications_failed_total{channel="hook"} > 1'), 30)
    # A person sends a test notification and presses its button.
    tried = exporter.run("notify", "test", "--channel", "phone")
    assert tried.returncode == 0, tried.stderr
    button = next(message for message in stage.outside.published if "test" in message["title"].lower())["actions"][0]
    assert httpx.post(button["url"], trust_env=False).status_code == 200
    stage.paste_at_desk(5 * DAY)
    added = exporter.run("silence", "add", "--target", "porch", "--for", "1h", "--reason", "known")
    assert added.returncode == 0, added.stderr
    exporter.config_file.write_text("{ nonsense")
    exporter.send(signal.SIGHUP)
    for what, query in {
        "the acknowledged test": 'openclaw_auth_channel_last_proven_timestamp_seconds{channel="phone"}',
        "the silence": "openclaw_auth_silences == 1",
        "the bad configuration": 'openclaw_auth_exporter_config_last_reload_successful{instance="all"} == 0',
        "the heartbeat": "openclaw_auth_heartbeat_last_success_timestamp_seconds == 0",
        "failures by reason": 'count(increase(openclaw_auth_check_failures_total{instance="all"}[30s]) > 1) > 1',
        "the new deadline": 'changes(openclaw_auth_profile_expiry_timestamp_seconds{target="desk"}[1m]) > 0',
    }.items():
        wait_for(what, lambda query=query: seen(query), 60)  # type: ignore[misc]  # the default is its type
    wait_for("all notifications to be sent", lambda: _is_settled(stage), 60)


def _is_settled(stage: Stage) -> bool:
    """Whether every alert was sent, that of the desk with its new deadline, and Prometheus knows what still waits."""
    notifications = json.loads(stage.exporter.get("/api/v1/status"))["notifications"]
    alerts = notifications["alerts"]
    is_sent = not any(alert["waits"] == "about to be sent" for alert in alerts)
    deadlines = [dt.datetime.fromisoformat(alert["deadline"]) for alert in alerts if alert["target"] == "desk"]
    is_renewed = [at.timestamp() < stage.now + 6 * DAY for at in deadlines] == [True]
    waiting = {channel["name"]: channel["pending"] for channel in notifications["channels"]}
    found = stage.prometheus.query("openclaw_auth_notifications_pending")
    seen = {labels["channel"]: value for labels, value in found if labels["instance"] == "all"}
    return is_sent and is_renewed and seen == waiting and waiting["phone"] == waiting["old"] == 0
