"""Real Alertmanagers, one and a cluster of three: they receive the state, deduplicate and resolve."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.alerts.channels import ChannelContext, TemporaryError
from exporter.alerts.channels.alertmanager import AlertmanagerSender, build
from exporter.alerts.values import Alert, NotificationReason
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.model import ConditionName, Family, Severity

from .conftest import need
from .parts import free_port, wait_for

pytestmark = pytest.mark.real

#: Seconds that each instance of a cluster waits for the one before it to notify, and between two looks at a group.
#: Alertmanager notifies of what fired when it began to wait. If an alert ends while an instance waits, that instance
#: sends "firing" after another has sent "resolved". So the tests change nothing while one waits.
PEER_TIMEOUT, GROUP_INTERVAL = 3, 12
ALL_HAVE_WAITED = 2 * PEER_TIMEOUT + 3


class Receiver:
    """A webhook receiver that records (status, severity, profile) of each alert it gets."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, str]] = []
        self.notifications: list[tuple[str, int, str]] = []  # receiver, number of alerts, summary of the first

    @contextmanager
    def listening(self) -> Iterator[str]:
        received, notifications = self.received, self.notifications

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                summary = body["alerts"][0]["annotations"]["summary"]
                notifications.append((self.path.strip("/"), len(body["alerts"]), summary))
                for alert in body["alerts"]:
                    received.append((alert["status"], alert["labels"]["severity"], alert["labels"].get("profile", "")))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/"
            finally:
                server.shutdown()
                thread.join()

    def wait_for(self, *expected: tuple[str, str, str]) -> None:
        wait_for(f"{expected}, not {self.received}", lambda: sorted(self.received) == sorted(expected) or None, 30)


class Instance:
    """One Alertmanager on free loopback ports, with one notification per alert."""

    def __init__(
        self, directory: Path, webhook: str, cluster: Sequence[int] = (), number: int = 0, text: str = ""
    ) -> None:
        directory.mkdir(parents=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = directory / "log"
        config = directory / "alertmanager.yml"
        interval = f"{GROUP_INTERVAL if cluster else 1}s"
        route = {"receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": interval}
        receiver = {"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
        default = json.dumps({"route": {**route, "repeat_interval": "1h"}, "receivers": [receiver]})
        config.write_text(text or default)
        flags = [f"--config.file={config}", f"--storage.path={directory / 'data'}"]
        flags += [f"--web.listen-address=127.0.0.1:{port}"]
        if cluster:
            own = f"127.0.0.1:{cluster[number]}"
            flags += [f"--cluster.listen-address={own}", f"--cluster.advertise-address={own}"]
            flags += [f"--cluster.peer=127.0.0.1:{peer}" for peer in cluster if peer != cluster[number]]
            flags += [f"--cluster.peer-timeout={PEER_TIMEOUT}s", "--cluster.settle-timeout=5s"]
        else:
            flags += ["--cluster.listen-address="]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [need("prometheus-alertmanager"), *flags],
                env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self, peers: int) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, f"alertmanager ended at once:\n{self._log.read_text()}"
            try:
                status = self.get("/api/v2/status")["cluster"]
            except httpx.TransportError:
                return False
            return peers == 0 or (status["status"] == "ready" and len(status["peers"]) == peers)

        wait_for("alertmanager to be ready", is_ready, 60)

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.url}{path}", trust_env=False).raise_for_status().json()

    def alerts(self) -> list[tuple[str, str]]:
        """Return severity and profile of the alerts that it considers firing."""
        found = self.get("/api/v2/alerts?active=true")
        return sorted((alert["labels"]["severity"], alert["labels"]["profile"]) for alert in found)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def shipped(webhook: str, name: str = "from-exporter") -> str:
    """A configuration that we ship, with our receiver and short waits."""
    text = (Path(__file__).parents[2] / f"deploy/alertmanager/{name}.yml").read_text()
    quick = re.sub(r"group_(wait|interval): \w+", r"group_\1: 2s", text)
    return quick.replace("http://127.0.0.1:9099/", webhook)


def alert(profile: str, severity: Severity = Severity.CRITICAL) -> Alert:
    return Alert(
        fingerprint=f"{profile}-0123",
        reason=NotificationReason.FIRST,
        family=Family.DEADLINE,
        condition=ConditionName.EXPIRED,
        severity=severity,
        target="home",
        agents=("main",),
        provider="anthropic",
        profile=profile,
        since=time.time() - 3600,
        deadline=time.time() - 3600,
        summary=f"{profile} on home has expired – “now”",
        remedy=("claude setup-token",),
    )


