"""Faults around the whole program: failing channels, two processes on one state, full and read-only disks."""

from __future__ import annotations

import email.utils
import json
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from faults.servers import BadServer, byte_by_byte, garbage, hanging, nobody, saying, unsigned

from .conftest import Serve
from .disks import fill
from .files import TOKEN, FilesHome, check_now, in_a_year, store_target
from .parts import Exporter, free_port, running, wait_for

pytestmark = pytest.mark.real

#: Failures that are retried, with the reason that is counted.
RETRIED = {
    "408": "http_error",
    "429-seconds": "http_error",
    "429-date": "http_error",
    "500": "http_error",
    "503": "http_error",
    "garbage": "http_error",
    "refusing": "connection",
    "certificate": "connection",
}
#: Failures that only a person can fix.
PERMANENT = {"301": "http_error", "400": "http_error", "401": "unauthorized", "404": "http_error", "413": "http_error"}
#: Channels that answer slowly: their result is unknown for 15 s.
SLOW = ("hanging", "byte-by-byte")


@pytest.fixture
def world(tmp_path: Path) -> FilesHome:
    return FilesHome(tmp_path / "files")


def expired() -> dict[str, float]:
    return {"anthropic:default": time.time() - 3600}


def test_channels_that_fail_in_every_way(tmp_path: Path, world: FilesHome) -> None:
    world.write_tokens(expired())
    with ExitStack() as stack:
        ways = {name: saying(int(name)) for name in (*RETRIED, *PERMANENT) if name.isdecimal()}
        ways["301"] = saying(301, "Location: /elsewhere")
        ways["429-seconds"] = saying(429, "Retry-After: 5")
        ways["429-date"] = saying(429, f"Retry-After: {email.utils.formatdate(time.time() + 5, usegmt=True)}")
        ways |= {"garbage": garbage, "hanging": hanging, "byte-by-byte": byte_by_byte}
        server = stack.enter_context(BadServer(ways))
        untrusted = stack.enter_context(BadServer(tls=unsigned(tmp_path)))
        refusing = stack.enter_context(ExitStack())
        port = refusing.enter_context(nobody())
        urls = {name: f"{server.url}/{name}" for name in (*ways, "good")}
        urls |= {"refusing": f"http://127.0.0.1:{port}/refusing", "certificate": f"{untrusted.url}/certificate"}
        channels = [{"name": name, "type": "webhook", "url": url} for name, url in urls.items()]
        exporter = Exporter(
            world,
            tmp_path / "exporter",
            targets=[store_target(world)],
            channels=channels,
            alerts={"group_wait": "0s"},
        )
        with running(exporter):
            wait_for("a message at the channel that works", lambda: server.received("good") or None, 30)

            def failed(name: str, reason: str) -> float:
                return exporter.value("notifications_failed_total", channel=name, reason=reason) or 0

            everything = {**RETRIED, **PERMANENT}
            wait_for("a failure of each channel", lambda: all(failed(*item) for item in everything.items()) or None, 60)
            wait_for("a request at each slow channel", lambda: all(server.received(name) for name in SLOW) or None, 30)
            series = exporter.samples()

            def value(name: str, **labels: str) -> float:
                return series[f"openclaw_auth_{name}", frozenset(labels.items())]

            for name, reason in everything.items():
                is_undeliverable = name in PERMANENT
                assert value("notifications_dead_total", channel=name) == is_undeliverable, name
                assert value("notifications_pending", channel=name) == (not is_undeliverable), name
                tries = value("notifications_total", channel=name)
                assert value("notifications_failed_total", channel=name, reason=reason) == tries, name
            for name in SLOW:
                assert value("notifications_pending", channel=name) == 1
            shown = json.loads(exporter.get("/api/v1/status"))["notifications"]["channels"]
            dead = {one["name"]: [message["reason"] for message in one["dead"]] for one in shown if one["dead"]}
            assert dead == {name: [reason] for name, reason in PERMANENT.items()}
            assert {one["name"] for one in shown if one["pending"]} == {*RETRIED, *SLOW}
            assert exporter.get("/-/healthy")
            assert exporter.daemon is not None
            # Killed while some messages are being sent and others wait for their next attempt.
            exporter.daemon.kill()
            exporter.daemon.wait()

            server.recover()
            refusing.close()
            back = stack.enter_context(BadServer(port=port))
            exporter.start()
            awaited = [name for name in (*RETRIED, *SLOW) if name != "certificate"]
            wait_for(
                f"delivery of all that can be delivered; {exporter.log.read_text()}",
                lambda: all(exporter.value("notifications_pending", channel=name) == 0 for name in awaited) or None,
                60,
            )
            assert exporter.value("notifications_pending", channel="certificate") == 1
        for name in (*awaited, "good"):
            bodies = (back if name == "refusing" else server).received(name)
            assert len({body["id"] for body in bodies}) == 1, f"{name}: a message with one id"
            assert {tuple(alert["reason"] for alert in body["alerts"]) for body in bodies} == {("first",)}
        for name in PERMANENT:
            assert len(server.received(name)) == 1, f"{name}: no retry"
        assert server.received("elsewhere") == []
        assert len(server.received("good")) == 1
        assert untrusted.came == [], "an untrusted server gets no request"
        assert untrusted.connections > 0


