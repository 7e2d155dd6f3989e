"""Runs docs/recipes.md block by block, as a person pastes it, with a real systemd, Prometheus and Alertmanager.

The blocks copy the shipped rules, routes, scrape examples and units, which run unchanged at the addresses they name.
Only the intervals of scraping, evaluating and grouping are shortened to a second; the rules keep their own.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.simulator.world import World

from .conftest import need
from .machine import PARTS, PYTHON, ROOT, ROOT_HOME, Machine
from .parts import CURRENT, TOKEN_PREFIX, wait_for
from .recipe import (
    NTFY,
    OFFLINE,
    RECEIVER,
    RECIPES,
    RECORDER,
    SWITCH,
    Recipe,
    alerts,
    block,
    blocks,
    failed_rules,
    held,
    is_up,
    notified,
    requests,
    series,
    speed_up,
)

pytestmark = pytest.mark.real

RUNBOOK = (ROOT / "docs/runbook.md").read_text()
INSTALL = (ROOT / "docs/install.md").read_text()
README = (ROOT / "README.md").read_text()

PROFILE = "anthropic:default"
UNIT = "openclaw-auth-exporter@alice.service"
DAY = 86400.0


@pytest.fixture
def host(machine: Machine) -> Iterator[Machine]:
    """The machine, with replacements for internet commands and a recorder of outgoing requests."""
    for name, script in OFFLINE.items():
        machine.write(f"/usr/local/sbin/{name}", f"#!/bin/sh\nset -eu\n{script}\n", mode="755")
    machine.write("/srv/recorder.py", RECORDER)
    machine.run("rm", "-rf", "/run/requests", f"{ROOT_HOME}/openclaw-assets")
    ports = [str(port) for port in (NTFY, SWITCH, RECEIVER)]
    machine.run("systemd-run", "--quiet", "--collect", "--unit=recorder", PYTHON, "/srv/recorder.py", *ports)
    names = ("gw2.lan", "gw1.example.org", "gw2.example.org", "gw3.example.org", "push.example.org")
    machine.write("/etc/hosts", f"127.0.0.1 localhost {' '.join(names)}\n")
    for address in ("10.0.0.1", "10.0.0.2"):
        machine.run("ip", "address", "replace", f"{address}/32", "dev", "lo")
    yield machine
    machine.systemctl("stop", "prometheus*", "recorder.service", "gateway-*", check=False)
    machine.run("sh", "-c", "rm -rf /var/lib/prometheus/*/*")
    machine.run("rm", "-f", *(f"/usr/local/sbin/{name}" for name in OFFLINE))


# --- the recipes ---------------------------------------------------------------------------------


@pytest.fixture
def ntfy_sh(host: Machine) -> Iterator[str]:
    """A real ntfy with the name of the public server, whose certificate the machine trusts; yields its address."""
    need("ntfy")
    certificate = (
        "rm -rf /srv/ntfy && mkdir /srv/ntfy && cd /srv/ntfy && openssl req -x509 -newkey rsa:2048 -nodes -days 9 "
        "-subj /CN=ntfy.sh -addext subjectAltName=DNS:ntfy.sh -keyout key.pem -out cert.pem 2>/dev/null && "
        "cp cert.pem /usr/local/share/ca-certificates/ntfy-test.crt && update-ca-certificates >/dev/null 2>&1"
    )
    host.run("sh", "-euc", certificate)
    host.run("sh", "-c", 'echo "127.0.0.1 ntfy.sh" >>/etc/hosts')
    settings = (
        'base-url: "https://ntfy.sh"\nlisten-http: "-"\nlisten-https: "127.0.0.1:443"\ncert-file: /srv/ntfy/cert.pem\n'
        "key-file: /srv/ntfy/key.pem\ncache-file: /srv/ntfy/cache.db\n"
    )
    host.write("/srv/ntfy/server.yml", settings)
    program = f"{PARTS}/ntfy/usr/bin/ntfy"
    host.run("systemd-run", "--quiet", "--collect", "--unit=ntfy", program, "serve", "-c", "/srv/ntfy/server.yml")
    health = ("curl", "-fsS", "https://ntfy.sh/v1/health")
    wait_for("ntfy to be healthy", lambda: host.run(*health, check=False).returncode == 0, 30)
    yield "https://ntfy.sh"
    host.systemctl("stop", "ntfy.service", check=False)
    host.run("sh", "-c", "rm /usr/local/share/ca-certificates/ntfy-test.crt && update-ca-certificates >/dev/null 2>&1")


def test_readme_leads_to_a_notification_within_five_minutes(
    host: Machine, session: dict[str, str], ntfy_sh: str
) -> None:
    """Its commands and answers, and nothing else. The phone is a client of a real ntfy that has subscribed."""
    world = World()
    world.paste_token(PROFILE, 86400.0, time.time())
    host.stand_in("alice", world)
    host.run("install", "-d", "-o", "alice", "-g", "alice", "/home/alice/openclaw-auth-exporter")
    path = "/home/alice/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"
    user = {"user": "alice", "env": {**session, "PATH": path}}
    recipe = Recipe(host, title="Five minutes to your phone", page=README, folder="openclaw-auth-exporter", **user)
    began = time.monotonic()
    seconds = 0.0

    def events() -> list[dict[str, Any]]:
        topic = host.run("cat", "/home/alice/.config/openclaw-auth-exporter/ntfy-topic", check=False).stdout.strip()
        done = host.run("curl", "-fsS", f"{ntfy_sh}/{topic or 'none'}/json?poll=1&since=all", check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def press() -> None:
        nonlocal seconds
        wait_for("the test notification", lambda: any("actions" in event for event in events()), 300)
        seconds = time.monotonic() - began
        ((button,),) = (event["actions"] for event in events() if "actions" in event)
        host.run("curl", "-fsS", "-d", button["body"], button["url"])

    person = threading.Thread(target=press)
    person.start()
    output = recipe.paste("pipx install .\nopenclaw-auth-exporter init --systemd", input="y\ny\n", terminal=True)
    person.join()
    assert "phone: the phone has answered." in output
    print(f"{seconds:.1f} s from the first command to the notification")
    assert 0 < seconds < 300
    recipe.end()
    # A withdrawal has no title.
    wait_for("the warning", lambda: any("expires" in event.get("title", "") for event in events()), 60)


def test_one_host_and_a_phone(host: Machine, session: dict[str, str]) -> None:
    world = World()
    world.paste_token(PROFILE, None, time.time())
    host.stand_in("alice", world)
    path = "/home/alice/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"
    recipe = Recipe(host, "One host and a phone", user="alice", env={**session, "PATH": path})
    assert PROFILE in recipe.paste("pipx install")

    output = recipe.paste("openclaw-auth-exporter init", input="y\nn\n", terminal=True)
    assert "enabled, started and ready" in output
    (topic,) = re.findall(r"subscribe to the topic (\S+)", output)
    config = "/home/alice/.config/openclaw-auth-exporter/config.json5"
    host.run("sed", "-i", f"s|https://ntfy.sh|http://127.0.0.1:{NTFY}|", config)
    recipe.paste("openclaw-auth-exporter notify test")
    ((_, message),) = requests(host, NTFY)
    assert json.loads(message)["topic"] == topic

    recipe.paste("openclaw-auth-exporter deadline set")
    url = f"http://127.0.0.1:{SWITCH}/a-secret"
    recipe.paste("install -m 600", input=f"{url}\n\x04", terminal=True)  # Enter, Ctrl-D
    wait_for("a heartbeat", lambda: ("/a-secret", "") in requests(host, SWITCH), 30)
    beat = "openclaw_auth_heartbeat_last_success_timestamp_seconds"
    wait_for("the heartbeat's metric", lambda: (host.metric(beat) or 0) > time.time() - 600, 30)
    assert host.run("stat", "--format=%a", "/home/alice/.config/heartbeat-url").stdout == "600\n"
    recipe.skip("openclaw-auth-exporter reauth\n")
    recipe.end()

    undo = block(INSTALL, "systemctl --user disable --now")
    host.run("sh", "-eu", "-c", undo, user="alice", env={**session, "PATH": path})
    assert host.run("find", "/home/alice", "-name", "*openclaw-auth-exporter*").stdout == ""
    left = ("systemctl", "--user", "list-units", "--all", "--no-legend", "openclaw-auth-exporter*")
    assert host.run(*left, user="alice", env=session).stdout == ""


def test_a_homelab_from_an_expired_token_to_resolved(host: Machine) -> None:
    """A real OpenClaw's token expires. The shipped unit, rules and routes notify a person of it and of its end."""
    need("node")
    need(f"openclaw-{CURRENT}")
    for part in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        need(part)
    # The place where npm installs for alice. She and the daemon share the code that Node compiles, which is slow.
    host.run("install", "-d", "-o", "alice", "-g", "alice", "-m", "700", "/var/cache/openclaw-auth-exporter-alice")
    programs = {
        "node": f"{PARTS}/node/node_modules/.bin/node",
        "openclaw": f"{PARTS}/openclaw-{CURRENT}/node_modules/.bin/openclaw",
    }
    for name, program in programs.items():
        host.run("install", "-d", "-o", "alice", "-g", "alice", "/home/alice/.npm-global/bin")
        host.run("ln", "-sf", program, f"/home/alice/.npm-global/bin/{name}")

    def openclaw(*argv: str, input: str = "") -> None:
        environ = {"PATH": "/home/alice/.npm-global/bin:/usr/bin:/bin", "NO_COLOR": "1"}
        environ["TMPDIR"] = "/var/cache/openclaw-auth-exporter-alice"
        host.run("openclaw", *argv, user="alice", env=environ, input=input.encode())

    def paste(expires_in: str, letter: str) -> None:
        words = ("paste-token", "--provider", "anthropic", "--profile-id", PROFILE, "--expires-in", expires_in)
        openclaw("models", "auth", *words, input=f"{TOKEN_PREFIX}{letter * 80}\n")

    openclaw("models", "set", "anthropic/claude-opus-5")
    paste("1s", "A")
    recipe = Recipe(host, "A homelab")
    recipe.paste("apt install")
    recipe.paste("cp ~/openclaw-assets/deploy/systemd/")
    assert "SUCCESS" in recipe.paste("cp ~/openclaw-assets/deploy/prometheus/")
    speed_up(host, "prometheus.yml", "alertmanager.yml")
    recipe.paste("systemctl restart prometheus-alertmanager prometheus")
    for port in (9090, 9093):
        wait_for(f"port {port}", lambda at=port: is_up(host, at), 30)  # type: ignore[misc]  # the default is its type

    expected = {"OpenClawAuthExpired", "OpenClawAuthNoUsableCredential"}

    def states() -> dict[str, str]:
        return {name: alert["state"] for name, alert in alerts(host).items()}

    wait_for("pending", lambda: states() == dict.fromkeys(expected, "pending"), 90)
    assert held(host) == {}
    assert "=> 1 @" in recipe.paste("promtool query instant")
    wait_for("firing", lambda: states() == dict.fromkeys(expected, "firing"), 60)
    expired = alerts(host)["OpenClawAuthExpired"]
    assert expired["labels"] == {
        "alertname": "OpenClawAuthExpired",
        "severity": "critical",
        "job": "openclaw_auth",
        "instance": "127.0.0.1:10785",
        "target": "local",
        "provider": "anthropic",
        "profile": PROFILE,
    }
    # This release does not report the date of an expired token; the alert fires all the same.
    assert expired["annotations"]["summary"].startswith(f"{PROFILE} on local (127.0.0.1:10785) has expired")
    assert (
        "paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d --agent main"
        in expired["annotations"]["description"]
    )
    nothing = alerts(host)["OpenClawAuthNoUsableCredential"]
    assert "Agents: main. Profiles: anthropic:default (expired)." in nothing["annotations"]["description"]

    firing = ("/phone", "firing", {"OpenClawAuthNoUsableCredential"})  # one cause, one notification
    wait_for("a notification", lambda: notified(host) == [firing], 60)
    assert held(host).keys() == expected
    assert held(host)["OpenClawAuthExpired"]["status"]["state"] == "suppressed"

    paste("90d", "B")
    try:
        wait_for("no alert in Prometheus", lambda: states() == {}, 60)
    except AssertionError:
        print("STATES", states())
        for q in (
            "openclaw_auth:profile_status:last",
            "openclaw_auth_profile_status",
            "openclaw_auth_provider_usable",
            "openclaw_auth_check_last_success_timestamp_seconds - time()",
            "openclaw_auth_conditions > 0",
            "openclaw_auth_checks_total",
        ):
            print(q, series(host, q))
        print(
            host.run(
                "journalctl",
                "-u",
                "openclaw-auth-exporter@alice",
                "-u",
                "openclaw-auth-exporter",
                "--no-pager",
                "-n",
                "40",
                check=False,
            ).stdout
        )
        raise
    # Of the inhibited alert nobody was notified: nobody is of its end.
    resolved = ("/phone", "resolved", {"OpenClawAuthNoUsableCredential"})
    wait_for("the resolved notification", lambda: notified(host) == [firing, resolved], 60)
    assert held(host) == {}
    assert failed_rules(host) == []
    assert TOKEN_PREFIX not in host.journal(UNIT)

    # The same machine is also the other host.
    recipe.paste("/opt/openclaw-auth-exporter/bin/pip install")
    host.run("sh", "-c", "cd /etc/openclaw-auth-exporter/alice && cp tls.crt password ~")
    recipe.paste("install -d -o prometheus")
    speed_up(host, "prometheus.yml")
    host.systemctl("reload", "prometheus")
    up = 'up{instance="gw2.lan:10785",job="openclaw_auth"}'
    wait_for("the scrape over TLS", lambda: [value for _, value in series(host, up)] == [1], 30)
    assert 'instance="gw2.lan:10785", job="openclaw_auth"} => 1 @' in recipe.paste("promtool query instant")
    recipe.end()