def resolved(notified: Alert) -> Alert:
    return replace(notified, reason=NotificationReason.RESOLVED, ended_at=time.time())


def channel(*instances: Instance) -> AlertmanagerSender:
    urls = [instance.url for instance in instances]
    config = AlertmanagerChannel(name="am", type="alertmanager", urls=urls)
    return build(config, ChannelContext(external_url="https://status.test/"))


def publish(am: AlertmanagerSender, firing: Sequence[Alert], resolved: Sequence[Alert] = (), **more: Any) -> list[Any]:
    return asyncio.run(am.publish(firing, resolved, time.time(), **more))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def alone(tmp_path: Path, receiver: Receiver) -> Iterator[Instance]:
    with ExitStack() as stack:
        instance = Instance(tmp_path / "alertmanager", stack.enter_context(receiver.listening()))
        stack.callback(instance.end)
        instance.wait_until_ready(0)
        yield instance


@pytest.fixture
def cluster(tmp_path: Path, receiver: Receiver) -> Iterator[list[Instance]]:
    with ExitStack() as stack:
        webhook, ports = stack.enter_context(receiver.listening()), [free_port() for _ in range(3)]
        instances = [Instance(tmp_path / f"am-{number}", webhook, ports, number) for number in range(3)]
        for instance in instances:
            stack.callback(instance.end)
        for instance in instances:
            instance.wait_until_ready(3)
        yield instances


def test_one_alertmanager(alone: Instance, receiver: Receiver) -> None:
    am, one, two = channel(alone), alert("anthropic:one", Severity.WARNING), alert("anthropic:two")
    assert publish(am, [one, two]) == [None]
    fires = [("firing", "warning", "anthropic:one"), ("firing", "critical", "anthropic:two")]
    receiver.wait_for(*fires)
    assert alone.alerts() == [("critical", "anthropic:two"), ("warning", "anthropic:one")]
    (held,) = alone.get('/api/v2/alerts?filter=profile="anthropic:two"')
    assert held["annotations"]["summary"] == two.summary
    assert held["generatorURL"] == "https://status.test/"

    # Published again, it is the same alert.
    for _ in range(3):
        assert publish(am, [one, two]) == [None]
    assert alone.alerts() == [("critical", "anthropic:two"), ("warning", "anthropic:one")]

    # A changed severity resolves the old label set; the other alert stays.
    worse = replace(one, severity=Severity.CRITICAL)
    assert publish(am, [worse, two]) == [None]
    escalated = [("resolved", "warning", "anthropic:one"), ("firing", "critical", "anthropic:one")]
    receiver.wait_for(*fires, *escalated)
    assert alone.alerts() == [("critical", "anthropic:one"), ("critical", "anthropic:two")]

    # An ended alert resolves once, however often the state is published.
    assert publish(am, [two], [resolved(worse)]) == [None]
    end = ("resolved", "critical", "anthropic:one")
    receiver.wait_for(*fires, *escalated, end)
    for _ in range(3):
        assert publish(am, [two]) == [None]
    assert alone.alerts() == [("critical", "anthropic:two")]
    time.sleep(3)  # a few group intervals, for a notification that must not come
    assert sorted(receiver.received) == sorted([*fires, *escalated, end])