def test_two_daemons_and_a_timer_on_one_state(tmp_path: Path, world: FilesHome) -> None:
    world.write_tokens(expired())
    with BadServer() as server:
        config = {
            "targets": [store_target(world)],
            "channels": [{"name": "hook", "type": "webhook", "url": f"{server.url}/hook"}],
            "alerts": {"group_wait": "0s"},
            "state_dir": str(tmp_path / "state"),
        }
        address = {"listen": f"127.0.0.1:{free_port()}", "token": TOKEN}
        one = Exporter(world, tmp_path / "one", **config, web=address)
        one.url = f"http://{address['listen']}"
        with running(one):
            wait_for("the first notification", lambda: server.received("hook") or None, 30)
            two = Exporter(world, tmp_path / "two", **config)
            two.start()
            try:
                two.wait_for_check()
                checked = one.run("check", "--notify", "--line")
                assert (checked.returncode, checked.stdout.split()[0]) == (1, "EXPIRED")
                assert "A daemon sends the notifications. This command only checked." in checked.stderr
                wait_for("the second daemon's log line", lambda: "this one waits" in two.log.read_text() or None, 30)
                assert server.reasons("hook") == ["first"]
                world.write_tokens({"anthropic:default": in_a_year()})
                check_now(one)
                wait_for("the notification of the recovery", lambda: len(server.received("hook")) == 2 or None, 30)
                two.wait_for_check(2)
            finally:
                two.send(signal.SIGTERM)
                assert two.daemon is not None
                assert two.daemon.wait(30) == 0
        # Without a daemon, the timer's check notifies.
        world.write_tokens(expired())
        assert one.run("check", "--notify", "--quiet").returncode == 1
        assert one.run("check", "--notify", "--quiet").returncode == 1
        assert server.reasons("hook") == ["first", "renewed", "first"]


def test_read_only_and_full_disks_delay_no_notification(
    tmp_path: Path, world: FilesHome, small_disk: Path, serve: Serve
) -> None:
    world.write_tokens(expired())
    with BadServer() as server:
        port = free_port()
        exporter = Exporter(
            world,
            tmp_path / "exporter",
            targets=[store_target(world)],
            channels=[{"name": "hook", "type": "webhook", "url": f"{server.url}/hook"}],
            heartbeat={"url": f"{server.url}/beat", "every": "1s"},
            alerts={"group_wait": "0s"},
            state_dir=str(small_disk / "state"),
            web={"listen": f"127.0.0.1:{port}", "token": TOKEN},
        )
        exporter.url = f"http://127.0.0.1:{port}"
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with running(exporter):
            wait_for("a notification despite the read-only disk", lambda: server.received("hook") or None, 30)
            assert exporter.value("exporter_state_ok") == 0
            wait_for("the heartbeat's failure with its reason", lambda: server.received("beat/fail") or None, 30)
            assert "read-only file system" in server.received("beat/fail")[0].lower()
            assert server.received("beat") == []
        log = exporter.log.read_text()
        assert "is kept in memory and is lost when the exporter stops" in log
        assert "Please report it" not in log

        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        with running(exporter):
            wait_for("a notification from the new state", lambda: len(server.received("hook")) == 2 or None, 30)
            assert exporter.value("exporter_state_ok") == 1
            filler = fill(small_disk)
            server.came.clear()
            world.write_tokens({f"anthropic:{number:03}": in_a_year() for number in range(200)})
            check_now(exporter)
            wait_for("the heartbeat's failure for the full disk", lambda: server.received("beat/fail") or None, 30)
            assert "database or disk is full" in server.received("beat/fail")[0]
            assert exporter.value("exporter_state_ok") == 0
            assert exporter.value("exit_code", target="home", agent="main") == 0, "checks continue"
            assert exporter.get("/-/healthy")
            wait_for("a notification despite the full disk", lambda: server.received("hook") or None, 60)
            filler.unlink()
            check_now(exporter)
            wait_for("the state to be written again", lambda: exporter.value("exporter_state_ok") == 1 or None, 60)
        with running(exporter):
            exporter.wait_for_check()
            time.sleep(2)  # time for a repeat that must not arrive, because the state was saved
        assert server.reasons("hook") in (["renewed"], ["resolved"])