def test_a_homelab_whose_exporter_alarms_itself(host: Machine) -> None:
    world = World()
    world.paste_token(PROFILE, -DAY, time.time())
    host.stand_in("alice", world)
    host.run("cp", "-r", "/srv/assets", f"{ROOT_HOME}/openclaw-assets")
    host.run("mkdir", "-p", "/etc/openclaw-auth-exporter/alice")
    recipe = Recipe(host, "A homelab whose exporter sends the alerts")
    assert "SUCCESS" in recipe.paste("cat >/etc/openclaw-auth-exporter/alice/config.json5")
    speed_up(host, "alertmanager.yml")
    host.systemctl("reload", "prometheus-alertmanager")
    firing = ("/phone", "firing", {"OpenClawAuthAvailability"})
    wait_for("a notification", lambda: notified(host) == [firing], 60)
    assert "OpenClawAuthAvailability" in recipe.paste("amtool")
    assert held(host).keys() == {"OpenClawAuthAvailability", "OpenClawAuthDeadline"}
    assert held(host)["OpenClawAuthDeadline"]["status"]["state"] == "suppressed"  # one cause, one notification

    world.paste_token(PROFILE, 90 * DAY, time.time())
    host.stand_in("alice", world)
    host.systemctl("restart", UNIT)  # the stand-in has no store to compare; a restart checks at once
    resolved = ("/phone", "resolved", {"OpenClawAuthAvailability"})
    wait_for("the resolved notification", lambda: notified(host) == [firing, resolved], 90)
    recipe.end()

    # The runbook shows how alice's commands reach the daemon's channels and state.
    alice = block(RUNBOOK, "# sudo -iu alice")
    tried = host.run("sh", "-eu", "-c", f"{alice}openclaw-auth-exporter notify test --channel am", user="alice")
    assert tried.stdout.startswith("am: ")
    host.run("sh", "-eu", "-c", f"{alice}openclaw-auth-exporter silence add --target local --for 1h", user="alice")
    wait_for("the silence in the daemon's state", lambda: host.metric("openclaw_auth_silences") == 1, 30)