def test_shipped_configuration_groups_and_sends_no_end_for_a_change_of_severity(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ExitStack() as stack:
        webhook = stack.enter_context(receiver.listening())
        instance = Instance(tmp_path / "alertmanager", webhook, text=shipped(webhook))
        stack.callback(instance.end)
        instance.wait_until_ready(0)
        am, warning = channel(instance), Severity.WARNING
        one, two = alert("anthropic:one", warning), alert("anthropic:two", warning)

        # Problems that began an hour ago share one notification.
        publish(am, [one, two])
        fires = [("firing", "warning", "anthropic:one"), ("firing", "warning", "anthropic:two")]
        receiver.wait_for(*fires)
        assert [(where, number) for where, number, _ in receiver.notifications] == [("chat", 2)]

        # It gets worse and better again: the phone is notified, and nobody of an end.
        worse = replace(one, severity=Severity.CRITICAL)
        publish(am, [worse, two])
        receiver.wait_for(*fires, ("firing", "critical", "anthropic:one"))
        time.sleep(5)
        publish(am, [one, two])
        time.sleep(7)
        assert {status for status, _, _ in receiver.received} == {"firing"}

        # Then it is over, and both receivers hear of it.
        publish(am, [two], [replace(resolved(one), summary="anthropic:one works until 2027-11-22T10:00:00Z")])
        wait_for(
            "an end for both receivers",
            lambda: (
                {severity for status, severity, _ in receiver.received if status == "resolved"}
                == {"critical", "warning"}
            ),
            30,
        )
        ends = [summary for where, _, summary in receiver.notifications if where == "phone"]
        assert ends[-1] == "anthropic:one works until 2027-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("before", "after"), [(Severity.WARNING, Severity.CRITICAL), (Severity.CRITICAL, Severity.WARNING)]
)
def test_severity_that_changed_just_before_a_kill_is_notified(
    tmp_path: Path, receiver: Receiver, before: Severity, after: Severity
) -> None:
    with ExitStack() as stack:
        webhook = stack.enter_context(receiver.listening())
        instance = Instance(tmp_path / "alertmanager", webhook, text=shipped(webhook))
        stack.callback(instance.end)
        instance.wait_until_ready(0)
        one = alert("anthropic:one", before)
        publish(channel(instance), [one])
        receiver.wait_for(("firing", before, "anthropic:one"))

        # The exporter stores the change and is killed before it publishes it. The next one takes it as published.
        successor, changed = channel(instance), replace(one, severity=after)
        successor.assume_sent([changed], time.time())
        publish(successor, [changed])
        notified = [("firing", before, "anthropic:one"), ("firing", after, "anthropic:one")]
        receiver.wait_for(*notified)
        time.sleep(5)
        assert receiver.received == notified
        assert instance.alerts() == [(after, "anthropic:one")]


def test_an_alert_that_is_not_published_again_resolves(alone: Instance, receiver: Receiver) -> None:
    """If the exporter is gone for good, nothing fires forever."""
    publish(channel(alone), [alert("anthropic:one")], ends_after=3)
    receiver.wait_for(("firing", "critical", "anthropic:one"), ("resolved", "critical", "anthropic:one"))
    assert alone.alerts() == []


def test_alertmanager_accepts_odd_names_and_a_test_notification(alone: Instance, receiver: Receiver) -> None:
    odd = replace(alert('anthropic:"odd"\\\n{}é\ud800'), agents=(), provider=None, since=None, deadline=None)
    am = channel(alone)
    assert publish(am, [odd]) == [None]
    receiver.wait_for(("firing", "critical", 'anthropic:"odd"\\\n{}é?'))
    test = replace(alert("test"), reason=NotificationReason.TEST, severity=Severity.INFO)
    asyncio.run(am.test(test, time.time()))
    receiver.wait_for(("firing", "critical", 'anthropic:"odd"\\\n{}é?'), ("firing", "info", "test"))


def test_a_cluster_of_three_notifies_once(cluster: list[Instance], receiver: Receiver) -> None:
    am, one, two = channel(*cluster), alert("anthropic:one"), alert("anthropic:two")
    expected: list[tuple[str, str, str]] = []

    def notifies_once(*news: tuple[str, str, str]) -> None:
        expected.extend(news)
        receiver.wait_for(*expected)
        time.sleep(ALL_HAVE_WAITED)
        assert sorted(receiver.received) == sorted(expected)

    assert publish(am, [one, two]) == [None, None, None]
    notifies_once(("firing", "critical", "anthropic:one"), ("firing", "critical", "anthropic:two"))
    for instance in cluster:
        assert instance.alerts() == [("critical", "anthropic:one"), ("critical", "anthropic:two")]

    assert publish(am, [two], [resolved(one)]) == [None, None, None]
    notifies_once(("resolved", "critical", "anthropic:one"))
    for instance in cluster:
        assert instance.alerts() == [("critical", "anthropic:two")]

    # One instance ends. The others still notify once.
    cluster[0].end()
    result = publish(am, [], [resolved(two)])
    assert isinstance(result[0], TemporaryError)
    assert result[1:] == [None, None]
    notifies_once(("resolved", "critical", "anthropic:two"))
