"""A real systemd runs the unchanged shipped units with the wheel, on a machine without the repository.

Drop-ins hold the differences from a user's machine, as they would there.
"""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from exporter.simulator.world import Profile, World

from .conftest import need
from .machine import PYTHON, ROOT_HOME, Machine
from .parts import wait_for
from .units import CHECK, CONFIG, DAEMON, DAY, PROBE, SIMULATED, SOCKET, TIMER, UNITS, probed, started, state_key

pytestmark = pytest.mark.real

#: Writes the unit's result into the journal, because systemd soon forgets an inactive unit.
LOG_RESULT = "[Service]\nExecStopPost=/bin/sh -c 'echo ended: $$SERVICE_RESULT $$EXIT_CODE $$EXIT_STATUS'\n"
#: On SIGUSR1 the event loop hangs, while the process and its other threads continue.
HANGS = "import signal, time\nsignal.signal(10, lambda *_: time.sleep(3600))\n"
SHORT_WATCHDOG = "[Service]\nWatchdogSec=3\nRestartSec=100ms\nEnvironment=PYTHONPATH=/opt/hang\n"
#: Highest `systemd-analyze security` exposure of each unit in tenths, as its comments promise.
BOUNDS = {
    "openclaw-auth-exporter.service": 15,
    "openclaw-auth-exporter-check.service": 15,
    "openclaw-auth-exporter@.service": 20,
    "openclaw-auth-exporter-check@.service": 20,
    "user/openclaw-auth-exporter.service": 65,
    "user/openclaw-auth-exporter-check.service": 65,
}


# --- without a machine -------------------------------------------------------------------


def test_every_unit_has_a_bound() -> None:
    assert {str(path.relative_to(UNITS)) for path in UNITS.rglob("*.service")} == set(BOUNDS)


@pytest.mark.parametrize("unit", BOUNDS)
def test_no_unit_is_more_exposed_than_documented(unit: str) -> None:
    need("systemd-analyze")
    asked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={BOUNDS[unit]}", UNITS / unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    found = re.search(r"exposure level for \S+: ([\d.]+)", asked.stdout)
    assert found is not None
    assert float(found[1]) < BOUNDS[unit] / 10
    promise = re.findall(r"rates the unit below\s+(?:# )?([\d.]+)", (UNITS / unit).read_text())
    assert promise == [f"{BOUNDS[unit] / 10:.1f}"]


# --- the daemon for gateways -----------------------------------------------------------