def test_a_fleet(host: Machine) -> None:
    for address, expires_in in (("10.0.0.1", 90 * DAY), ("10.0.0.2", -DAY)):
        world = World()
        world.paste_token(PROFILE, expires_in, time.time())
        host.gateway(world, f"PLANTED-SECRET-{address}", address)
    recipe = Recipe(host, "A fleet")
    recipe.paste("apt install")
    recipe.paste("cat >/etc/openclaw-auth-exporter/gateways.json", input="PLANTED-SECRET-10.0.0.1\n")
    host.write("/etc/openclaw-auth-exporter/tokens/rack2", "PLANTED-SECRET-10.0.0.2\n", mode="600")
    assert "valid; 2 targets (rack1, rack2)" in recipe.paste("cat >/etc/openclaw-auth-exporter/config.json5")
    assert "active" in recipe.paste("cp ~/openclaw-assets/deploy/systemd/openclaw-auth-exporter.service")
    assert "SUCCESS" in recipe.paste("cp ~/openclaw-assets/deploy/prometheus/")
    speed_up(host, "prometheus.yml")
    host.systemctl("restart", "prometheus")
    wait_for("Prometheus", lambda: is_up(host), 30)
    wait_for("both gateways", lambda: len(series(host, "openclaw_auth_exit_code")) == 2, 30)
    codes = re.findall(r'\{target="(\w+)"\} => (\d) @', recipe.paste("promtool query instant"))
    assert codes == [("rack2", "1"), ("rack1", "0")]
    ((labels, _),) = series(host, 'openclaw_auth_check_success{target="rack2"}')
    assert (labels["job"], labels["instance"], labels["source"]) == ("openclaw_auth_probe", "rack2", "gateway")
    wait_for("the exporter itself", lambda: [v for _, v in series(host, 'up{job="openclaw_auth"}')] == [1], 30)
    wait_for("an alert", lambda: "OpenClawAuthExpired" in alerts(host), 30)
    assert failed_rules(host) == []
    assert "PLANTED-SECRET" not in host.journal("openclaw-auth-exporter.service")
    recipe.end()

    # The runbook shows how to run commands in the daemon's environment, and the guide how to uninstall.
    exporter = block(RUNBOOK, "# Use the unit's own LoadCredential=")
    check = host.run("sh", "-u", "-c", f"{exporter}exporter check --json --target rack2", check=False)
    (agent,) = json.loads(check.stdout)["targets"][0]["agents"]
    assert (check.returncode, agent["error"], [p["status"] for p in agent["profiles"]]) == (1, None, ["expired"])
    host.run("sh", "-eu", "-c", f"{exporter}exporter deadline set rack2/main/{PROFILE} 2026-03-01")
    select = "SELECT profile FROM supplied_date"
    query = f"import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute({select!r}).fetchone())"
    database = "/var/lib/openclaw-auth-exporter/ledger.sqlite"  # of the daemon

    assert host.run(PYTHON, "-c", query, database).stdout == f"rack2/main/{PROFILE}\n"
    assert host.run("stat", "-L", "-c", "%a", "/var/lib/openclaw-auth-exporter").stdout == "700\n"
    *undo, program = block(INSTALL, "systemctl disable --now openclaw-auth-exporter.service").splitlines()
    assert program == "rm -r /opt/openclaw-auth-exporter /usr/local/bin/openclaw-auth-exporter"  # other tests need it
    host.run("sh", "-eu", "-c", "\n".join(undo))
    assert host.run("find", "/etc", "/var", "/run/systemd", "-name", "*openclaw-auth-exporter*").stdout == ""


def test_many_hosts_and_hosts_without_a_daemon(host: Machine) -> None:
    """The other scrape examples, each as it is shipped except for its intervals."""
    for part in ("prometheus-node-exporter", "prometheus-pushgateway"):
        need(part)
    world = World()
    world.paste_token(PROFILE, -DAY, time.time())
    host.stand_in("alice", world)
    host.run("cp", "-r", "/srv/assets", f"{ROOT_HOME}/openclaw-assets")
    recipe = Recipe(host, "Hosts without a daemon")
    found = recipe.paste("apt install")
    assert '\nopenclaw_auth_exit_code{agent="main",target="local"} 1.0\n' in found
    host.systemctl("restart", "prometheus-node-exporter")
    # One daemon stands for three hosts with three names.
    web = {"listen": "0.0.0.0:10785"}
    host.configure({"targets": [{"name": "home", "source": "simulated", "scenario": "expiring"}], "web": web})
    host.systemctl("start", "openclaw-auth-exporter.service")
    host.run("sh", "-c", "cp /srv/assets/deploy/prometheus/*.yml /etc/prometheus/")
    speed_up(host, "scrape-many-hosts.yml", "scrape-textfile.yml")

    def start(name: str, *argv: str) -> None:
        host.run("systemd-run", "--quiet", "--collect", f"--unit=prometheus-{name}", *argv)

    start("push", "prometheus-pushgateway", "--persistence.file=")
    many, textfile = ports = (9191, 9192)
    for name, port in zip(("scrape-many-hosts", "scrape-textfile"), ports, strict=True):
        data = f"--storage.tsdb.path=/var/lib/prometheus/{name}"
        start(name, "prometheus", f"--config.file=/etc/prometheus/{name}.yml", data, f"--web.listen-address=:{port}")
    for port in (9091, *ports):
        wait_for(f"port {port}", lambda at=port: is_up(host, at), 30)  # type: ignore[misc]  # the default is its type
    recipe.paste("openclaw-auth-exporter push")
    recipe.end()

    codes = "openclaw_auth_exit_code"
    wait_for("three hosts", lambda: len(series(host, codes, many)) == 3, 30)
    wait_for("a textfile and a push", lambda: len(series(host, codes, textfile)) == 2, 30)
    assert {(found["instance"], found["site"], value) for found, value in series(host, codes, many)} == {
        ("gw1.example.org", "home", 2.0),
        ("gw2.example.org", "home", 2.0),
        ("gw3.example.org", "office", 2.0),
    }
    name = host.run("hostname").stdout.strip()
    assert {(found["job"], found["instance"], value) for found, value in series(host, codes, textfile)} == {
        ("node", "127.0.0.1:9100", 1.0),
        ("openclaw-auth-exporter", name, 2.0),
    }
    assert [value for _, value in series(host, "node_textfile_scrape_error", textfile)] == [0]
    for port in ports:
        assert failed_rules(host, port) == []


def test_every_section_of_the_page_is_followed() -> None:
    titles = re.findall(r"^## (.+)$", RECIPES, re.MULTILINE)
    followed = re.findall(r'Recipe\(host, "(.+?)"', Path(__file__).read_text())
    assert sorted(titles) == sorted(followed)
    fences = RECIPES.count("```")
    assert fences == 2 * sum(len(list(blocks(title))) for title in titles)