def test_systemd_analyze_verify_is_silent(machine: Machine) -> None:
    """Unknown keys are only warnings with exit code 0, so there must be no output."""
    names = ["openclaw-auth-exporter@alice.service", "openclaw-auth-exporter-check@alice.service"]
    names += ["openclaw-auth-exporter-check@alice.timer", DAEMON, SOCKET, CHECK, TIMER]
    verified = machine.run("systemd-analyze", "verify", "--recursive-errors=yes", *names, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_the_gateway_daemon_from_start_to_stop(machine: Machine) -> None:
    """Runs as a dynamic user with a credential that only root can read, keeps its state, and ends cleanly."""
    token = "PLANTED-SECRET-" + "g" * 40
    world = World()
    world.add(Profile("anthropic:default", "anthropic", "token"))  # without a date; its age counts from the first check
    machine.gateway(world, token)
    machine.write("/etc/openclaw-auth-exporter/secrets/rack7", token + "\n", mode="600")
    target = {"name": "rack7", "source": "gateway", "url": "http://127.0.0.1:18789", "token_file": "rack7"}
    machine.configure({"targets": [target], "interval": "1s"})
    machine.drop_in(DAEMON, f"{LOG_RESULT}LoadCredential=rack7:/etc/openclaw-auth-exporter/secrets/rack7\n")

    started(machine)
    # `systemctl start` of Type=notify returns when it is ready.
    assert (machine.show(DAEMON, "ActiveState"), machine.show(DAEMON, "StatusText")) == ("active", "Watching 1 target")
    assert machine.get("http://127.0.0.1:10785/-/ready") == "Ready.\n"
    assert machine.show(DAEMON, "WatchdogUSec") == "1min"
    wait_for("a successful check", lambda: machine.metric("openclaw_auth_check_success") == 1, 30)
    pid = machine.show(DAEMON, "MainPID")
    (uid,) = machine.run("stat", "--format=%u", f"/proc/{pid}").stdout.split()
    assert int(uid) >= 61184  # DynamicUser
    expiry = machine.metric("openclaw_auth_profile_expiry_timestamp_seconds")
    assert expiry is not None
    key = state_key(machine)

    machine.systemctl("restart", DAEMON)
    assert machine.show(DAEMON, "MainPID") != pid
    wait_for("a successful check", lambda: machine.metric("openclaw_auth_check_success") == 1, 30)
    assert machine.metric("openclaw_auth_profile_expiry_timestamp_seconds") == expiry
    assert state_key(machine) == key

    machine.systemctl("stop", DAEMON)
    assert machine.show(DAEMON, "ActiveState") == "inactive"
    journal = machine.journal(DAEMON)
    assert "ended: success exited 0" in journal
    assert "PLANTED-SECRET" not in journal
    assert "Killing process" not in journal  # no process was left behind


def test_systemd_opens_a_port_below_1024_and_keeps_it_over_a_restart(machine: Machine) -> None:
    machine.configure(SIMULATED)
    machine.drop_in(SOCKET, "[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n")
    machine.systemctl("start", SOCKET)
    started(machine)
    assert "listening on http://127.0.0.1:80" in machine.journal(DAEMON)
    assert machine.get("http://127.0.0.1/-/healthy") == "Healthy.\n"
    machine.systemctl("stop", DAEMON)
    # A request waits in systemd's socket and starts the daemon. Its answer may be that the state is not open yet.
    request = "import urllib.request as u; u.urlopen('http://127.0.0.1/-/ready', timeout=20)"
    assert "refused" not in machine.run(PYTHON, "-c", request, check=False).stderr
    wait_for("the unit to be active", lambda: machine.show(DAEMON, "ActiveState") == "active", 30)
    assert machine.get("http://127.0.0.1/-/ready") == "Ready.\n"
    machine.systemctl("stop", SOCKET, DAEMON)


def test_a_hanging_loop_is_killed_and_restarted(machine: Machine) -> None:
    machine.configure(SIMULATED)
    machine.write("/opt/hang/sitecustomize.py", HANGS)
    machine.drop_in(DAEMON, SHORT_WATCHDOG)
    started(machine)
    pid = machine.show(DAEMON, "MainPID")
    key = state_key(machine)
    fed: set[str] = set()

    def notifications() -> int:
        fed.add(machine.show(DAEMON, "WatchdogTimestampMonotonic"))
        return len(fed)

    wait_for("several watchdog notifications", lambda: notifications() >= 3, 30)
    assert machine.show(DAEMON, "MainPID") == pid
    machine.run("kill", "-USR1", pid)
    wait_for("a new process", lambda: machine.show(DAEMON, "NRestarts") == "1", 30)
    wait_for("the unit to be active", lambda: machine.show(DAEMON, "ActiveState") == "active", 30)
    assert machine.show(DAEMON, "MainPID") != pid
    assert state_key(machine) == key
    journal = machine.journal(DAEMON)
    assert "Watchdog timeout" in journal
    assert "Fatal Python error: Aborted" in journal
    assert 'File "/opt/hang/sitecustomize.py", line 2 in <lambda>' in journal  # the stack shows where it hung


def test_a_reload_with_a_bad_configuration_changes_nothing(machine: Machine) -> None:
    machine.configure(SIMULATED)
    started(machine)
    pid = machine.show(DAEMON, "MainPID")
    well = "openclaw_auth_exporter_config_last_reload_successful"
    assert machine.metric(well) == 1

    machine.write(CONFIG, '{"intervall": "5m"}')
    machine.systemctl("reload", DAEMON)
    wait_for("the failed reload in the metric", lambda: machine.metric(well) == 0, 30)
    assert machine.show(DAEMON, "StatusText") == (
        "Watching 1 target; the last reload failed, so the previous configuration is in use"
    )
    assert "did you mean 'interval'?" in machine.journal(DAEMON)
    assert (machine.show(DAEMON, "ActiveState"), machine.show(DAEMON, "MainPID")) == ("active", pid)

    second = {"name": "second", "source": "simulated", "scenario": "expiring"}
    machine.configure({"targets": [*SIMULATED["targets"], second]})
    machine.systemctl("reload", DAEMON)
    wait_for("the applied configuration", lambda: machine.show(DAEMON, "StatusText") == "Watching 2 targets", 30)
    assert machine.metric(well) == 1
    assert machine.show(DAEMON, "MainPID") == pid


def test_a_bad_configuration_at_the_start_fails_without_restarts(machine: Machine) -> None:
    machine.write(CONFIG, '{"intervall": "5m"}')
    machine.drop_in(DAEMON, "[Service]\nRestartSec=100ms\n")
    machine.systemctl("start", DAEMON, check=False)
    assert (machine.show(DAEMON, "ActiveState"), machine.show(DAEMON, "ExecMainStatus")) == ("failed", "78")
    assert machine.show(DAEMON, "NRestarts") == "0"
    assert DAEMON in machine.systemctl("--failed", "--no-legend")


def test_the_gateway_daemon_can_write_its_state_and_nothing_else(machine: Machine) -> None:
    machine.configure(SIMULATED)
    machine.write("/etc/openclaw-auth-exporter/secrets/rack7", "x", mode="600")
    machine.write("/home/alice/secret", "x", owner="alice")
    machine.write("/usr/local/lib/probe.py", PROBE)
    unbounded = machine.run(PYTHON, "/usr/local/lib/probe.py", "/etc", "read:/home/alice/secret").stdout
    assert unbounded.count("true") == 5  # without a sandbox the probe succeeds
    machine.run("rm", "/etc/probe")
    uid, could = probed(
        *(machine, DAEMON, "/var/lib/openclaw-auth-exporter", "/tmp"),  # noqa: S108 - its own
        *(
            "/etc",
            "/etc/openclaw-auth-exporter",
            "/usr/local/bin",
            "/opt/openclaw-auth-exporter",
            "/var/lib",
            "/var/log",
        ),
        *(ROOT_HOME, "/home/alice", "/run", "/", "/dev", "/sys/fs/cgroup"),
        *("read:/etc/openclaw-auth-exporter/secrets/rack7", "read:/home/alice/secret", "read:/etc/shadow"),
    )
    assert uid >= 61184
    assert could == {"/var/lib/openclaw-auth-exporter", "/tmp"}  # noqa: S108 - its own
    assert not machine.run("sh", "-c", "ls /tmp/probe", check=False).stdout  # it has a private /tmp
    assert machine.show(DAEMON, "LimitCORE") == "0"


# --- the daemon as the user who runs OpenClaw --------------------------------------------------


def with_token(expires_in: float | None) -> World:
    world = World()
    world.paste_token("anthropic:default", expires_in, time.time())
    return world


def test_the_daemon_as_a_user_runs_that_user_s_openclaw(machine: Machine) -> None:
    unit = "openclaw-auth-exporter@alice.service"
    machine.stand_in("alice", with_token(30 * DAY))
    own = "/home/alice/.config/openclaw-auth-exporter/config.json5"
    machine.write(own, '{targets: [{name: "home", source: "openclaw"}]}', owner="alice")
    uid, could = probed(
        *(machine, unit, "/var/lib/openclaw-auth-exporter-alice", "/var/cache/openclaw-auth-exporter-alice"),
        *("/tmp", "/home/alice/.openclaw"),  # noqa: S108 - its own
        *("/home/alice", "/home/alice/.config", "/etc", "/usr/local/bin", "/var/lib", ROOT_HOME, "/home/bob", "/"),
        *("read:/home/alice/.config/openclaw-auth-exporter/config.json5", "read:/etc/shadow"),
    )
    assert uid == int(machine.run("id", "-u", "alice").stdout)
    assert could == {
        *("/var/lib/openclaw-auth-exporter-alice", "/var/cache/openclaw-auth-exporter-alice"),
        *("/tmp", "/home/alice/.openclaw"),  # noqa: S108 - its own
        *("read:/home/alice/.config/openclaw-auth-exporter/config.json5", "netlink", "writable code"),
    }
    wait_for("a successful check", lambda: machine.metric("openclaw_auth_check_success") == 1, 30)
    expiry = machine.metric("openclaw_auth_profile_expiry_timestamp_seconds")
    assert expiry is not None
    assert abs(expiry - time.time() - 30 * DAY) < 600
    key = state_key(machine, "/var/lib/openclaw-auth-exporter-alice")
    machine.systemctl("restart", unit)
    assert state_key(machine, "/var/lib/openclaw-auth-exporter-alice") == key


# --- the check and its timer -------------------------------------------------------------------


def test_the_timer_fires_and_catches_up_on_a_missed_run(machine: Machine) -> None:
    machine.configure(SIMULATED)
    machine.systemctl("start", TIMER)  # unchanged: within a quarter of an hour plus its delay
    due = machine.run("date", "-d", machine.show(TIMER, "NextElapseUSecRealtime"), "+%s").stdout
    assert 0 <= int(due) - time.time() <= 17 * 60
    machine.systemctl("stop", TIMER)
    machine.run("rm", f"/var/lib/systemd/timers/stamp-{TIMER}")  # Persistent=: a first start counts as a run

    machine.drop_in(TIMER, "[Timer]\nOnCalendar=\nOnCalendar=yearly\nRandomizedDelaySec=0\n")
    machine.systemctl("start", TIMER)
    assert machine.show(CHECK, "ExecMainStartTimestampMonotonic") == "0"  # not yet
    machine.systemctl("stop", TIMER)

    machine.run("touch", "--date=2 years ago", f"/var/lib/systemd/timers/stamp-{TIMER}")
    machine.systemctl("start", TIMER)
    wait_for("the missed run", lambda: machine.show(CHECK, "ExecMainExitTimestampMonotonic") != "0", 30)
    assert (machine.show(CHECK, "Result"), machine.show(CHECK, "ExecMainStatus")) == ("success", "0")

    ran = machine.show(CHECK, "ExecMainExitTimestampMonotonic")
    machine.drop_in(TIMER, "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms\n")
    machine.systemctl("restart", TIMER)
    wait_for("the next run", lambda: machine.show(CHECK, "ExecMainExitTimestampMonotonic") != ran, 30)
    machine.systemctl("stop", TIMER)


@pytest.mark.parametrize(("scenario", "code"), [("expiring", "2"), ("failing", "1")])
def test_a_finding_is_no_failure_of_the_unit_and_a_crash_is(machine: Machine, scenario: str, code: str) -> None:
    machine.write("/etc/systemd/system/alarm.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /run/alarm\n")
    machine.run("rm", "-f", "/run/alarm")
    machine.drop_in(CHECK, f"[Unit]\nOnFailure=alarm.service\n{LOG_RESULT}")
    machine.configure({"targets": [{"name": "home", "source": "simulated", "scenario": scenario}]})
    machine.systemctl("start", CHECK)
    assert f"ended: success exited {code}" in machine.journal(CHECK)
    assert machine.systemctl("--failed", "--no-legend") == ""
    assert machine.run("test", "-e", "/run/alarm", check=False).returncode == 1

    if scenario == "expiring":
        machine.write(CONFIG, '{"intervall": "5m"}')
        said = "did you mean 'interval'?"
    else:  # a Python that cannot load the program exits with 1
        machine.write("/opt/broken/pydantic.py", "raise ImportError('broken installation')\n")
        machine.drop_in(CHECK, "[Unit]\nOnFailure=alarm.service\n[Service]\nEnvironment=PYTHONPATH=/opt/broken\n")
        said = ""
    assert machine.run("systemctl", "start", CHECK, check=False).returncode != 0
    assert machine.show(CHECK, "Result") == "exit-code"
    assert CHECK in machine.systemctl("--failed", "--no-legend")
    assert said in machine.journal(CHECK)
    wait_for("OnFailure=", lambda: machine.run("test", "-e", "/run/alarm", check=False).returncode == 0, 30)


def test_the_check_and_the_daemon_share_their_state(machine: Machine) -> None:
    machine.configure(SIMULATED)
    started(machine)
    key = state_key(machine)
    machine.drop_in(CHECK, LOG_RESULT)
    machine.systemctl("start", CHECK)
    assert "ended: success exited 0" in machine.journal(CHECK)
    assert state_key(machine) == key
    assert machine.show(DAEMON, "ActiveState") == "active"


# --- a user's systemd ---------------------------------------------------------------------


def test_init_installs_and_starts_the_user_units_and_can_be_undone(machine: Machine, session: dict[str, str]) -> None:
    def alice(*argv: str, check: bool = True) -> str:
        return machine.run(*argv, user="alice", check=check, env=session).stdout.strip()

    def show(unit: str, name: str) -> str:
        return alice("systemctl", "--user", "show", unit, f"--property={name}", "--value")

    machine.stand_in("alice", with_token(30 * DAY))
    # A place that the shipped unit does not know: the drop-in must name and quote it.
    machine.run("mkdir", "-p", "/home/alice/my tools 100%")
    machine.run("mv", "/usr/local/bin/openclaw", "/home/alice/my tools 100%/openclaw")
    tools = {**session, "PATH": "/home/alice/my tools 100%:/usr/local/bin:/usr/bin:/bin"}
    done = machine.run("openclaw-auth-exporter", "init", "--systemd", user="alice", env=tools)

    assert (show(DAEMON, "ActiveState"), show(DAEMON, "StatusText")) == ("active", "Watching 1 target")
    assert alice("systemctl", "--user", "is-enabled", DAEMON) == "enabled"
    wait_for("a successful check", lambda: machine.metric("openclaw_auth_check_success") == 1, 30)
    assert machine.metric("openclaw_auth_openclaw_exit_code") == 0  # the stand-in ran
    key = state_key(machine, "/home/alice/.local/state/openclaw-auth-exporter")

    names = [DAEMON, CHECK, TIMER]
    where = "/home/alice/.config/systemd/user"
    verified = machine.run(
        "systemd-analyze",
        "--user",
        "verify",
        *(f"{where}/{name}" for name in names),
        user="alice",
        check=False,
        env=tools,
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")

    # The check service, its findings and its timer, in the user's systemd.
    machine.stand_in("alice", with_token(3600))
    machine.run("mv", "/usr/local/bin/openclaw", "/home/alice/my tools 100%/openclaw")
    alice("systemctl", "--user", "enable", "--now", TIMER)
    assert show(TIMER, "ActiveState") == "active"
    alice("systemctl", "--user", "start", CHECK)
    assert (show(CHECK, "Result"), show(CHECK, "ExecMainStatus")) == ("success", "2")
    assert alice("systemctl", "--user", "--failed", "--no-legend") == ""

    # Again, as after an upgrade: the configuration and the state stay, and the daemon is a new process.
    # The unchanged units start the program from the place where pipx and uv install it.
    pid = show(DAEMON, "MainPID")
    alice("install", "-d", "/home/alice/.local/bin")
    alice("ln", "-s", "/usr/local/bin/openclaw-auth-exporter", "/home/alice/.local/bin/")
    own = "/home/alice/.local/bin/openclaw-auth-exporter"
    again = machine.run(own, "init", "--systemd", user="alice", env=tools)
    assert "already exists and is kept" in again.stdout
    assert show(DAEMON, "MainPID") != pid
    assert f"path={own} ;" in show(DAEMON, "ExecStart")
    assert "Exec" not in alice("cat", f"{where}/{DAEMON}.d/10-init.conf")
    assert state_key(machine, "/home/alice/.local/state/openclaw-auth-exporter") == key

    # A user's systemd does the same for the daemon.
    assert show(DAEMON, "WatchdogUSec") == "1min"
    pid, well = show(DAEMON, "MainPID"), "openclaw_auth_exporter_config_last_reload_successful"
    config = "/home/alice/.config/openclaw-auth-exporter/config.json5"
    good = alice("cat", config)
    machine.write(config, '{"intervall": "5m"}', owner="alice")
    alice("systemctl", "--user", "reload", DAEMON)
    wait_for("the failed reload in the metric", lambda: machine.metric(well) == 0, 30)
    machine.write(config, good, owner="alice")
    alice("systemctl", "--user", "reload", DAEMON)
    wait_for("the successful reload", lambda: machine.metric(well) == 1, 30)
    assert (show(DAEMON, "ActiveState"), show(DAEMON, "MainPID")) == ("active", pid)

    machine.write("/opt/hang/sitecustomize.py", HANGS)
    machine.write(f"{where}/{DAEMON}.d/test.conf", SHORT_WATCHDOG, owner="alice")
    alice("systemctl", "--user", "daemon-reload")
    alice("systemctl", "--user", "restart", DAEMON)
    pid = show(DAEMON, "MainPID")
    alice("kill", "-USR1", pid)
    wait_for("a new process", lambda: show(DAEMON, "NRestarts") == "1", 30)
    wait_for("the unit to be active", lambda: show(DAEMON, "ActiveState") == "active", 30)
    assert show(DAEMON, "MainPID") != pid
    assert state_key(machine, "/home/alice/.local/state/openclaw-auth-exporter") == key

    undo = done.stdout.partition("To undo this:\n")[2]
    machine.run("sh", "-eu", user="alice", input=undo.encode(), env=session)
    assert show(DAEMON, "LoadState") == "not-found"
    left = machine.run("sh", "-c", "find /home/alice/.config -type f -o -type l").stdout
    assert left == ""
